package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// benchPayload is of a usual size.
var benchPayload = []byte(`{"amount":1250,"currency":"EUR","reason":"returned late","member":"0192f0c1-6f5e-7b7e-9a55-1f9d7c1f2a10"}`)

// BenchmarkAppend measures events appended in one call: one event, and many to many streams.
func BenchmarkAppend(b *testing.B) {
	for _, shape := range []struct{ streams, each int }{{1, 1}, {1, 10}, {1000, 5}, {1, 5000}} {
		b.Run(fmt.Sprintf("%dx%d", shape.streams, shape.each), func(b *testing.B) {
			s := open(b, mariadbtest.New(b).URL, mysql.Options{})
			appends := make([]store.StreamAppend, shape.streams)
			b.ReportAllocs()
			round := 0
			for b.Loop() {
				round++
				for i := range appends {
					// Half of the streams are new and half have events.
					id := fmt.Sprint("stream-", i)
					if i%2 == 1 {
						id = fmt.Sprint("stream-", i, "-", round)
					}
					appends[i] = store.StreamAppend{Stream: stream(id), Events: events(shape.each)}
				}
				if _, err := s.Append(context.Background(), store.AppendOptions{}, appends...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(round*shape.streams*shape.each)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkAppend_writers has 16 writers at once on a server that waits for the disk, each with streams of its own: by
// Append, and by INSERTs as a program would write them that knows the version.
func BenchmarkAppend_writers(b *testing.B) {
	const writers, streams = 16, 50
	server, err := mariadbserver.StartDurable()
	must(b, err)
	b.Cleanup(server.Stop)
	var round atomic.Int64
	way := func(name string, connect func(b *testing.B, at mariadbtest.Database) func(id string, version int64) error) {
		b.Run(name, func(b *testing.B) {
			at := mariadbtest.On(b, server)
			at.Migrate(b, "pupwasm")
			write := connect(b, at)
			number := round.Add(1)
			var group sync.WaitGroup
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			for writer := range writers {
				group.Go(func() {
					for n := int64(0); left.Add(-1) >= 0; n++ {
						id := fmt.Sprintf("stream-%d-%d-%d", number, writer, n%streams)
						if err := write(id, n/streams+1); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
	way("append", func(b *testing.B, at mariadbtest.Database) func(id string, version int64) error {
		b.Helper()
		s := open(b, at.URL, mysql.Options{})
		return func(id string, version int64) error {
			_, err := s.Append(context.Background(), store.AppendOptions{}, store.StreamAppend{
				Stream: stream(id), Expected: store.Exact(version - 1),
				Events: []store.Event{{Type: "LoanFined", Payload: benchPayload}},
			})
			return err
		}
	})
	way("insert", func(b *testing.B, at mariadbtest.Database) func(id string, version int64) error {
		b.Helper()
		db, err := mysql.OpenSQL(at.URL)
		must(b, err)
		b.Cleanup(func() { _ = db.Close() })
		db.SetMaxOpenConns(writers)
		db.SetMaxIdleConns(writers)
		insert, err := db.Prepare("INSERT INTO pupwasm__events (bounded_context, aggregate_type, aggregate_id, aggregate_version, " +
			"event_id, event_type, payload, partition_hash) VALUES ('shop', 'order', ?, ?, ?, 'LoanFined', ?, ?)")
		must(b, err)
		b.Cleanup(func() { _ = insert.Close() })
		return func(id string, version int64) error { return insertPrepared(insert, id, version) }
	})
}

func insertPrepared(insert *sql.Stmt, id string, version int64) error {
	event := uuid.Must(uuid.NewV7())
	_, err := insert.Exec(id, version, event[:], benchPayload, int64(store.PartitionHash(id)))
	return err
}

// BenchmarkRead measures how fast the log is read, with everything and with what a lean projection asks for.
func BenchmarkRead(b *testing.B) {
	const count = 100_000
	at := mariadbtest.New(b)
	s := open(b, at.URL, mysql.Options{})
	appends := make([]store.StreamAppend, 5000)
	for range count / len(appends) {
		for i := range appends {
			appends[i] = store.StreamAppend{
				Stream: stream(fmt.Sprint("order-", i)), Events: []store.Event{{Type: "placed", Payload: benchPayload}},
			}
		}
		_, err := s.Append(context.Background(), store.AppendOptions{}, appends...)
		must(b, err)
	}
	for _, request := range []struct {
		name string
		of   store.ReadRequest
	}{
		{"all", store.ReadRequest{Range: store.FullRange(), Columns: store.AllColumns}},
		{"lean", store.ReadRequest{
			Range: store.FullRange(), Columns: store.ColumnEventType | store.ColumnAggregateID | store.ColumnPayload,
		}},
		{"half", store.ReadRequest{Range: store.SplitRange(2)[0], Columns: store.AllColumns}},
		{"scoped", store.ReadRequest{
			Range: store.FullRange(), Columns: store.AllColumns,
			Subscription: store.Subscription{
				BoundedContexts: []string{"shop"}, AggregateTypes: []string{"order"}, EventTypes: []string{"placed"},
			},
		}},
	} {
		b.Run(request.name, func(b *testing.B) {
			var page store.Page
			events := 0
			b.ReportAllocs()
			for b.Loop() {
				r := request.of
				r.Through, r.Limit = count, 1000
				for r.After < r.Through {
					must(b, s.Read(context.Background(), r, &page))
					events += len(page.Events)
					r.After = page.Through
				}
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
