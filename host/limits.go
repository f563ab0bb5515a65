package host

import (
	"fmt"
	"time"
)

// Limits bounds what one guest may take. The zero value is ready to use.
type Limits struct {
	// MemoryMiB is the most memory that an instance may have. Defaults to 64.
	MemoryMiB int
	// Fuel is the most that a guest may do for one batch, and to start and describe itself, in units of
	// package meter: an instruction takes one or more, and a nanosecond some 35, in code of Go's as of
	// TinyGo's. What exceeds it does so on every host. Defaults to 120 thousand million, some three seconds.
	Fuel int64
	// BatchTimeout is the longest that a guest may take for one batch, its own turns only. Fuel is spent
	// before, but on a machine that is very slow or busy: exceeding the time is a fault of the guest only the
	// third time in a row. Defaults to a minute.
	BatchTimeout time.Duration
	// StartTimeout is the longest that a guest may take to start and describe itself. Defaults to a minute.
	StartTimeout time.Duration
	// ReplyBytesMax bounds a reply, and the memory of its messages. Defaults to 64 MiB.
	ReplyBytesMax int
	// MutationsMax bounds the mutations of a reply. Defaults to 500,000.
	MutationsMax int
	// ValuesMax bounds the values of a reply, elements of arrays included: a null takes the guest one byte
	// and the host some 32. Defaults to 2,000,000.
	ValuesMax int
	// ModuleBytesMax bounds a .wasm file. Defaults to 16 MiB.
	ModuleBytesMax int
	// CompileMemoryMiB bounds the memory of the process that compiles a module. Defaults to 1024.
	CompileMemoryMiB int
	// CompileTime bounds the processor time of the process that compiles a module. Defaults to 30 seconds.
	CompileTime time.Duration
	// CodeMiB bounds the machine code of a module. Defaults to 64.
	CodeMiB int
	// LogLinesMax bounds the lines that are kept of one batch. Defaults to 100.
	LogLinesMax int
}

const defaultFuel = 120_000_000_000

// MemoryMiBMax bounds [Limits].MemoryMiB: addresses are 32 bits and sizes cross as signed numbers.
const MemoryMiBMax = 2048

const (
	pagesPerMiB  = 16
	logLineBytes = 2048
	reasonBytes  = 1024 // of what a guest says of its error, which goes into logs and into the database
)

// DefaultLimits are the limits where none is set.
func DefaultLimits() Limits { return Limits{}.withDefaults() }

func (l Limits) withDefaults() Limits {
	if l.MemoryMiB == 0 {
		l.MemoryMiB = 64
	}
	if l.Fuel == 0 {
		l.Fuel = defaultFuel
	}
	if l.BatchTimeout == 0 {
		l.BatchTimeout = time.Minute
	}
	if l.StartTimeout == 0 {
		l.StartTimeout = time.Minute
	}
	if l.ReplyBytesMax == 0 {
		l.ReplyBytesMax = 64 << 20
	}
	if l.MutationsMax == 0 {
		l.MutationsMax = 500_000
	}
	if l.ValuesMax == 0 {
		l.ValuesMax = 2_000_000
	}
	if l.ModuleBytesMax == 0 {
		l.ModuleBytesMax = 16 << 20
	}
	if l.CompileMemoryMiB == 0 {
		l.CompileMemoryMiB = 1024
	}
	if l.CompileTime == 0 {
		l.CompileTime = 30 * time.Second
	}
	if l.CodeMiB == 0 {
		l.CodeMiB = 64
	}
	if l.LogLinesMax == 0 {
		l.LogLinesMax = 100
	}
	return l
}

func (l Limits) validate() error {
	if l.MemoryMiB < 1 || l.MemoryMiB > MemoryMiBMax {
		return fmt.Errorf("limit MemoryMiB must be between 1 and %d, it is %d", MemoryMiBMax, l.MemoryMiB)
	}
	if l.Fuel < 1 {
		return fmt.Errorf("limit Fuel must be above 0, it is %d", l.Fuel)
	}
	for _, bound := range []struct {
		name  string
		value int
	}{
		{"ReplyBytesMax", l.ReplyBytesMax},
		{"MutationsMax", l.MutationsMax},
		{"ValuesMax", l.ValuesMax},
		{"ModuleBytesMax", l.ModuleBytesMax},
		{"CompileMemoryMiB", l.CompileMemoryMiB},
		{"CodeMiB", l.CodeMiB},
		{"LogLinesMax", l.LogLinesMax},
	} {
		if bound.value < 1 {
			return fmt.Errorf("limit %s must be above 0, it is %d", bound.name, bound.value)
		}
	}
	if l.CompileTime < time.Millisecond {
		return fmt.Errorf("limit CompileTime must be at least %s, it is %s", time.Millisecond, l.CompileTime)
	}
	if l.BatchTimeout < time.Millisecond || l.StartTimeout < time.Millisecond {
		return fmt.Errorf("limits BatchTimeout and StartTimeout must be at least %s, they are %s and %s",
			time.Millisecond, l.BatchTimeout, l.StartTimeout)
	}
	return nil
}

// narrowed returns the limits for a module that asks for its own. What it asks beyond the host's memory it
// needs, so that it is better refused at load than stopped in the middle; a longer time or a larger batch it
// only prefers.
func (l Limits) narrowed(d *Description, raiseMemory string) (Limits, error) {
	if asked := d.Limits.MemoryMiB; asked > l.MemoryMiB {
		return l, fmt.Errorf("asks for %d MiB of memory, this host grants %d: %s", asked, l.MemoryMiB, raiseMemory)
	} else if asked > 0 {
		l.MemoryMiB = asked
	}
	if asked := time.Duration(d.Limits.BatchMillis) * time.Millisecond; asked > 0 {
		l.BatchTimeout = min(l.BatchTimeout, asked)
	}
	return l, nil
}
