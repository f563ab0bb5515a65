package segments_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// sizes collects the events of batches.
type sizes struct {
	mu  sync.Mutex
	all []int
}

func (s *sizes) add(batch segments.ObservedBatch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, batch.Events)
}

// largest returns the size of the largest batch since the last call.
func (s *sizes) largest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	largest := slices.Max(append(s.all, 0))
	s.all = nil
	return largest
}

// TestWorker_settingsOfAProjectionChangeWhileItRuns has a worker get the module that it runs with other settings. They
// come before those of the options, and a module without settings of its own has those again.
func TestWorker_settingsOfAProjectionChangeWhileItRuns(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	runtime := newRuntime(t, zerolog.Nop())
	batches, installed := &sizes{}, make(chan segments.ObservedProgram, 1)
	options := quick()
	options.Observer = &segments.Observer{
		Applied: batches.add, Installed: func(p segments.ObservedProgram) { installed <- p },
	}
	options.BatchEvents, options.Segments = 90, 1
	options.Projections = map[string]segments.ProjectionOptions{"fine_balance": {BatchEvents: 11, CommitEvents: 11}}
	worker := startWorker(t, s, options)
	for _, step := range []struct {
		options segments.ProjectionOptions
		want    int
	}{
		{segments.ProjectionOptions{BatchEvents: 5}, 5},
		{segments.ProjectionOptions{BatchEvents: 60}, 60},
		{segments.ProjectionOptions{}, 11},
	} {
		if err := worker.SetWith(loadExample(t, runtime, "fine_balance"), step.options); err != nil {
			t.Fatal(err)
		}
		<-installed
		applied(t, s, "fine_balance", appendTo(t, s, finesOf(200)...))
		if got := batches.largest(); got != step.want {
			t.Errorf("with %+v the largest batch has %d events", step.options, got)
		}
	}
	worker.runs(t)
}

func TestWorker_wrongSettingsChangeNothing(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	runtime := newRuntime(t, zerolog.Nop())
	worker := startWorker(t, s, quick(), loadExample(t, runtime, "fine_balance"))
	for _, wrong := range []segments.ProjectionOptions{
		{BatchEvents: -1},
		{CommitEvents: 1 << 40},
		{Segments: store.SegmentsMax + 1},
		{Poll: -1},
		{OnError: "ignore"},
		{Durability: 3},
	} {
		module := loadExample(t, runtime, "fine_balance")
		var fault *segments.OptionError
		if err := worker.SetWith(module, wrong); !errors.As(err, &fault) {
			t.Errorf("%+v: %v", wrong, err)
		}
		module.Close(t.Context())
	}
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(20)...))
}

// TestWorker_tellsWhatItIsGivenNoProgramFor has the status show why a module is not even given to the worker.
func TestWorker_tellsWhatItIsGivenNoProgramFor(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	options := quick()
	options.Name = "host"
	worker := startWorker(t, s, options)
	module := loadExample(t, newRuntime(t, zerolog.Nop()), "fine_balance")
	id := module.Description.ID()
	worker.Refuse(id, module.File, errors.New("fine_balance.yaml:1:1: no"))
	testwait.Until(t, "the refusal is in the database", func() bool { return len(refusedBy(t, s, "host")) == 1 })
	if got := refusedBy(t, s, "host")[0]; got.Projection != id ||
		got.Reason != "module fine_balance.wasm: fine_balance.yaml:1:1: no" {
		t.Errorf("the refusal is %+v", got)
	}
	worker.Set(module)
	testwait.Until(t, "it is refused no longer", func() bool { return len(refusedBy(t, s, "host")) == 0 })
	worker.Refuse(id, module.File, errors.New("one that runs"))
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(10)...))
	if refused := refusedBy(t, s, "host"); len(refused) > 0 {
		t.Errorf("a projection that runs is refused: %+v", refused)
	}
}

// TestReshard_workersAgreeByProjection has two workers ask for different numbers of segments of one projection, as they
// do while their settings are changed one after the other. The stored layout stays until they agree.
func TestReshard_workersAgreeByProjection(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, pgtest.New(t))
	runtime := newRuntime(t, zerolog.Nop())
	lines := &logBuffer{}
	begin := func(name string) *working {
		options := quick()
		options.Name, options.Logger = name, zerolog.New(lines)
		options.Segments = 5 // what a worker asks for of other projections is no vote on this one
		return startWorker(t, s, options)
	}
	ask := func(of *working, wanted int) {
		t.Helper()
		module := loadExample(t, runtime, "fine_balance")
		if err := of.SetWith(module, segments.ProjectionOptions{Segments: wanted}); err != nil {
			t.Fatal(err)
		}
	}
	count := func() int { return len(statusOf(t, s, "fine_balance").Segments) }
	first := begin("first")
	ask(first, 2)
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(10)...))
	ask(begin("second"), 6)
	testwait.Until(t, "the second says that they disagree", func() bool {
		return strings.Contains(lines.String(), "other workers want [2]")
	})
	if got := count(); got != 2 {
		t.Errorf("there are %d segments while they disagree", got)
	}
	ask(first, 6)
	testwait.Until(t, "the projection is divided as both ask", func() bool { return count() == 6 })
	applied(t, s, "fine_balance", appendTo(t, s, finesOf(10)...))
}
