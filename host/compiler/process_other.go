//go:build !unix

package compiler

import (
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// lowerPriority has nothing to set here.
func lowerPriority() {}

var started = clock.Now()

// processorTime is at most what has passed.
func processorTime() time.Duration { return clock.Since(started) }
