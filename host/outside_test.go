package host_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/store"
)

// typed are events of one stream with these types.
func typed(types ...string) []store.RecordedEvent {
	events := make([]store.RecordedEvent, len(types))
	for i := range events {
		e := &events[i]
		e.Position, e.AggregateVersion, e.Type = int64(11+i), int64(1+i), types[i]
		e.BoundedContext, e.AggregateType, e.AggregateID = "Test", "Note", "n1"
	}
	return events
}

// loadTesting compiles and loads a module that exists for tests only.
func loadTesting(t *testing.T, runtime *host.Runtime, compiler guestbuild.Compiler, name string) *host.Module {
	t.Helper()
	folder := guestbuild.Root(t) + "/modules/examples/testdata/" + name
	return load(t, runtime, name+".wasm", guestbuild.Module(t, compiler, folder))
}

// TestGuest_rowsOfGoroutinesAreNotLostInSilence has a guest write rows in goroutines.
func TestGuest_rowsOfGoroutinesAreNotLostInSilence(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{CacheDir: compiled})
	module := loadTesting(t, runtime, guestbuild.Go, "outside")
	for _, test := range []struct {
		name string
		want string
		then int // rows, where there is no fault
	}{
		{"Fine", "", 3},
		{"Waited", "", 3},
		{"Detached", "a row is written after Handle has returned, by a goroutine that it did not wait for", 0},
		{"Sleeping", "Handle has returned while a goroutine that it started is still at work", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			guest := module.NewGuest(0)
			defer guest.Close(t.Context())
			mutations, err := guest.Apply(t.Context(), typed("Fine", test.name, "Fine"), nil)
			if test.want == "" {
				if err != nil || len(mutations) != test.then {
					t.Errorf("%d rows, error %v", len(mutations), err)
				}
				return
			}
			var fault *host.Fault
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), test.want) || fault.Position != 12 {
				t.Errorf("error is %v, must be a fault at event 12 with %q", err, test.want)
			}
		})
	}
}

// TestGuest_aRowOfAnEarlierBatchIsTold has a timer of one batch write its row in a later one. That one fails
// for it, and passes in a fresh instance, but not in silence.
func TestGuest_aRowOfAnEarlierBatchIsTold(t *testing.T) {
	t.Parallel()
	log := &bytes.Buffer{}
	runtime := newRuntime(t, host.Options{Logger: zerolog.New(log), Instances: host.InstancesReuse, CacheDir: compiled})
	guest := loadTesting(t, runtime, guestbuild.Go, "outside").NewGuest(0)
	defer guest.Close(t.Context())
	for _, batch := range [][]store.RecordedEvent{typed("Timer"), typed("Pause")} {
		if mutations, err := guest.Apply(t.Context(), batch, nil); err != nil || len(mutations) != 1 {
			t.Fatalf("%d rows, error %v", len(mutations), err)
		}
	}
	const want = "module fails for what an earlier batch has left behind"
	if n := strings.Count(log.String(), want); n != 1 ||
		!strings.Contains(log.String(), "a row is written after Handle has returned") {
		t.Errorf("%q is told %d times: %s", want, n, log)
	}
}

// TestGuest_clockAndRandomnessAreToldOnce has a guest ask for what there is none of. What Go's runtime asks
// for by itself, at the start and when it collects, is no matter.
func TestGuest_clockAndRandomnessAreToldOnce(t *testing.T) {
	t.Parallel()
	const clock, random = "module asks for the time", "module asks for random bytes"
	for _, test := range []struct {
		name, want string
		batches    [][]store.RecordedEvent
	}{
		{"plain", "", [][]store.RecordedEvent{typed("Fine"), typed("Fine", "Waited")}},
		{"collections", "", [][]store.RecordedEvent{
			typed("Garbage"), typed("Garbage", "Garbage"), typed("Fine"),
			typed("Garbage"),
		}},
		{"clock", clock, [][]store.RecordedEvent{typed("Fine", "Time"), typed("Time", "Time")}},
		{"clock among collections", clock, [][]store.RecordedEvent{
			typed("Garbage", "Garbage"), typed("Time", "Time"),
			typed("Time"),
		}},
		{"randomness", random, [][]store.RecordedEvent{typed("Random"), typed("Random")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := &bytes.Buffer{}
			runtime := newRuntime(t, host.Options{
				Logger: zerolog.New(log), Instances: host.InstancesReuse,
				CacheDir: compiled,
			})
			guest := loadTesting(t, runtime, guestbuild.Go, "outside").NewGuest(0)
			defer guest.Close(t.Context())
			for _, batch := range test.batches {
				if _, err := guest.Apply(t.Context(), batch, nil); err != nil {
					t.Fatal(err)
				}
			}
			for _, warning := range []string{clock, random} {
				want := 0
				if warning == test.want {
					want = 1
				}
				if n := strings.Count(log.String(), warning); n != want {
					t.Errorf("%q is told %d times, must be %d: %s", warning, n, want, log)
				}
			}
		})
	}
}

// TestGuest_strictHostsRefuseClockAndRandomness has what is told of otherwise be a fault of the event.
func TestGuest_strictHostsRefuseClockAndRandomness(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{Strict: true, Instances: host.InstancesReuse, CacheDir: compiled})
	guest := loadTesting(t, runtime, guestbuild.Go, "outside").NewGuest(0)
	defer guest.Close(t.Context())
	for range 2 {
		for _, fine := range [][]store.RecordedEvent{typed("Fine"), typed("Garbage", "Garbage"), typed("Waited")} {
			if _, err := guest.Apply(t.Context(), fine, nil); err != nil {
				t.Fatal(err)
			}
		}
		for want, batch := range map[string][]store.RecordedEvent{
			"asks for the time":     typed("Fine", "Time"),
			"asks for random bytes": typed("Fine", "Random"),
		} {
			var fault *host.Fault
			if _, err := guest.Apply(t.Context(), batch, nil); !errors.As(err, &fault) ||
				!strings.Contains(err.Error(), want) || fault.Position != batch[1].Position {
				t.Errorf("error is %v, must be a fault of the second event with %q", err, want)
			}
		}
	}
}
