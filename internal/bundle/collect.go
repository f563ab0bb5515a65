package bundle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/store"
)

// Source is a parked key, and where its events and rows are.
type Source struct {
	Log        store.Log
	Tables     store.Tables
	Key        store.ParkedKey
	Projection *store.Projection // what the module declares
	EventsMax  int               // of the bundle
}

// pageBytes is about how much is read of the log at once.
const pageBytes = 8 << 20

var (
	errMoved = errors.New("the key is being tried at this moment: export it again")
	errLog   = errors.New("the log has other events than those that wait for the key: is it the log of these tables?")
)

// Collect reads the events and the rows of a parked key. What it was read with, such as the module, is left to the
// caller. While a key is parked its rows stay as they were before the event that failed.
//
// # Errors
//
// One when a host applies events of the key meanwhile; those of reading.
func Collect(ctx context.Context, from Source) (*Bundle, error) {
	k := &from.Key
	b := &Bundle{Manifest: Manifest{
		Projection: k.Projection.InVersion(), Attempts: k.Attempts, ParkedAt: k.ParkedAt.UTC(), Waiting: k.Events,
		Fault: Fault{Position: k.First, EventID: k.Event.String(), Error: k.Error},
	}}
	if k.Attempts == 0 { // of the event that is next, which has not failed
		return nil, errMoved
	}
	if err := b.collectEvents(ctx, &from); err != nil {
		return nil, err
	}
	if err := b.collectRows(ctx, &from); err != nil {
		return nil, err
	}
	now, err := from.Tables.Parked(ctx, store.ParkedRequest{Projection: k.Projection, Key: k.Key, Range: store.FullRange()})
	if err != nil {
		return nil, err
	}
	if len(now) != 1 || now[0].First != k.First || !now[0].ParkedAt.Equal(k.ParkedAt) {
		return nil, errMoved
	}
	return b, nil
}

// collectEvents reads the events that wait, as many as a bundle may have.
func (b *Bundle) collectEvents(ctx context.Context, from *Source) error {
	positions, err := from.Tables.ParkedPositions(ctx, from.Key.ParkedID, 0, min(from.EventsMax, EventsMax))
	if err != nil {
		return err
	}
	if len(positions) == 0 || positions[0] != from.Key.First {
		return errMoved
	}
	request := store.ReadRequest{
		After: positions[0] - 1, Through: positions[len(positions)-1], Limit: len(positions), Bytes: pageBytes,
		Range: store.FullRange(), Positions: positions, Columns: store.AllColumns,
	}
	size := 0
	for request.After < request.Through {
		var page store.Page // the events keep its memory
		if err := from.Log.Read(ctx, request, &page); err != nil {
			return err
		}
		for i := range page.Events {
			e := &page.Events[i]
			if e.Position != positions[len(b.Events)] {
				return errLog
			}
			if size += len(eventline.Append(nil, e)) + 1; size > EventsBytesMax {
				return b.cut()
			}
			b.Events = append(b.Events, *e)
		}
		request.After = page.Through
	}
	if len(b.Events) != len(positions) || b.Events[0].ID != from.Key.Event {
		return errLog
	}
	return nil
}

// cut ends the events where the limit of their size is met.
func (b *Bundle) cut() error {
	if len(b.Events) == 0 {
		return fmt.Errorf("the event that failed takes more than %d MiB, which is the limit for all events of a bundle",
			EventsBytesMax>>20)
	}
	return nil
}

// collectRows reads the rows of the key in the tables whose rows are of one key each.
func (b *Bundle) collectRows(ctx context.Context, from *Source) error {
	size := 0
	var rows store.Rows
	for i := range from.Projection.Tables {
		table := &from.Projection.Tables[i]
		if table.Ownership() != store.Owned {
			continue
		}
		request := store.RowsRequest{Projection: from.Projection, Table: table.Name, Key: from.Key.Key}
		if err := from.Tables.ReadRows(ctx, request, &rows); err != nil {
			return err
		}
		first := len(b.Rows)
		for values := range slices.Chunk(rows.Values, rows.Width) {
			row := Row{Table: table.Name, Values: AppendRow(nil, table, values, false)}
			if size += len(row.Values) + len(row.Table) + rowOverhead; size > RowsBytesMax || len(b.Rows) == RowsMax {
				return fmt.Errorf("the key has more rows than a bundle may have, which are %d and %d MiB", RowsMax,
					RowsBytesMax>>20)
			}
			b.Rows = append(b.Rows, row)
		}
		slices.SortFunc(b.Rows[first:], func(a, b Row) int { return strings.Compare(string(a.Values), string(b.Values)) })
	}
	return nil
}

// rowOverhead is what a line has besides the row and the name of its table.
const rowOverhead = 32
