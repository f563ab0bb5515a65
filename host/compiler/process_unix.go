//go:build unix

package compiler

import (
	"os"
	"syscall"
	"time"
)

// niceness leaves the processor to others.
const niceness = 5

// lowerPriority makes this process give way to others, and the first to end when the machine is out of memory.
func lowerPriority() {
	_ = syscall.Setpgid(0, 0) // on Linux a process's priority is one thread's, a group's that of all
	_ = syscall.Setpriority(syscall.PRIO_PGRP, 0, niceness)
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // where there is such a file
}

// processorTime is what this process has taken so far.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
