package sqlite_test

import (
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// TestCommit_durabilityIsThatOfTheClaim looks at the setting of the writer after each commit, and in one that a program
// writes in. Other writes go by the option of the store again.
func TestCommit_durabilityIsThatOfTheClaim(t *testing.T) {
	t.Parallel()
	const normal, full = 1, 2
	for _, with := range []struct {
		durable bool
		claim   store.Durability
		want    int
		others  int
	}{
		{false, store.DurabilityOfStore, normal, normal},
		{true, store.DurabilityOfStore, full, full},
		{false, store.Durable, full, normal},
		{true, store.Volatile, normal, full},
	} {
		ctx := t.Context()
		s := open(t, migrated(t), sqlite.Options{Durable: with.durable})
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		mode := func() int {
			t.Helper()
			mode, err := s.Synchronous(ctx)
			must(err)
			return mode
		}
		beat := func() {
			t.Helper()
			must(s.Heartbeat(ctx, store.Worker{Name: "w"}, time.Hour))
		}
		_, err := s.Append(ctx, store.AppendOptions{}, store.StreamAppend{
			Stream: store.Stream{BoundedContext: "A", AggregateType: "B", AggregateID: "1"},
			Events: []store.Event{{Type: "E"}, {Type: "E"}},
		})
		must(err)
		beat()
		p := &store.Projection{Name: "bare", Version: 1, Order: store.OrderStream}
		catalogue, err := s.Install(ctx, p, 1)
		must(err)
		claims, err := s.Claim(ctx, store.ClaimRequest{Projection: p.ID(), Worker: "w", Limit: 1})
		must(err)
		claim := claims[0]
		claim.Durability = with.claim
		var page store.Page
		must(s.Read(ctx, store.ReadRequest{Through: claim.Position + 2, Limit: 2, Range: store.FullRange()}, &page))

		commit := func(tx store.Tx) {
			t.Helper()
			must(tx.Commit(ctx, store.Commit{Through: claim.Position + 1, Log: page.Log}))
			claim.Position++
			tx.Rollback()
		}
		commit(catalogue.Begin(claim))
		if got := mode(); got != with.want {
			t.Errorf("%+v: a commit has synchronous = %d", with, got)
		}
		beat()
		if got := mode(); got != with.others {
			t.Errorf("%+v: another write has synchronous = %d", with, got)
		}
		tx := catalogue.Begin(claim)
		handle, err := tx.(store.NativeTx).Native(ctx)
		must(err)
		statement, _, err := handle.(*sqlite3.Conn).Prepare("PRAGMA synchronous")
		must(err)
		if !statement.Step() || statement.ColumnInt(0) != with.want {
			t.Errorf("%+v: a program writes with synchronous = %d", with, statement.ColumnInt(0))
		}
		must(statement.Close())
		commit(tx)
	}
}
