package segments_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// moves counts the commits of a store that move a checkpoint.
type moves struct {
	store.Store
	count atomic.Int64
}

func (m *moves) Install(ctx context.Context, projection *store.Projection, count int) (store.Catalogue, error) {
	catalogue, err := m.Store.Install(ctx, projection, count)
	return movingCatalogue{catalogue, m}, err
}

type movingCatalogue struct {
	store.Catalogue
	moves *moves
}

func (c movingCatalogue) Begin(claim store.Claim) store.Tx {
	return movingTx{c.Catalogue.Begin(claim), c.moves}
}

type movingTx struct {
	store.Tx
	moves *moves
}

func (t movingTx) Commit(ctx context.Context, through int64, steps []store.Step) error {
	t.moves.count.Add(1)
	return t.Tx.Commit(ctx, through, steps)
}

// TestSegment_checkpointsLagOverNothingAndFollow has single events pass eight segments. Each concerns one; the others do not commit
// at every event, and yet soon are where the log ends.
func TestSegment_checkpointsLagOverNothingAndFollow(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name string
		open func(t *testing.T) store.Store
	}{
		{"PostgreSQL", func(t *testing.T) store.Store { return openPostgres(t, pgtest.New(t)) }},
		{"SQLite", func(t *testing.T) store.Store { return segments.NewLog(t) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			const events, count = 100, 8
			s := &moves{Store: kind.open(t)}
			options := quick()
			options.Segments = count
			startWorker(t, s, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
			var head int64
			for range events {
				head = appendTo(t, s.Store, payments("A1", 100))
			}
			if err := segments.WaitForPosition(t.Context(), s.Store, "fine_balance", head); err != nil {
				t.Fatal(err)
			}
			if n := s.count.Load(); n > events*count/2 {
				t.Errorf("%d commits for %d events that pass %d segments", n, events, count)
			}
		})
	}
}
