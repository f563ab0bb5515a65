package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
)

// messagesAt are messages of the event at a position, each of another key.
func messagesAt(position int64, count int) []store.Message {
	all := make([]store.Message, count)
	for i := range all {
		key := fmt.Appendf(nil, "customer-%d", i)
		all[i] = store.Message{
			MessageID: store.MessageID{Projection: "sums", Version: 1, Position: position, Index: i},
			Type:      "order_paid", Subject: "shop.orders.paid", Key: key, ContentType: "application/json",
			Data:   fmt.Appendf(nil, `{"order": "order-%d-%d", "customer": "customer-%d", "cents": 1999}`, position, i, i),
			Spread: store.Spread(store.PartitionHashOf(key)), Time: time.UnixMicro(1_700_000_000_000_000),
		}
	}
	return all
}

// BenchmarkCommit_messages measures a transaction with messages, beside the same without.
func BenchmarkCommit_messages(b *testing.B) {
	for _, shape := range []struct{ rows, messages int }{{1, 0}, {1, 1}, {100, 0}, {100, 100}, {1000, 0}, {1000, 1000}} {
		b.Run(fmt.Sprintf("%d_rows_%d_messages", shape.rows, shape.messages), func(b *testing.B) {
			db := pgtest.New(b)
			r := newRig(b, db, db.DSN, postgres.Options{Lazy: true})
			must(b, r.store.BeginSending(context.Background(), sums(), r.claim.Applied.Log, 0))
			mutations := make([]store.Mutation, shape.rows)
			for i := range mutations {
				mutations[i] = add(fmt.Sprint("name", i), 1)
			}
			round := 0
			b.ReportAllocs()
			for b.Loop() {
				round++
				tx := r.catalogue.Begin(r.claim)
				must(b, tx.Commit(context.Background(), store.Commit{
					Through: r.claim.Position + 1, Steps: r.folder.Fold(mutations), Log: r.claim.Applied.Log,
					Messages: messagesAt(r.claim.Position+1, shape.messages),
				}))
				tx.Rollback()
				r.claim.Position++
			}
			if shape.messages > 0 {
				b.ReportMetric(float64(round*shape.messages)/b.Elapsed().Seconds(), "messages/s")
			}
		})
	}
}

// fillOutbox puts messages in, of so many keys, at the positions behind one.
func fillOutbox(t testing.TB, db pgtest.Database, after, count, keys int) {
	t.Helper()
	execute(t, db.Connect(t), fmt.Sprintf(`INSERT INTO pupwasm.outbox (projection, position, n, version, type, subject,
		key, spread, content_type, data, trace_parent, event_at, held)
		SELECT 'sums', %d + g, 0, 1, 'order_paid', 'shop.orders.paid', convert_to('customer-' || g %% %d, 'UTF8'), g,
			'application/json', convert_to('{"order": "order-' || g || '", "cents": 1999}', 'UTF8'), '', now(), false
		FROM generate_series(1, %d) g`, after, keys, count))
}

// BenchmarkPending measures what a relay asks: of a queue that is long, that is long behind one key that waits, and
// that was long.
func BenchmarkPending(b *testing.B) {
	const long = 1_000_000
	for _, shape := range []struct {
		name    string
		prepare func(b *testing.B, db pgtest.Database, s postgres.Backend)
	}{
		{"empty", func(*testing.B, pgtest.Database, postgres.Backend) {}},
		{"long", func(b *testing.B, db pgtest.Database, _ postgres.Backend) {
			b.Helper()
			fillOutbox(b, db, 0, long, 1000)
		}},
		{"long_behind_one_key", func(b *testing.B, db pgtest.Database, s postgres.Backend) {
			b.Helper()
			fillOutbox(b, db, 0, long, 1)
			first, err := s.Pending(context.Background(), "sums", 1, 1)
			must(b, err)
			must(b, s.Undelivered(context.Background(), []store.Undelivered{{OutboxID: first[0].ID(), RetryAfter: -1}}))
			fillOutbox(b, db, long, 1000, 1000)
			for range long/100_000 + 1 { // puts them aside
				_, err := s.Pending(context.Background(), "sums", 500, 8<<20)
				must(b, err)
			}
		}},
		{"long_ago", func(b *testing.B, db pgtest.Database, _ postgres.Backend) {
			b.Helper()
			execute(b, db.Connect(b), "ALTER TABLE pupwasm.outbox SET (autovacuum_enabled = off)")
			fillOutbox(b, db, 0, long, 1000)
			execute(b, db.Connect(b), "DELETE FROM pupwasm.outbox")
			fillOutbox(b, db, long, 1000, 1000)
		}},
	} {
		b.Run(shape.name, func(b *testing.B) {
			db := pgtest.New(b)
			s := open(b, db)
			shape.prepare(b, db, s)
			messages := 0
			for b.Loop() {
				all, err := s.Pending(context.Background(), "sums", 500, 8<<20)
				must(b, err)
				messages += len(all)
			}
			b.ReportMetric(float64(messages)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkSent measures a relay that asks, and notes what it has sent.
func BenchmarkSent(b *testing.B) {
	for _, keep := range []bool{false, true} {
		b.Run(fmt.Sprintf("keep_%t", keep), func(b *testing.B) {
			db := pgtest.New(b)
			s := open(b, db)
			messages, filled := 0, 0
			for b.Loop() {
				all, err := s.Pending(context.Background(), "sums", 500, 8<<20)
				must(b, err)
				if len(all) == 0 {
					b.StopTimer()
					fillOutbox(b, db, filled, 100_000, 1000)
					filled += 100_000
					b.StartTimer()
				}
				ids := make([]store.OutboxID, len(all))
				for i := range all {
					ids[i] = all[i].ID()
				}
				must(b, s.Sent(context.Background(), ids, keep))
				messages += len(all)
			}
			b.ReportMetric(float64(messages)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
