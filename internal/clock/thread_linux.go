package clock

import (
	"syscall"
	"time"
)

const usageOfThread = 1 // RUSAGE_THREAD

// ThreadTime returns the processor time that the calling thread has used, which other processes do not add to. The
// caller has locked its goroutine to the thread.
func ThreadTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(usageOfThread, &usage); err != nil {
		panic("time of the thread: " + err.Error()) // Linux has it since 2.6.26
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
