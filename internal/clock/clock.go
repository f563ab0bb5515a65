// Package clock is the one place that asks the machine for the time. What decides about leases is the
// database's time; this one measures durations and dates log lines.
package clock

import "time"

// Now returns the machine's time, with the monotonic reading that durations need.
func Now() time.Time { return time.Now() }

// Since returns the time that has passed since t.
func Since(t time.Time) time.Duration { return time.Since(t) }
