package store

import (
	"context"
	"strings"
)

// LogChecker looks for what would make readers pass events of the log.
type LogChecker interface {
	// CheckLog tells whether positions are given as [Horizon] needs it: by the log itself, in order, and behind
	// the fence. What is not refused when it happens, because somebody changed the log's own objects, is found
	// here. It is cheap: a worker asks when it begins, and once a minute.
	//
	// # Errors
	//
	// [*UnsafeLogError], [ErrNotMigrated] or [ErrTransient].
	CheckLog(ctx context.Context) error
}

// UnsafeLogError says why events of the log may be passed by readers, and so be lost to projections.
type UnsafeLogError struct {
	Faults []LogFault // at least one
}

// LogFault is one thing that is wrong with a log, and what mends it without touching an event or a row.
type LogFault struct {
	Fault  string
	Remedy string
}

func (f LogFault) String() string { return f.Fault + ": " + f.Remedy }

func (e *UnsafeLogError) Error() string {
	faults := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		faults[i] = fault.String()
	}
	return "the log may lose events: " + strings.Join(faults, "; ")
}

// UnsafeLog returns the error for faults that were found, and nil for none.
func UnsafeLog(faults []LogFault) error {
	if len(faults) == 0 {
		return nil
	}
	return &UnsafeLogError{Faults: faults}
}
