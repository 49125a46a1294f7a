package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// What the kernel tells of another process. These files are there for processes
// that cannot be traced too.

// peakResident samples a process until stop is closed, as the kernel's own peak
// covers its whole life. It returns the most that was resident and, at that moment,
// the part that are pages of files.
func peakResident(pid int, stop <-chan struct{}) (kib [2]int) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		all, err := residentKiB(pid, "VmRSS")
		files, ferr := residentKiB(pid, "RssFile")
		if err == nil && ferr == nil && all > kib[0] {
			kib = [2]int{all, files}
		}
		select {
		case <-stop:
			return kib
		case <-tick.C:
		}
	}
}

// residentKiB reads a value of proc_pid_status(5).
func residentKiB(pid int, name string) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", pid, name)
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
