package segments_test

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// TestReshard_anIdleWorkerFollows has a worker that has nothing to commit, and so would never learn from the
// database that its claims are over. The log tells that they are, as it does of those that a commit finds lost.
func TestReshard_anIdleWorkerFollows(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	options, lines := quick(), &logBuffer{}
	options.Logger = zerolog.New(lines)
	startWorker(t, s, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance"))
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(10)...))
	for n, change := range []func(*store.Layout) error{
		func(l *store.Layout) error { return l.Split(1, 3) },
		func(l *store.Layout) error { return l.Merge(0, 1) },
		func(l *store.Layout) error { return l.Resize(2) },
	} {
		if err := s.Reshard(t.Context(), store.ProjectionID{Name: "fine_balance", Version: 1}, change); err != nil {
			t.Fatal(err)
		}
		testwait.Until(t, "every segment is owned again", func() bool {
			for _, segment := range statusOf(t, s, "fine_balance").Segments {
				if segment.Owner == "" {
					return false
				}
			}
			return true
		})
		testwait.Until(t, "the log tells of a claim that is over", func() bool {
			return strings.Count(lines.String(), "segment lost to another claim") > n
		})
	}
}
