package segments_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// failing is a program that fails at every event of type Wrong.
type failing struct{ native }

func (*failing) NewProcessor(int) segments.Processor { return failingProcessor{} }
func (*failing) Close(context.Context)               {}

type failingProcessor struct{}

func (failingProcessor) Process(
	_ context.Context, events []store.RecordedEvent, _ store.Tx,
) (store.Output, error) {
	for _, event := range events {
		if event.Type == "Wrong" {
			return store.Output{}, &segments.Fault{Position: event.Position, Err: errors.New("it is wrong")}
		}
	}
	return store.Output{}, nil
}

func (failingProcessor) Close(context.Context) {}

// told collects the keys that somebody was told of.
type told struct {
	mu   sync.Mutex
	keys []string
}

func (o *told) tell(_ context.Context, key store.ParkedKey) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys = append(o.keys, fmt.Sprintf("%s/%s at %d: %s", key.Projection.Name, key.Key, key.First, key.Error))
	return nil
}

func (o *told) sorted() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(slices.Values(o.keys))
}

func (o *told) want(t *testing.T, want ...string) {
	t.Helper()
	testwait.Until(t, "somebody is told", func() bool { return len(o.sorted()) >= len(want) })
	if got := o.sorted(); !slices.Equal(got, want) {
		t.Errorf("told is %q, want %q", got, want)
	}
}

// wrongIn are events of one stream of which the first one fails.
func wrongIn(stream string) store.StreamAppend {
	events := noted("Wrong", "Fine")
	events.Stream.AggregateID = stream
	return events
}

func start(t *testing.T, s store.Store, options segments.Options) *working {
	t.Helper()
	w := startWorker(t, s, options)
	w.SetProgram(&failing{})
	return w
}

// TestOnPark_oncePerKey has two workers, of which one ends. A key is told once, whoever works.
func TestOnPark_oncePerKey(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	somebody := &told{}
	options := parking()
	options.OnPark = somebody.tell
	first := start(t, s, options)
	start(t, s, options)
	appendTo(t, s, wrongIn("n1"))
	somebody.want(t, "native/n1 at 1: it is wrong")
	appendTo(t, s, wrongIn("n2"))
	somebody.want(t, "native/n1 at 1: it is wrong", "native/n2 at 3: it is wrong")
	first.stop()
	start(t, s, options) // as after a restart
	appendTo(t, s, wrongIn("n3"))
	somebody.want(t, "native/n1 at 1: it is wrong", "native/n2 at 3: it is wrong", "native/n3 at 5: it is wrong")
}

// TestOnPark_aTargetThatFails is tried again, and logged when it begins and when it ends.
func TestOnPark_aTargetThatFails(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	lines := &logBuffer{}
	somebody := &told{}
	tries := 0
	options := parking()
	options.Logger = zerolog.New(lines)
	options.OnPark = func(ctx context.Context, key store.ParkedKey) error {
		if tries++; tries <= 2 {
			return errors.New("nobody listens")
		}
		return somebody.tell(ctx, key)
	}
	worker := start(t, s, options)
	head := appendTo(t, s, wrongIn("n1"))
	applied(t, s, "native", head) // whatever becomes of the alert
	somebody.want(t, "native/n1 at 1: it is wrong")
	testwait.Until(t, "it is logged", func() bool { return strings.Contains(lines.String(), "as of others again") })
	if n := strings.Count(lines.String(), "nobody is told of a parked key"); n != 1 {
		t.Errorf("the failure is logged %d times: %s", n, lines)
	}
	worker.stop()
}

// TestOnPark_doesNotHoldUp has a call that does not end: the events go on, and so does the end of the worker.
func TestOnPark_doesNotHoldUp(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	called, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	options := parking()
	options.OnPark = func(context.Context, store.ParkedKey) error {
		close(called)
		<-release
		return nil
	}
	worker := start(t, s, options)
	appendTo(t, s, wrongIn("n1"))
	<-called
	applied(t, s, "native", appendTo(t, s, wrongIn("n2")))
	worker.stop()

	// Whoever works next tells of it.
	somebody := &told{}
	options.OnPark = somebody.tell
	start(t, s, options)
	somebody.want(t, "native/n1 at 1: it is wrong", "native/n2 at 3: it is wrong")
}

// TestOnPark_once has a worker that ends by itself tell before it does, and give up when nobody listens.
func TestOnPark_once(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	appendTo(t, s, wrongIn("n1"), wrongIn("n2"))
	run := func(tell func(ctx context.Context, key store.ParkedKey) error) {
		t.Helper()
		options := parking()
		options.Once, options.OnPark = true, tell
		worker, err := segments.New(s, s, options)
		if err != nil {
			t.Fatal(err)
		}
		worker.SetProgram(&failing{})
		if err := worker.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	run(func(context.Context, store.ParkedKey) error { return errors.New("nobody listens") })
	somebody := &told{}
	run(somebody.tell)
	want := []string{"native/n1 at 1: it is wrong", "native/n2 at 3: it is wrong"}
	if got := somebody.sorted(); !slices.Equal(got, want) {
		t.Errorf("told is %q, want %q", got, want)
	}
	run(somebody.tell)
	if got := somebody.sorted(); !slices.Equal(got, want) {
		t.Errorf("after another run told is %q", got)
	}
}
