package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// ThreadTime returns the processor time that the calling thread has used, which other processes do not add to. The
// caller has locked its goroutine to the thread.
func ThreadTime() time.Duration {
	var spec unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &spec); err != nil {
		panic("clock of the thread: " + err.Error()) // Linux has it since 2.6.12
	}
	return time.Duration(spec.Nano())
}
