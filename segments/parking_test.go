package segments_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// parkedIn returns what is parked, a line a key: "n7: 37 events".
func parkedIn(t *testing.T, s store.Store) string {
	t.Helper()
	keys, err := s.Parked(t.Context(), store.ParkedRequest{Range: store.FullRange()})
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(keys))
	for i, k := range keys {
		lines[i] = fmt.Sprintf("%s: %d events", k.Key, k.Events)
	}
	return strings.Join(lines, ", ")
}

// parking are options under which keys are parked, and tried again by an order or by other code only.
func parking() segments.Options {
	options := quick()
	options.OnError, options.ParkedRetries = "", -1
	return options
}

// TestParking_othersGoOnAndNewCodeCatchesUp has one event of one stream fail.
func TestParking_othersGoOnAndNewCodeCatchesUp(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		breaks := &atomic.Int64{}
		head := poisoned(t, s, 20, 40, 4, 7)
		worker := startPrograms(t, s, parking(), &ledger{code: "one", breaks: breaks, bad: badType("Bad")})
		applied(t, s, "ledger", head)
		if got := parkedIn(t, s); got != "n7: 37 events" {
			t.Errorf("parked is %q", got)
		}
		if status := statusOf(t, s, "ledger"); status.Parked != 1 || status.Segments[0].Failure != "" {
			t.Errorf("the status is %+v", status)
		}
		fixed := &ledger{code: "two", breaks: breaks}
		if got := versionOf(t, s, fixed, "n7"); got != 3 {
			t.Errorf("n7 is at version %d, want 3", got)
		}
		worker.SetProgram(fixed)
		testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
		applied(t, s, "ledger", poisoned(t, s, 20, 1, 0))
		for n := range 20 {
			if got := versionOf(t, s, fixed, fmt.Sprint("n", n)); got != 41 {
				t.Errorf("n%d is at version %d, want 41", n, got)
			}
		}
		if n := breaks.Load(); n != 0 {
			t.Errorf("%d events did not follow the one before", n)
		}
		worker.runs(t)
	})
}

// TestParking_ordersRetryAndSkip has somebody order what becomes of a parked key.
func TestParking_ordersRetryAndSkip(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		breaks, works := &atomic.Int64{}, &atomic.Bool{}
		program := &ledger{code: "one", breaks: breaks, bad: func(e *store.RecordedEvent) error {
			if works.Load() {
				return nil
			}
			return badType("Bad")(e)
		}}
		head := poisoned(t, s, 3, 5, 2, 1, 2)
		worker := startPrograms(t, s, parking(), program)
		applied(t, s, "ledger", head)
		if got := parkedIn(t, s); got != "n1: 4 events, n2: 4 events" {
			t.Fatalf("parked is %q", got)
		}
		order := func(key string, order store.ParkedAction) {
			if err := s.Order(t.Context(), store.ParkedID{Projection: ledgerID, Key: []byte(key)}, order); err != nil {
				t.Fatal(err)
			}
		}
		order("n1", store.ActionRetry) // fails again
		testwait.Until(t, "it was tried again", func() bool {
			keys, err := s.Parked(t.Context(), store.ParkedRequest{Range: store.FullRange(), Key: []byte("n1")})
			return err == nil && keys[0].Attempts == 2
		})
		order("n2", store.ActionSkip)
		testwait.Until(t, "n2 is parked no longer", func() bool { return parkedIn(t, s) == "n1: 4 events" })
		if got := versionOf(t, s, program, "n2"); got != 5 || breaks.Load() != 1 {
			t.Errorf("n2 is at version %d, %d events did not follow, want 5 and 1", got, breaks.Load())
		}
		skipped, err := s.Skipped(t.Context(), ledgerID, 0, 10)
		if err != nil || len(skipped) != 1 || string(skipped[0].Key) != "n2" {
			t.Errorf("skipped are %+v, %v", skipped, err)
		}
		works.Store(true)
		order("n1", store.ActionRetry)
		testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
		if got := versionOf(t, s, program, "n1"); got != 5 || breaks.Load() != 1 {
			t.Errorf("n1 is at version %d, %d events did not follow, want 5 and 1", got, breaks.Load())
		}
		worker.runs(t)
	})
}

// TestParking_triesAgainByItself has an event fail for a while.
func TestParking_triesAgainByItself(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		var tries atomic.Int64
		program := &ledger{code: "one", breaks: &atomic.Int64{}, bad: func(e *store.RecordedEvent) error {
			if e.Type == "Bad" && tries.Add(1) < 3 {
				return badType("Bad")(e)
			}
			return nil
		}}
		head := poisoned(t, s, 2, 3, 1, 1)
		options := parking()
		options.ParkedRetries = 3
		startPrograms(t, s, options, program)
		applied(t, s, "ledger", head)
		testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
		if got := versionOf(t, s, program, "n1"); got != 3 {
			t.Errorf("n1 is at version %d, want 3", got)
		}
	})
}

