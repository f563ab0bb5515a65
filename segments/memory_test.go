package segments_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestWorker_eventBytesBoundWhatIsInMemory has more segments than a few large events fit into memory at once:
// all is applied, the bound holds, except for what every segment may have beyond it, and nothing of it is left
// over.
func TestWorker_eventBytesBoundWhatIsInMemory(t *testing.T) {
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
			const count, eventBytes, events = 8, 100_000, 40
			s := kind.open(t)
			payload := fmt.Appendf(nil, `{"data":%q}`, bytes.Repeat([]byte("x"), eventBytes))
			var head int64
			for i := range events {
				head = appendTo(t, s, store.StreamAppend{
					Stream: store.Stream{BoundedContext: "C", AggregateType: "T", AggregateID: fmt.Sprint("S", i)},
					Events: []store.Event{{Type: "Large", Payload: payload}},
				})
			}
			options := quick()
			options.Segments, options.EventBytes = count, 1<<20
			runtime := newRuntime(t, zerolog.Nop())
			w := startWorker(t, s, options, loadExample(t, runtime, "activity_log"), loadExample(t, runtime, "user_counter"))
			most := 0
			testwait.Until(t, "all is applied", func() bool {
				most = max(most, segments.UsedBytes(w.Worker))
				for _, p := range w.Progress() {
					if !p.Known || p.Position < head {
						return false
					}
				}
				return true
			})
			// A read is let through by what it expects, and may bring one event more; rows are counted once
			// they are there.
			if limit := 1<<20 + count*3*eventBytes; most > limit {
				t.Errorf("up to %d bytes were in memory, more than %d", most, limit)
			}
			w.stop()
			if left := segments.UsedBytes(w.Worker); left != 0 {
				t.Errorf("%d bytes are left over", left)
			}
		})
	}
}
