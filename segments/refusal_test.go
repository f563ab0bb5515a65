package segments_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// loadMisfit loads a module that no database accepts.
func loadMisfit(t *testing.T, runtime *host.Runtime) *host.Module {
	t.Helper()
	guest := &hosttest.Guest{Describe: `{"name":"misfit","version":1,"tables":[{"name":"t","columns":[{"name":"a","type":"i64"}],"key":["a"]}],
		"writes":[{"name":"w","sql":"INSERT INTO {t} (b) VALUES (1)","unordered":true}]}`}
	module, err := runtime.Load(t.Context(), "misfit.wasm", guest.Wasm())
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// refusedBy returns what a worker says that it cannot run.
func refusedBy(t *testing.T, s store.Store, worker string) []store.Refusal {
	t.Helper()
	workers, err := s.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range workers {
		if workers[i].Name == worker {
			return workers[i].Refused
		}
	}
	return nil
}

// runBy returns what a worker says that it runs.
func runBy(t *testing.T, s store.Store, worker string) (ids []store.ProjectionID) {
	t.Helper()
	workers, err := s.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range workers {
		if workers[i].Name == worker {
			for _, member := range workers[i].Projections {
				ids = append(ids, member.ProjectionID)
			}
		}
	}
	return ids
}

// TestWorker_refusalsAreInTheDatabase has one of two workers refuse an earlier version and a module that was never
// installed. It is given the version that fits beside the first, and the others are removed.
func TestWorker_refusalsAreInTheDatabase(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	runtime := newRuntime(t, zerolog.Nop())
	options := quick()
	options.Name = "old"
	startWorker(t, s, options, loadVersion(t, runtime, "2"))
	applied(t, s, "quiet", appendTo(t, s, finesOf(10)...))

	options.Name = "new"
	refusing := startWorker(t, s, options, loadVersion(t, runtime, "1"), loadMisfit(t, runtime))
	testwait.Until(t, "both refusals are in the database", func() bool { return len(refusedBy(t, s, "new")) == 2 })
	refused := refusedBy(t, s, "new")
	if r := refused[0]; r.Projection.Name != "misfit" || r.Projection.Version != 1 ||
		!strings.Contains(r.Reason, `write "w"`) {
		t.Errorf("the first refusal is %+v", r)
	}
	if r := refused[1]; r.Projection.Name != "quiet" || r.Projection.Version != 1 ||
		!strings.Contains(r.Reason, "has version 2 live") {
		t.Errorf("the second refusal is %+v", r)
	}
	if refused := refusedBy(t, s, "old"); len(refused) > 0 {
		t.Errorf("the worker that runs it refuses %+v", refused)
	}
	refusing.Set(loadVersion(t, runtime, "2"))
	testwait.Until(t, "the version that fits runs", func() bool { return slices.Contains(runBy(t, s, "new"), quietID(2)) })
	if refused := refusedBy(t, s, "new"); len(refused) != 2 {
		t.Errorf("beside a version that runs it refuses %+v", refused)
	}
	refusing.Remove(quietID(1))
	testwait.Until(t, "the version that is removed is no longer refused", func() bool {
		refused := refusedBy(t, s, "new")
		return len(refused) == 1 && refused[0].Projection.Name == "misfit"
	})
	if run := runBy(t, s, "new"); !slices.Contains(run, quietID(2)) {
		t.Errorf("without it the worker runs %v", run)
	}
	refusing.Remove(store.ProjectionID{Name: "misfit", Version: 1})
	testwait.Until(t, "what is removed is no longer refused", func() bool { return len(refusedBy(t, s, "new")) == 0 })
}

func TestWorker_whoseModulesAreAllRefused(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	runtime := newRuntime(t, zerolog.Nop())
	options := quick()
	options.FailRefused = true
	ends, err := segments.New(s, s, options)
	if err != nil {
		t.Fatal(err)
	}
	ends.Set(loadMisfit(t, runtime))
	if err := ends.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "misfit.wasm") {
		t.Errorf("Run returns %v", err)
	}

	// With another module that runs, it goes on.
	ctx, stop := context.WithCancel(t.Context())
	goesOn, err := segments.New(s, s, options)
	if err != nil {
		t.Fatal(err)
	}
	goesOn.Set(loadMisfit(t, runtime))
	goesOn.Set(loadVersion(t, runtime, "1"))
	ended := make(chan error, 1)
	go func() { ended <- goesOn.Run(ctx) }()
	applied(t, s, "quiet", appendTo(t, s, finesOf(10)...))
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run returns %v", err)
	}

	// Without the option it waits, and says so.
	lines := &logBuffer{}
	options.FailRefused, options.Logger = false, zerolog.New(lines)
	waits := startWorker(t, s, options, loadMisfit(t, runtime))
	testwait.Until(t, "it says that it waits", func() bool {
		return strings.Contains(lines.String(),
			"no module can run, waiting")
	})
	waits.runs(t)
}
