package dev

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/rowtext"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// rowsMax is how many rows of a table are looked at.
	rowsMax = 1000
	// changedMax is how many rows of a table are shown that changed last.
	changedMax = 5
	// readTimeout bounds a look at the databases.
	readTimeout = 5 * time.Second
)

// rowWatch finds the rows that have changed since it last looked.
type rowWatch struct {
	tables     store.Store
	state      *board
	projection *store.Projection
	seen       map[string]map[string]string // text of a row by table and key
}

func newRowWatch(tables store.Store, state *board) *rowWatch {
	return &rowWatch{tables: tables, state: state, seen: map[string]map[string]string{}}
}

// of says whose rows they are.
func (w *rowWatch) of(projection *store.Projection) { w.projection = projection }

// look reads the rows and notes what has changed.
func (w *rowWatch) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	published, err := w.tables.Published(ctx, w.projection.Name)
	if err != nil {
		if ctx.Err() == nil {
			w.state.say("reading the rows: " + oneline.Of(err))
		}
		return
	}
	for i := range published.Tables {
		if err := w.table(ctx, published, &published.Tables[i]); err != nil && ctx.Err() == nil {
			w.state.say("reading the rows: " + oneline.Of(err))
		}
	}
}

func (w *rowWatch) table(ctx context.Context, p *store.Projection, table *store.Table) error {
	var rows store.Rows
	err := w.tables.ReadRows(ctx, store.RowsRequest{Projection: p, Table: table.Name, Ordered: true, Limit: rowsMax + 1}, &rows)
	if err != nil {
		return err
	}
	before, after := w.seen[table.Name], map[string]string{}
	t := TableState{Name: table.Name}
	for values := range slices.Chunk(rows.Values, max(rows.Width, 1)) {
		if t.Rows == rowsMax {
			t.More = true
			break
		}
		t.Rows++
		key, text := rowOf(table, values, t.Rows)
		after[key] = text
		if before[key] != text {
			t.keys, t.Changed = append(t.keys, key), append(t.Changed, text)
		}
	}
	for key, text := range before {
		if _, there := after[key]; !there && !t.More {
			t.keys, t.Changed = append(t.keys, key), append(t.Changed, text+" (gone)")
		}
	}
	w.seen[table.Name] = after
	w.state.rows(t)
	return nil
}

// rowOf is the key of a row, which is its place where the table has none, and its text.
func rowOf(table *store.Table, values []store.Value, place int) (key, text string) {
	var keys, all []string
	for i, value := range values {
		part := table.Columns[i].Name + "=" + rowtext.Of(value)
		if slices.Contains(table.Key, table.Columns[i].Name) {
			keys = append(keys, part)
		}
		all = append(all, part)
	}
	if len(keys) == 0 {
		keys = []string{fmt.Sprint(place)}
	}
	return strings.Join(keys, " "), strings.Join(all, " ")
}
