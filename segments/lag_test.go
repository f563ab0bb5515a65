package segments_test

import (
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestSegment_checkpointsLagOverNothingAndFollow has single events pass eight segments. Each concerns one; the
// others do not commit at every event, and yet soon are where the log ends.
func TestSegment_checkpointsLagOverNothingAndFollow(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name string
		open func(t *testing.T) store.Store
	}{
		{"PostgreSQL", func(t *testing.T) store.Store { return openPostgres(t, pgtest.New(t)) }},
		{"SQLite", func(t *testing.T) store.Store { return logtest.New(t) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			const events, count = 100, 8
			s := &commitWatch{Store: kind.open(t)}
			options := quick()
			options.Segments = count
			startWorker(t, s, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
			var head int64
			for range events {
				head = appendTo(t, s.Store, payments("A1", 100))
			}
			applied(t, s.Store, "fine_balance", head)
			if moves, _ := s.seen(); len(moves) > events*count/2 {
				t.Errorf("%d commits for %d events that pass %d segments", len(moves), events, count)
			}
		})
	}
}
