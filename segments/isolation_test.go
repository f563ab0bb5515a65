package segments_test

import (
	"fmt"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// TestWorker_projectionsAreIndependent has, in one process and over one pool of connections, a projection whose
// every commit hangs, one whose every batch fails, and one that is well: it must not notice the others.
func TestWorker_projectionsAreIndependent(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	runtime := newRuntime(t, zerolog.Nop())
	options := quick()
	options.Segments = 8 // each of the others could take every connection
	worker := startWorker(t, s, options,
		loadExample(t, runtime, "activity_log"), loadTest(t, runtime, "misbehave"), loadExample(t, runtime, "fine_balance"))
	applied(t, s, "activity_log", appendTo(t, s, payments("first", 0)))

	lock, err := db.Connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), "LOCK TABLE "+pgtest.Table("activity_log", 1,
		"activity")+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var head int64
	for round := range 5 {
		fines := finesOf(40)
		poison := make([]store.StreamAppend, len(fines))
		for i := range poison {
			poison[i] = noted("Error")
			poison[i].Stream.AggregateID = fmt.Sprint("poison", i)
		}
		head = appendTo(t, s, append(poison, fines...)...)
		applied(t, s, "fine_balance", head)
		if cents := paid(t, db); cents != int64(40*(round+1)) {
			t.Errorf("round %d: %d cents are in, must be %d", round, cents, 40*(round+1))
		}
	}
	for _, segment := range statusOf(t, s, "activity_log").Segments {
		if segment.Position >= head || segment.Failure != "" {
			t.Errorf("the projection that hangs stands at %+v", segment)
		}
	}
	testwait.Until(t, "every segment of the failing projection is recorded as failed", func() bool {
		failed := 0
		for _, segment := range statusOf(t, s, "misbehave").Segments {
			if segment.Failure != "" {
				failed++
			}
		}
		return failed == 8
	})
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	applied(t, s, "activity_log", head)
	worker.runs(t)
}
