package host

import (
	"fmt"
	"time"
)

// Limits bounds what one guest may take. The zero value is ready to use.
type Limits struct {
	// MemoryMiB is the most memory that an instance may have. Defaults to 64.
	MemoryMiB int
	// BatchTimeout is the longest that a guest may take for one batch. Defaults to 10 seconds.
	BatchTimeout time.Duration
	// StartTimeout is the longest that a guest may take to start and describe itself. Defaults to 10 seconds.
	StartTimeout time.Duration
	// ReplyBytesMax bounds a reply. Defaults to 64 MiB.
	ReplyBytesMax int
	// ModuleBytesMax bounds a .wasm file. Defaults to 64 MiB.
	ModuleBytesMax int
	// LogLinesMax bounds the lines that are kept of one batch. Defaults to 100.
	LogLinesMax int
}

const (
	memoryMiBMax = 2048 // addresses are 32 bits and sizes cross as signed numbers
	pagesPerMiB  = 16
	logLineBytes = 2048
	// valuesMax bounds the values of a reply or a query: a null takes the guest one byte and the host some 64.
	valuesMax   = 4 << 20
	reasonBytes = 1024 // of what a guest says of its error, which goes into logs and into the database
)

func (l Limits) withDefaults() Limits {
	if l.MemoryMiB == 0 {
		l.MemoryMiB = 64
	}
	if l.BatchTimeout == 0 {
		l.BatchTimeout = 10 * time.Second
	}
	if l.StartTimeout == 0 {
		l.StartTimeout = 10 * time.Second
	}
	if l.ReplyBytesMax == 0 {
		l.ReplyBytesMax = 64 << 20
	}
	if l.ModuleBytesMax == 0 {
		l.ModuleBytesMax = 64 << 20
	}
	if l.LogLinesMax == 0 {
		l.LogLinesMax = 100
	}
	return l
}

func (l Limits) validate() error {
	if l.MemoryMiB < 1 || l.MemoryMiB > memoryMiBMax {
		return fmt.Errorf("limit MemoryMiB must be between 1 and %d, it is %d", memoryMiBMax, l.MemoryMiB)
	}
	if l.BatchTimeout < time.Millisecond || l.StartTimeout < time.Millisecond {
		return fmt.Errorf("limits BatchTimeout and StartTimeout must be at least %s, they are %s and %s",
			time.Millisecond, l.BatchTimeout, l.StartTimeout)
	}
	return nil
}

// narrowed returns the limits for a module that asks for its own. What it asks beyond the host's memory it needs, so that it is
// better refused at load than stopped in the middle; a longer time or a larger batch it only prefers.
func (l Limits) narrowed(d *Description) (Limits, error) {
	if asked := d.Limits.MemoryMiB; asked > l.MemoryMiB {
		return l, fmt.Errorf("asks for %d MiB of memory, this host grants %d: raise --memory", asked, l.MemoryMiB)
	} else if asked > 0 {
		l.MemoryMiB = asked
	}
	if asked := time.Duration(d.Limits.BatchMillis) * time.Millisecond; asked > 0 {
		l.BatchTimeout = min(l.BatchTimeout, asked)
	}
	return l, nil
}
