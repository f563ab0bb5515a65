package segments_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

var ledgerID = store.ProjectionID{Name: "ledger", Version: 1}

// ledger is a program that has the version that each stream is at, and counts events that do not follow it. It
// fails at the events that bad says.
type ledger struct {
	code    string
	bad     func(e *store.RecordedEvent) error
	onError store.ErrorPolicy
	breaks  *atomic.Int64 // of the order
}

func (l *ledger) Source() string             { return "ledger " + l.code }
func (l *ledger) Columns() store.Columns     { return store.ColumnAggregateID | store.ColumnEventType }
func (l *ledger) BatchEvents() int           { return 16 }
func (l *ledger) Transactional() bool        { return true }
func (l *ledger) Code() string               { return l.code }
func (l *ledger) OnError() store.ErrorPolicy { return l.onError }
func (l *ledger) Close(context.Context)      {}

func (l *ledger) NewProcessor(int) segments.Processor { return ledgerProcessor{l} }

func (l *ledger) Projection() *store.Projection {
	text, i64 := store.Type{Kind: store.KindText}, store.Type{Kind: store.KindI64}
	return &store.Projection{
		Name: "ledger", Version: 1, Order: store.OrderStream,
		Tables: []store.Table{{
			Name: "streams", Key: []string{"stream"}, Columns: []store.Column{
				{Name: "stream", Type: text, Partition: true, NotNull: true}, {Name: "version", Type: i64, NotNull: true},
			},
		}},
		Writes: []store.Write{{
			Name: "put", Action: store.Upsert, Table: "streams",
			Columns: []store.WriteColumn{{Name: "version", Action: store.ActionSet}},
		}},
		Queries: []store.Query{{Name: "get", Table: "streams", Columns: []string{"version"}}},
	}
}

type ledgerProcessor struct{ *ledger }

func (p ledgerProcessor) Close(context.Context) {}

func (p ledgerProcessor) Process(
	ctx context.Context, events []store.RecordedEvent, tx store.Tx,
) (output store.Output, err error) {
	versions := map[string]int64{}
	var broken int64
	for i := range events {
		e := &events[i]
		if _, known := versions[e.AggregateID]; !known {
			var rows store.Rows
			key := store.ArrayOf(store.KindText, []store.Value{store.Text(e.AggregateID)})
			if err := tx.Query(ctx, 0, []store.Value{key}, &rows); err != nil {
				return output, err
			}
			versions[e.AggregateID] = 0
			if len(rows.Values) > 0 {
				versions[e.AggregateID] = rows.Values[1].Int()
			}
		}
		if p.bad != nil {
			if err := p.bad(e); err != nil {
				return output, err
			}
		}
		if e.AggregateVersion != versions[e.AggregateID]+1 {
			broken++
		}
		versions[e.AggregateID] = e.AggregateVersion
		output.Mutations = append(output.Mutations, store.Mutation{Write: 0, Values: []store.Value{
			store.Text(e.AggregateID), store.I64(e.AggregateVersion),
		}})
	}
	p.breaks.Add(broken)
	return output, nil
}

// badType fails at events of a type.
func badType(eventType string) func(e *store.RecordedEvent) error {
	return func(e *store.RecordedEvent) error {
		if e.Type == eventType {
			return &segments.Fault{Position: e.Position, Err: errors.New("as the test has it")}
		}
		return nil
	}
}

// poisoned appends rounds of one event for each of the streams n0, n1 …, and "Bad" as version at of each stream
// that is named. It returns the last position.
func poisoned(t *testing.T, s store.Store, streams, rounds, at int, bad ...int) (head int64) {
	t.Helper()
	for round := 1; round <= rounds; round++ {
		all := make([]store.StreamAppend, streams)
		for n := range all {
			eventType := "Fine"
			for _, b := range bad {
				if b == n && round == at {
					eventType = "Bad"
				}
			}
			all[n] = store.StreamAppend{
				Stream: store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: fmt.Sprint("n", n)},
				Events: []store.Event{{Type: eventType, Payload: []byte("{}")}},
			}
		}
		head = appendTo(t, s, all...)
	}
	return head
}

// versionOf is what the ledger has of a stream.
func versionOf(t *testing.T, s store.Store, program *ledger, stream string) (version int64) {
	t.Helper()
	catalogue, err := s.Install(t.Context(), program.Projection(), 1)
	if err != nil {
		t.Fatal(err)
	}
	tx := catalogue.Begin(store.Claim{Projection: ledgerID})
	defer tx.Rollback()
	var rows store.Rows
	key := store.ArrayOf(store.KindText, []store.Value{store.Text(stream)})
	if err := tx.Query(t.Context(), 0, []store.Value{key}, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows.Values) == 0 {
		return 0
	}
	return rows.Values[1].Int()
}

// eachStore runs a test on both databases. count counts the rows of a table.
func eachStore(t *testing.T, test func(t *testing.T, s store.Store, count func(projection, table string) int)) {
	t.Helper()
	t.Parallel()
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		db := pgtest.New(t)
		test(t, openPostgres(t, db), func(projection, table string) int { return count(t, db, projection+"."+table) })
	})
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "log.db")
		test(t, logtest.At(t, path), func(projection, table string) (n int) {
			db, err := sqlite.OpenSQL(path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.QueryRow("SELECT count(*) FROM " + projection + "__" + table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		})
	})
}

// startPrograms is startWorker for other programs than modules.
func startPrograms(t *testing.T, s store.Store, options segments.Options, programs ...segments.Program) *working {
	t.Helper()
	worker := startWorker(t, s, options)
	for _, program := range programs {
		worker.SetProgram(program)
	}
	return worker
}
