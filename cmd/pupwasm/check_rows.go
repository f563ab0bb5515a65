package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// fill creates the database and appends the events.
func (o *globalOptions) fill(ctx context.Context, events []store.StreamAppend) (store.Store, error) {
	if err := migrateUp(ctx, o); err != nil {
		return nil, err
	}
	to, err := openStore(ctx, o)
	if err != nil {
		return nil, err
	}
	for part := range slices.Chunk(events, demoBatch) {
		if _, err := to.Append(ctx, store.AppendOptions{}, part...); err != nil {
			to.Close()
			return nil, err
		}
	}
	return to, nil
}

// runOnce applies all events.
func runOnce(ctx context.Context, to store.Store, module *host.Module, w variant, logger zerolog.Logger) error {
	worker, err := segments.New(to, to, segments.Options{
		Once: true, FailRefused: true, Logger: logger, Segments: w.segments, BatchEvents: w.batch,
		Rebalance: 10 * time.Millisecond,
	})
	if err != nil {
		module.Close(ctx)
		return err
	}
	worker.Set(module)
	return worker.Run(ctx)
}

// checkedRows are the rows of each table of a projection, as JSON in the order of the texts.
type checkedRows []checkedTable

type checkedTable struct {
	name string
	rows []string
}

func readRows(ctx context.Context, globals *globalOptions, module *host.Module) (checkedRows, error) {
	at, err := globals.target()
	if err != nil {
		return nil, err
	}
	db, err := at.openSQL(at)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	all := checkedRows{}
	for i := range module.Description.Tables {
		table := checkedTable{name: module.Description.Tables[i].Name}
		rows, err := db.QueryContext(ctx, "SELECT * FROM "+at.tableName(globals.schema,
			module.Description.Name, table.name))
		if err != nil {
			return nil, fmt.Errorf("reading table %s: %w", table.name, err)
		}
		columns, err := rows.Columns()
		for err == nil && rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for n := range values {
				into[n] = &values[n]
			}
			if err = rows.Scan(into...); err == nil {
				table.rows = append(table.rows, rowText(columns, values))
			}
		}
		if err == nil {
			err = rows.Err()
		}
		rows.Close()
		if err != nil {
			return nil, fmt.Errorf("reading table %s: %w", table.name, err)
		}
		slices.Sort(table.rows)
		all = append(all, table)
	}
	return all, nil
}

// rowText is a row as name=value, with NULL and the text "NULL" distinct.
func rowText(columns []string, values []any) string {
	parts := make([]string, len(columns))
	for i, value := range values {
		if bytes, is := value.([]byte); is {
			value = fmt.Sprintf("%x", bytes)
		}
		text, err := json.Marshal(value)
		if err != nil { // a number that JSON does not have
			text = fmt.Append(nil, value)
		}
		parts[i] = columns[i] + "=" + string(text)
	}
	return strings.Join(parts, " ")
}

func (r checkedRows) rows() (n int64) {
	for i := range r {
		n += int64(len(r[i].rows))
	}
	return n
}

// difference describes one row that differs, or returns "".
func (r checkedRows) difference(other checkedRows) string {
	for i := range r {
		only, others := withoutEqual(r[i].rows, other[i].rows)
		switch {
		case len(only) > 0 && len(others) > 0:
			return fmt.Sprintf("table %s has %s, and had %s", r[i].name, shortened(others[0]), shortened(only[0]))
		case len(only) > 0:
			return fmt.Sprintf("table %s lacks %s", r[i].name, shortened(only[0]))
		case len(others) > 0:
			return fmt.Sprintf("table %s has %s besides", r[i].name, shortened(others[0]))
		}
	}
	return ""
}

// withoutEqual returns what is in only one of two sorted lists.
func withoutEqual(a, b []string) (onlyA, onlyB []string) {
	for len(a) > 0 && len(b) > 0 {
		switch strings.Compare(a[0], b[0]) {
		case 0:
			a, b = a[1:], b[1:]
		case -1:
			onlyA, a = append(onlyA, a[0]), a[1:]
		default:
			onlyB, b = append(onlyB, b[0]), b[1:]
		}
	}
	return append(onlyA, a...), append(onlyB, b...)
}

const shownRow = 160

func shortened(row string) string {
	if runes := []rune(row); len(runes) > shownRow {
		return printable(string(runes[:shownRow-1])) + "…"
	}
	return printable(row)
}

// makeEvents makes events that a module subscribes to: those of the demo if it knows them, otherwise plain ones
// of its types.
func makeEvents(subscription *store.Subscription, count int, seed uint64) []store.StreamAppend {
	events := make([]store.StreamAppend, 0, count)
	made := newDemoEvents(seed)
	for tries := 0; len(events) < count && tries < 50*count; tries++ {
		if e := made.next(); subscription.Matches(e.Stream, e.Events[0].Type) &&
			(len(subscription.EventTypes) > 0 || len(subscription.BoundedContexts) > 0) {
			events = append(events, withID(e, len(events)))
		}
	}
	random := rand.New(rand.NewPCG(seed, seed))
	pick := func(names []string, otherwise ...string) string {
		if len(names) == 0 {
			names = otherwise
		}
		return names[random.IntN(len(names))]
	}
	at := time.Date(2025, time.January, 1, 8, 0, 0, 0, time.UTC)
	for len(events) < count {
		at = at.Add(time.Duration(random.IntN(3600)) * time.Second)
		id := fmt.Sprintf("made-%d", random.IntN(20))
		events = append(events, withID(store.StreamAppend{
			Stream: store.Stream{
				BoundedContext: pick(subscription.BoundedContexts, "Check"), AggregateType: pick(subscription.AggregateTypes,
					"Thing", "Other"), AggregateID: id,
			},
			Events: []store.Event{{
				Type: pick(subscription.EventTypes, "Created", "Changed", "Closed"), CreatedAt: at,
				Payload: fmt.Appendf(nil, `{"id":%q,"name":"name %d","amount":"%d.%02d","n":%d}`, id, random.IntN(9),
					random.IntN(99), random.IntN(100), random.IntN(9)),
			}},
		}, len(events)))
	}
	return events
}

// withID gives an event an id that is the same each time.
func withID(e store.StreamAppend, number int) store.StreamAppend {
	id := &e.Events[0].ID
	*id = store.UUID{}
	copy(id[:], fmt.Sprintf("check%011d", number))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8 of UUIDs: custom
	return e
}