// TestParking_policies has the other two ways, and the limit of keys.
func TestParking_policies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		options func(o *segments.Options)
		program store.ErrorPolicy
		failure string // begins with it
		parked  string
		skipped int
	}{
		{"stop", func(o *segments.Options) { o.OnError = store.ErrorStop }, store.ErrorSkip, "as the test has it", "", 0},
		{"stop as the program says", func(*segments.Options) {}, store.ErrorStop, "as the test has it", "", 0},
		{"skip", func(o *segments.Options) { o.OnError = store.ErrorSkip }, "", "", "", 3},
		{"fail fast", func(o *segments.Options) { o.FailFast = true }, "", "as the test has it", "", 0},
		{"of the projection", func(o *segments.Options) {
			o.OnError = store.ErrorStop
			o.Projections = map[string]segments.ProjectionOptions{"ledger": {OnError: store.ErrorPark}}
		}, "", "", "n1: 3 events, n2: 3 events, n3: 3 events", 0},
		{"limit", func(o *segments.Options) { o.ParkedMax = 2 }, "", "more than 2 keys of projection ledger would be parked", "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := logtest.New(t)
			poisoned(t, s, 4, 4, 2, 1, 2, 3)
			options := parking()
			options.Once, options.Segments, options.CommitEvents = true, 1, 1
			test.options(&options)
			worker, err := segments.New(s, s, options)
			if err != nil {
				t.Fatal(err)
			}
			worker.SetProgram(&ledger{code: "one", breaks: &atomic.Int64{}, bad: badType("Bad"), onError: test.program})
			err = worker.Run(t.Context())
			if failure := statusOf(t, s, "ledger").Segments[0].Failure; !strings.Contains(failure, test.failure) || (failure == "") != (err == nil) {
				t.Errorf("the failure is %q, Run returns %v", failure, err)
			}
			got := parkedIn(t, s)
			if got != test.parked {
				t.Errorf("parked is %q, want %q", got, test.parked)
			}
			if skipped, err := s.Skipped(t.Context(), ledgerID, 0, 10); err != nil || len(skipped) != test.skipped {
				t.Errorf("skipped are %+v, %v", skipped, err)
			}
		})
	}
}

// TestParking_whateverHappens has events fail under random code, commits and retries fail before and after they go
// through, workers come and go and segments be divided. In the end everything is applied once and in order.
func TestParking_whateverHappens(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		for round := range 4 {
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 0))
			breaks := &atomic.Int64{}
			var calls atomic.Int64
			flaky := func(_, _ int64, commit func() error) error {
				switch calls.Add(1) % 7 {
				case 2:
					return fmt.Errorf("%w: before", store.ErrTransient)
				case 5:
					if err := commit(); err != nil {
						return err
					}
					return fmt.Errorf("%w: after", store.ErrTransient)
				}
				return commit()
			}
			if round > 0 {
				if err := s.Reset(t.Context(), "ledger"); err != nil {
					t.Fatal(err)
				}
			}
			for generation := range 4 {
				watch := &commitWatch{Store: s, instead: flaky}
				options := parking()
				options.CommitEvents, options.Segments = 1+random.IntN(60), 1+random.IntN(5)
				number := generation
				program := &ledger{code: fmt.Sprint("code", round, generation), breaks: breaks, bad: func(e *store.RecordedEvent) error {
					if (e.Position*2654435761>>7)%29 == int64(number) {
						return &segments.Fault{Position: e.Position * int64(number%2), Divide: number%2 == 0, Err: errors.New("random")}
					}
					return nil
				}}
				worker := startPrograms(t, watch, options, program)
				head := poisoned(t, s, 5, 10, 0)
				applied(t, s, "ledger", head)
				worker.stop()
			}
			fixed := &ledger{code: fmt.Sprint("fixed", round), breaks: breaks}
			worker := startPrograms(t, &commitWatch{Store: s, instead: flaky}, parking(), fixed)
			testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
			worker.stop()
			for n := range 5 {
				if got := versionOf(t, s, fixed, fmt.Sprint("n", n)); got != int64(40*(round+1)) {
					t.Errorf("seed %d, round %d: n%d is at version %d, want %d", seed, round, n, got, 40*(round+1))
				}
			}
			if n := breaks.Load(); n != 0 {
				t.Errorf("seed %d, round %d: %d events did not follow the one before", seed, round, n)
			}
		}
	})
}

// TestParking_aSearchThatIsCutShort has the database fail while the event at fault of a large batch is searched. That
// must not make a fault of one event one of the whole segment.
func TestParking_aSearchThatIsCutShort(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	appendTo(t, s, noted(slices.Concat(slices.Repeat([]string{"Fine"}, 40), []string{"Poison"}, slices.Repeat([]string{"Fine"}, 9))...))
	runtime, err := host.NewRuntime(t.Context(), host.Options{CacheDir: compiled, Compiler: compiler})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runtime.Close(context.Background()) })
	queries := 0
	watch := &commitWatch{Store: s, query: func() error {
		if queries++; queries == 2 { // the first one of the search
			return fmt.Errorf("%w: as the test has it", store.ErrTransient)
		}
		return nil
	}}
	options := parking()
	options.Once, options.Segments, options.BatchEvents = true, 1, 50
	worker, err := segments.New(watch, watch, options)
	if err != nil {
		t.Fatal(err)
	}
	worker.Set(loadTest(t, runtime, "order_poisoned"))
	if err := worker.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := parkedIn(t, s); got != "n1: 10 events" {
		t.Errorf("parked is %q", got)
	}
	if queries < 3 {
		t.Errorf("%d queries, want some of a search", queries)
	}
}

