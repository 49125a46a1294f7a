package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What the kernel tells of another process. Most of these files are there for
// processes that cannot be traced, too.

// footprint is the memory of a process, in KiB.
type footprint struct {
	Resident int `json:"resident_kib"`
	Files    int `json:"resident_files_kib"` // the part that are pages of files: the code of the program and its libraries
	// Proportional counts pages that several processes have in part only. Root alone
	// may see that of a process that cannot be traced; 0 is unknown.
	Proportional int `json:"proportional_kib,omitempty"`
}

// watch samples processes until its result is called, as the kernel's own peak covers
// a process's whole life. The result is the most that was resident of each, and what
// else there was to say at that moment.
func watch(pids ...int) func() []footprint {
	most := make([]footprint, len(pids))
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n++ {
			for i, pid := range pids {
				sample(pid, &most[i], n%10 == 0)
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return func() []footprint {
		close(stop)
		done.Wait()
		return most
	}
}

// sample takes note of a process that has grown. The kernel walks through all pages
// for the proportional part, so that is asked for less often.
func sample(pid int, most *footprint, proportional bool) {
	all, err := residentKiB(pid, "VmRSS")
	files, ferr := residentKiB(pid, "RssFile")
	if err == nil && ferr == nil && all > most.Resident {
		most.Resident, most.Files = all, files
	}
	if !proportional {
		return
	}
	if pss, err := readKiB(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss"); err == nil {
		most.Proportional = max(most.Proportional, pss)
	}
}

// residentKiB reads a value of proc_pid_status(5).
func residentKiB(pid int, name string) (int, error) {
	return readKiB(fmt.Sprintf("/proc/%d/status", pid), name)
}

func readKiB(path, name string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// processorTime is what a process has used, in user mode and in the kernel.
func processorTime(pid int) (time.Duration, error) {
	// proc_pid_stat(5): fields 14 and 15, in ticks of 1/100 s on every architecture
	// of Go's. Field 2 is in parentheses and may hold anything.
	const tick = 10 * time.Millisecond
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is cut off", pid)
	}
	var sum time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}
