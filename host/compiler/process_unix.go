//go:build unix

package compiler

import (
	"os"
	"syscall"
	"time"
)

// niceness leaves the processor to everybody else.
const niceness = 5

// lower makes this process give way to others, and the first to end when the machine is out of memory.
func lower() {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness)
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
