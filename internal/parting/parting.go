// Package parting finds the first event after which the rows of two versions of a projection differ, by running the
// modules of both over the events of the keys whose rows differ.
package parting

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// Options says where the modules and the events are.
type Options struct {
	Runtime *host.Runtime
	Log     store.Log
	Tables  store.Tables
	Limits  sqlite.Options // of SQL
}

// First is the first event after which the rows differ, or why it is not known.
type First struct {
	Event   *store.RecordedEvent // nil where it is not known
	Unknown string               // why, in one line
	// Keys is how many partition keys the events were of that were tried, 0 for all keys. All says that no row of
	// another key differs.
	Keys int
	All  bool
}

const (
	// eventsMax and bytesMax bound the events that modules are run over, which are in memory.
	eventsMax = 100_000
	bytesMax  = 256 << 20
	// pageEvents and pageBytes bound what is read at once.
	pageEvents = 5000
	pageBytes  = 16 << 20
)

// Find finds the event. The examples of the comparison say which keys are tried: those of rows that belong to none have
// all events tried.
//
// # Errors
//
// Those of the databases, and ctx's.
func Find(ctx context.Context, o Options, of *store.Comparison) (*First, error) {
	f := &finder{Options: o, of: of}
	defer f.close(ctx)
	for side, id := range of.Versions {
		module, why, err := trial.Stored(ctx, o.Runtime, o.Tables, id, host.Settings{})
		if err != nil {
			return nil, err
		}
		if why != "" {
			return &First{Unknown: fmt.Sprintf("of version %s %s", id.VersionText(), why)}, nil
		}
		f.modules[side] = module
	}
	horizon, err := o.Log.Horizon(ctx)
	if err != nil {
		return nil, err
	}
	if of.Log.ID != (store.UUID{}) && horizon.Log.ID != of.Log.ID {
		return &First{Unknown: "the versions follow another log than the one that is read: Options.Events names it"}, nil
	}
	first := &First{All: f.findKeys()}
	first.Keys = len(f.keys)
	why, err := f.readEvents(ctx)
	if err != nil || why != "" {
		first.Unknown = why
		return first, err
	}
	folder, err := os.MkdirTemp("", "pupwasm-diff-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	index, why, err := trial.FirstDifference(ctx, f.pair(), f.events, f.tables, folder, trial.Options{Limits: o.Limits})
	if err != nil {
		return nil, err
	}
	if first.Unknown = why; index >= 0 {
		first.Event = &f.events[index]
	}
	return first, nil
}

// finder is one search.
type finder struct {
	Options
	of      *store.Comparison
	modules [2]*host.Module // kept while others are made of the same code, which is compiled once
	keys    map[string]bool // of the rows that differ; nil where a row belongs to none
	tables  []string        // in which rows differ
	events  []store.RecordedEvent
}

func (f *finder) close(ctx context.Context) {
	for _, module := range f.modules {
		if module != nil {
			module.Close(context.WithoutCancel(ctx))
		}
	}
}

// pair makes modules of the stored code.
func (f *finder) pair() (pair trial.Pair) {
	for side := range pair {
		id := f.of.Versions[side]
		pair[side] = func(ctx context.Context) (*host.Module, error) {
			module, why, err := trial.Stored(ctx, f.Runtime, f.Tables, id, host.Settings{})
			if err == nil && why != "" {
				err = fmt.Errorf("version %s: %s", id.VersionText(), why)
			}
			return module, err
		}
	}
	return pair
}

// findKeys takes the partition keys of the examples. It reports whether these are all rows that differ.
func (f *finder) findKeys() (all bool) {
	whole := false
	all = true
	f.keys = map[string]bool{}
	for i := range f.of.Tables {
		t := &f.of.Tables[i]
		if t.In != [2]bool{true, true} {
			continue
		}
		if t.Changed == 0 && t.Only == [2]int64{} {
			continue
		}
		f.tables = append(f.tables, t.Table)
		all = all && int64(len(t.Examples)) == t.Changed+t.Only[0]+t.Only[1]
		at, column, marked := -1, store.Column{}, false
		if table, has := f.modules[0].Description.Table(t.Table); has {
			at, column, marked = table.Mark()
		}
		if !marked || !column.Partition || f.modules[0].Description.Order == store.OrderGlobal || len(t.Examples) == 0 {
			whole = true
			continue
		}
		for r := range t.Examples {
			f.keys[string(t.Examples[r].Key[at].AppendKeyText(nil))] = true
		}
	}
	if whole {
		f.keys = nil
	}
	return all || whole
}

// readEvents reads the events of the keys, up to where the versions stand.
func (f *finder) readEvents(ctx context.Context) (why string, err error) {
	var divisions [2]store.Partition
	for side, module := range f.modules {
		divisions[side] = module.Description.Division()
	}
	subscription := store.UnionOf(&f.modules[0].Description.Subscription, &f.modules[1].Description.Subscription)
	var page store.Page
	size := 0
	through := int64(0)
	for _, r := range f.of.Ranges[0] {
		through = max(through, r.Position)
	}
	for after := int64(0); after < through; after = page.Through {
		request := store.ReadRequest{
			After: after, Through: through, Limit: pageEvents, Bytes: pageBytes, Range: store.FullRange(),
			Subscription: *subscription, Columns: store.AllColumns,
		}
		if err := f.Log.Read(ctx, request, &page); err != nil {
			return "", err
		}
		for _, e := range page.Events {
			if !f.wanted(&e, divisions) {
				continue
			}
			e.Payload, e.Metadata = bytes.Clone(e.Payload), bytes.Clone(e.Metadata) // the page is read into again
			f.events, size = append(f.events, e), size+len(e.Payload)+len(e.Metadata)
			if len(f.events) > eventsMax || size > bytesMax {
				return fmt.Sprintf("the rows that differ come from more than %d events, which are too many to try again", len(f.events)-1), nil
			}
		}
	}
	return "", nil
}

// wanted reports that an event is of one of the keys, as one of the versions divides events, and applied by it.
func (f *finder) wanted(e *store.RecordedEvent, divisions [2]store.Partition) bool {
	for side, by := range divisions {
		key, err := by.Key(e)
		if err != nil || key == nil {
			key = e.StreamKey()
		}
		hash := store.PartitionHashOf(key)
		applied := slices.ContainsFunc(f.of.Ranges[side], func(r store.RangePosition) bool {
			return r.Range.Contains(hash) && e.Position <= r.Position
		})
		if applied && (f.keys == nil || f.keys[string(key)]) {
			return true
		}
	}
	return false
}
