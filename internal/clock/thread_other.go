//go:build !linux

package clock

import "time"

var started = time.Now()

// ThreadTime returns the time since the process started: only on Linux it is the processor time of the calling thread.
func ThreadTime() time.Duration { return time.Since(started) }