// TestParking_onlyAnEventThatFailedIsSkipped has somebody order a skip when a retry has applied the event that had
// failed, and has ended there.
func TestParking_onlyAnEventThatFailedIsSkipped(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, _ func(_, _ string) int) {
		head := poisoned(t, s, 1, 4, 2, 0)
		breaks := &atomic.Int64{}
		worker := startPrograms(t, s, parking(), &ledger{code: "one", breaks: breaks, bad: badType("Bad")})
		applied(t, s, "ledger", head)
		worker.stop()
		fixed := &ledger{code: "one", breaks: breaks}
		retryOne(t, s, fixed)
		if err := s.Order(t.Context(), store.ParkedID{Projection: ledgerID, Key: []byte("n0")}, store.ActionSkip); err != nil {
			t.Fatal(err)
		}
		startPrograms(t, s, parking(), fixed)
		testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
		if got := versionOf(t, s, fixed, "n0"); got != 4 || breaks.Load() != 0 {
			t.Errorf("n0 is at version %d, %d events did not follow, want 4 and 0", got, breaks.Load())
		}
		if skipped, err := s.Skipped(t.Context(), ledgerID, 0, 10); err != nil || len(skipped) != 0 {
			t.Errorf("skipped are %+v, %v", skipped, err)
		}
	})
}

// retryOne applies the first event of the only parked key, as a worker does that ends then.
func retryOne(t *testing.T, s store.Store, program *ledger) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := s.Parked(t.Context(), store.ParkedRequest{Range: store.FullRange()})
	must(err)
	catalogue, err := s.Install(t.Context(), program.Projection(), 1)
	must(err)
	must(s.Heartbeat(t.Context(), store.Worker{Name: "one"}, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: ledgerID, Worker: "one", Limit: 100})
	must(err)
	hash := store.PartitionHashOf(keys[0].Key)
	at := slices.IndexFunc(claims, func(c store.Claim) bool { return c.Range.Contains(hash) })
	tx := catalogue.Begin(claims[at])
	defer tx.Rollback()
	steps := store.NewFolder(program.Projection()).Fold([]store.Mutation{{Write: 0, Values: []store.Value{
		store.Text(string(keys[0].Key)), store.I64(2),
	}}})
	_, err = tx.Retry(t.Context(), store.Retry{
		Key: keys[0].Key, Through: keys[0].First, Steps: steps, Log: claims[at].Applied.Log,
	})
	must(err)
	must(s.Leave(t.Context(), store.Worker{Name: "one"}))
}

// TestParking_whateverAModuleDoes has one stream for each way in which a module can fail at an event.
func TestParking_whateverAModuleDoes(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store, count func(projection, table string) int) {
		faults := []string{"Panic", "Error", "Loop", "Index", "Memory", "Deep", "Text", "Null", "Field"}
		const rounds, at = 12, 4
		var head int64
		for round := 1; round <= rounds; round++ {
			all := make([]store.StreamAppend, len(faults)+1)
			for n := range all {
				eventType := "Fine"
				if n < len(faults) && round == at {
					eventType = faults[n]
				}
				all[n] = store.StreamAppend{
					Stream: store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: fmt.Sprint("n", n)},
					Events: []store.Event{{Type: eventType, Payload: []byte("{}")}},
				}
			}
			head = appendTo(t, s, all...)
		}
		runtime, err := host.NewRuntime(t.Context(), host.Options{Limits: host.Limits{Fuel: 50_000_000}, CacheDir: compiled, Compiler: compiler})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { runtime.Close(context.Background()) })
		worker := startWorker(t, s, parking(), loadTest(t, runtime, "misbehave"))
		applied(t, s, "misbehave", head)
		keys, err := s.Parked(t.Context(), store.ParkedRequest{Range: store.FullRange()})
		if err != nil || len(keys) != len(faults) {
			t.Fatalf("%d keys are parked, want %d: %v", len(keys), len(faults), err)
		}
		for _, k := range keys {
			if k.Events != rounds-at+1 || !strings.Contains(k.Error, fmt.Sprint("event ", k.First)) {
				t.Errorf("key %s has %d events and the error %q", k.Key, k.Events, k.Error)
			}
		}
		all := rounds * (len(faults) + 1)
		if got, want := count("misbehave", "rows"), all-len(faults)*(rounds-at+1); got != want {
			t.Errorf("there are %d rows, want %d", got, want)
		}
		worker.Set(loadTest(t, runtime, "fixed"))
		testwait.Until(t, "nothing is parked", func() bool { return parkedIn(t, s) == "" })
		if got := count("misbehave", "rows"); got != all {
			t.Errorf("there are %d rows, want %d", got, all)
		}
		worker.runs(t)
	})
}
