package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// running is what up has started, in up.json.
type running struct {
	Boot      string             `json:"boot"` // of the machine
	Processes map[string]process `json:"processes"`
}

// process is one process and no other: its number is given to others after it, but
// not with the same start in the same boot.
type process struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // in ticks after the boot
}

// keeper is the process that ends the others, so it goes first.
const keeper = "sealward-sim"

func stateFile(dir string) string { return filepath.Join(dir, "up.json") }

func boot() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(id)), err
}

// write writes down which processes run.
func write(dir string, pids map[string]int) error {
	id, err := boot()
	if err != nil {
		return err
	}
	r := running{Boot: id, Processes: map[string]process{}}
	for name, pid := range pids {
		started, err := startTime(pid)
		if err != nil {
			return err
		}
		r.Processes[name] = process{pid, started}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	temporary := stateFile(dir) + ".new"
	if err := os.WriteFile(temporary, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, stateFile(dir))
}

func read(dir string) (running, error) {
	var r running
	text, err := os.ReadFile(stateFile(dir))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("read %s: %w", stateFile(dir), err)
	}
	id, err := boot()
	if err != nil {
		return r, err
	}
	if r.Boot != id {
		r.Processes = nil // they ended with the machine
	}
	return r, nil
}

// alive returns descriptors of the processes that still run, to be closed.
func (r running) alive() map[string]int {
	fds := map[string]int{}
	for name, p := range r.Processes {
		// First the descriptor, then the look: what it stands for cannot change any more.
		fd, err := unix.PidfdOpen(p.PID, 0)
		if err != nil {
			continue
		}
		if started, err := startTime(p.PID); err != nil || started != p.Started || ended(fd, 0) {
			unix.Close(fd)
			continue
		}
		fds[name] = fd
	}
	return fds
}

// startTime is when a process was started, in ticks after the boot.
func startTime(pid int) (uint64, error) {
	// proc_pid_stat(5): field 22. Field 2 is in parentheses and may hold anything.
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat is cut off", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// down ends what up has started in a folder. The folder stays, and with it the keys.
func down(dir string) error {
	r, err := read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("nothing is up in %s", dir)
	}
	if err != nil {
		return err
	}
	fds := r.alive()
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	if fd, ok := fds[keeper]; ok {
		err = end(keeper, fd)
	}
	for name, fd := range fds {
		err = errors.Join(err, end(name, fd)) // they have ended if the keeper could end them
	}
	if err != nil {
		return err
	}
	fmt.Printf("down: ended %d processes; the keys are still in %s\n", len(fds), dir)
	return os.Remove(stateFile(dir))
}

// end ends a process.
func end(name string, fd int) error {
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, s, nil, 0); errors.Is(err, unix.ESRCH) {
			return nil
		} else if err != nil {
			return fmt.Errorf("end %s: %w", name, err)
		}
		if ended(fd, 15*time.Second) {
			return nil
		}
	}
	return fmt.Errorf("end %s: it does not end when it is killed", name)
}

// ended waits for the end of a process (pidfd_open(2): it is readable then, also when
// its parent has not asked for its status yet).
func ended(fd int, atMost time.Duration) bool {
	for until := time.Now().Add(atMost); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(0, time.Until(until)).Milliseconds()))
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) || !time.Now().Before(until) {
			return n > 0
		}
	}
}
