package segments_test

import (
	"context"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// unseen is a store whose projections readers do not see.
type unseen struct {
	store.Store
	atOnce bool
}

func (s unseen) Status(ctx context.Context, only ...string) ([]store.ProjectionStatus, error) {
	all, err := s.Store.Status(ctx, only...)
	for i := range all {
		all[i].Live = false
	}
	return all, err
}

func (s unseen) WritesAtOnce() bool { return s.atOnce }

// TestPipeline_whatReadersDoNotSeeHasLargerCommits unless they would keep others waiting.
func TestPipeline_whatReadersDoNotSeeHasLargerCommits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		atOnce      bool
		least, most int // commits
	}{{true, 2, 29}, {false, 30, 100}} {
		watch := &commitWatch{Store: unseen{logtest.New(t), test.atOnce}}
		appendTo(t, watch, manyPayments(3000, 7)...)
		options := segments.Options{BatchEvents: 10, CommitEvents: 100}
		if err := runOnce(t, watch, options, loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance")); err != nil {
			t.Fatal(err)
		}
		if moves, _ := watch.seen(); len(moves) < test.least || len(moves) > test.most {
			t.Errorf("%d commits, must be %d to %d: %v", len(moves), test.least, test.most, moves)
		}
	}
}
