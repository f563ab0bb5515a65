//go:build !unix

package compiler

import "time"

// lower has nothing to set here.
func lower() {}

var started = time.Now()

// processorTime is at most what has passed.
func processorTime() time.Duration { return time.Since(started) }
