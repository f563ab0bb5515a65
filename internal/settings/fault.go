package settings

import (
	"cmp"
	"fmt"
	"slices"
)

// Place is where something is in a file. Line and Column begin at 1; they are 0 for the file as a whole.
type Place struct {
	File         string
	Line, Column int
}

// String is "FILE:LINE:COLUMN", or the file alone.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Fault is a mistake in a file.
type Fault struct {
	Place
	Reason string // in one line: what is wrong and what is allowed
}

// Error is the place and the reason.
func (f *Fault) Error() string { return f.Place.String() + ": " + f.Reason }

// Fault makes a mistake of the place.
func (p Place) Fault(format string, args ...any) *Fault {
	return &Fault{Place: p, Reason: fmt.Sprintf(format, args...)}
}

// Faults are the mistakes of a file, by place.
type Faults []*Fault

// Error is the first one, and how many there are besides.
func (f Faults) Error() string {
	if len(f) == 1 {
		return f[0].Error()
	}
	return fmt.Sprintf("%s (and %d more)", f[0], len(f)-1)
}

// Sorted returns the faults by place.
func (f Faults) Sorted() Faults {
	return slices.SortedStableFunc(slices.Values(f), func(a, b *Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// err returns the faults in order, or nil.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f.Sorted()
}
