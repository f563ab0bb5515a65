package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// Pair makes two modules, which whoever runs them closes.
type Pair [2]func(ctx context.Context) (*host.Module, error)

// FirstDifference returns the index of the first event after which rows of tables differ between two modules, found by bisection:
// of events after which they part and meet again it may be a later one. It is -1, with the reason in one line, when the
// rows are the same in the end, or a module cannot be run. Databases are made in a folder, which the caller removes.
//
// # Errors
//
// ctx's, those of making modules, and those of the databases.
func FirstDifference(
	ctx context.Context, modules Pair, events []store.RecordedEvent, tables []string, folder string, o Options,
) (index int, why string, err error) {
	b := &bisection{modules: modules, events: events, tables: tables, folder: folder, options: o}
	differ, err := b.differ(ctx, len(events))
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		return -1, refused.why, nil
	case err != nil:
		return -1, "", err
	case !differ:
		return -1, "the modules make the same rows of these events: other code has built those that are there", nil
	}
	low, high := 0, len(events) // equal after low events, different after high
	for high-low > 1 {
		middle := low + (high-low)/2
		differ, err := b.differ(ctx, middle)
		switch {
		case err != nil:
			return -1, "", err
		case differ:
			high = middle
		default:
			low = middle
		}
	}
	return high - 1, "", nil
}

// bisection runs two modules over the first events, again and again.
type bisection struct {
	modules Pair
	events  []store.RecordedEvent
	tables  []string // that count
	folder  string
	options Options
}

// refusedError says why a module cannot be run here.
type refusedError struct{ why string }

// Error is the reason.
func (e *refusedError) Error() string { return e.why }

// differ reports whether the rows differ after the first n events.
func (b *bisection) differ(ctx context.Context, n int) (bool, error) {
	log := NewLog(b.events[:n])
	var results [2]*Result
	for i, make := range b.modules {
		module, err := make(ctx)
		if err != nil {
			return false, err
		}
		options := b.options
		options.Path, options.ParkAll = filepath.Join(b.folder, fmt.Sprintf("first-%d-%d.db", n, i)), true
		results[i], err = Run(ctx, module, log, options)
		if ctx.Err() == nil && err != nil {
			if refusal := Refused(err); refusal != nil {
				err = fmt.Errorf("SQLite, on which it is tried, does not accept it: %w", refusal)
			}
			return false, &refusedError{oneline.Of(err)}
		}
		if err != nil {
			return false, err
		}
		defer os.Remove(options.Path)
	}
	differences, err := Compare(ctx, results[0], results[1])
	if err != nil {
		return false, err
	}
	for _, d := range differences {
		if d.Differ > 0 && slices.Contains(b.tables, d.Table) {
			return true, nil
		}
	}
	return false, nil
}
