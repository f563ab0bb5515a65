package segments_test

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// TestWorker_anInterruptedOnceIsNotASuccess has a worker that is stopped before it reached its target.
func TestWorker_anInterruptedOnceIsNotASuccess(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	if _, err := s.Append(t.Context(), store.AppendOptions{}, payments("A1", 1)); err != nil {
		t.Fatal(err)
	}
	// Another worker holds the segment and does not move.
	runtime := newRuntime(t, zerolog.Nop())
	module := loadExample(t, runtime, "fine_balance")
	if _, err := s.Install(t.Context(), &module.Description.Projection, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Heartbeat(t.Context(), store.Worker{Name: "other"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if claims, err := s.Claim(t.Context(),
		store.ClaimRequest{
			Projection: store.ProjectionID{Name: "fine_balance", Version: 1}, Worker: "other",
			Limit: 1,
		}); err != nil || len(claims) != 1 {
		t.Fatalf("claims %v, error %v", claims, err)
	}
	worker, err := segments.New(s, s, segments.Options{OnError: store.ErrorStop, Once: true})
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(module)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := worker.Run(ctx); err == nil {
		t.Error("Run returns nil, must say that it was interrupted")
	}
}

// TestOnce_leavesWhatItHasDoneToOthers has a worker that runs once wait long for one projection, while new
// events come for another that it is done with.
func TestOnce_leavesWhatItHasDoneToOthers(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openPostgres(t, db)
	runtime := newRuntime(t, zerolog.Nop())
	for _, name := range []string{"fine_balance", "activity_log"} {
		module := loadExample(t, runtime, name)
		if _, err := s.Install(t.Context(), &module.Description.Projection, 4); err != nil {
			t.Fatal(err)
		}
	}
	head := appendTo(t, s, finesOf(10)...)
	lock, err := db.Connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), "LOCK TABLE "+pgtest.Table("activity_log", 1,
		"activity")+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	options := quick()
	options.Once = true
	once := startWorker(t, s, options, loadExample(t, runtime, "fine_balance"), loadExample(t, runtime, "activity_log"))
	applied(t, s, "fine_balance", head)
	startWorker(t, s, quick(), loadExample(t, runtime, "fine_balance"))
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(40)...))
	once.runs(t)
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-once.ended
}
