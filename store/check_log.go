package store

import (
	"context"
	"strings"
)

// LogChecker finds what would make readers skip events of the log.
type LogChecker interface {
	// CheckLog checks that positions are given as [Horizon] needs it: by the log itself, in order, and behind the
	// fence. It finds what was not refused when it happened, because somebody changed the log's own objects. It is
	// cheap: a worker calls it when it begins, and once a minute.
	//
	// # Errors
	//
	// [*UnsafeLogError], [ErrNotMigrated] or [ErrTransient].
	CheckLog(ctx context.Context) error
}

// UnsafeLogError says why readers may skip events of the log, which projections would lose.
type UnsafeLogError struct {
	Faults []LogFault // at least one
}

// LogFault is one thing that is wrong with a log, and a remedy that touches no event and no row.
type LogFault struct {
	Fault  string // what was found
	Remedy string // what fixes it
}

// String has the fault and its remedy in one line.
func (f LogFault) String() string { return f.Fault + ": " + f.Remedy }

// Error has all faults, with their remedies, in one line.
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
