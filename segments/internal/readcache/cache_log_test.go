package readcache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// TestReadCache_aPageGoesAsFarAsTheHorizonOfItsLog has a segment that has seen the horizon of one log read
// another, which is shorter yet, as it happens when a server is lost. What it gets must not be the page of
// those who have seen the horizon of the other log.
func TestReadCache_aPageGoesAsFarAsTheHorizonOfItsLog(t *testing.T) {
	t.Parallel()
	older, newer := logtest.New(t), logtest.New(t)
	fill(t, older, 100)
	fill(t, newer, 40)
	reading, goOn := make(chan struct{}), make(chan struct{})
	watched := &watchedReader{Reader: older}
	f := newCache(watched)
	request := store.ReadRequest{Limit: 1000, Range: store.FullRange(), Columns: store.ColumnEventType}
	before := []*Reader{join(t, f, request, nil), join(t, f, request, nil)}
	watched.Reader = newer
	after := []*Reader{join(t, f, request, nil), join(t, f, request, nil)}
	watched.after = func(_ context.Context, request store.ReadRequest) error {
		if len(watched.all()) == 1 {
			close(reading)
			<-goOn
		}
		return nil
	}
	var group sync.WaitGroup
	for _, m := range before {
		group.Go(func() {
			if _, _, err := readChunk(t.Context(), m, 0, 100); !errors.Is(err, store.ErrOtherLog) {
				t.Errorf("who has seen another log's horizon gets %v", err)
			}
		})
	}
	<-reading
	if head := fill(t, newer, 60); head != 100 {
		t.Fatalf("the new log ends at %d", head)
	}
	for i, m := range after {
		if batch, through, err := readChunk(t.Context(), m, 0, 100); err != nil || through != 100 || len(batch) != 100 {
			t.Errorf("got %d events to %d, error %v; must be all 100", len(batch), through, err)
		}
		if i == 0 {
			close(goOn)
			group.Wait()
		}
	}
}

// TestReadCache_whoReadsAloneIsToldOfAnotherLog has no other segment near.
func TestReadCache_whoReadsAloneIsToldOfAnotherLog(t *testing.T) {
	t.Parallel()
	watched := &watchedReader{Reader: logtest.New(t)}
	f := newCache(watched)
	m := join(t, f, store.ReadRequest{Limit: 1000, Range: store.FullRange()}, nil)
	newer := logtest.New(t)
	watched.Reader = newer
	if _, _, err := readChunk(t.Context(), m, 0, fill(t, newer, 10)); !errors.Is(err, store.ErrOtherLog) {
		t.Errorf("who has seen another log's horizon gets %v", err)
	}
}

// TestReadCache_clearedWhileReading is a crash between a read and its use, with which the log has lost its end.
func TestReadCache_clearedWhileReading(t *testing.T) {
	t.Parallel()
	older, newer := logtest.New(t), logtest.New(t)
	fill(t, older, 100)
	stream := store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: "n"}
	if _, err := newer.Append(t.Context(), store.AppendOptions{},
		store.StreamAppend{Stream: stream, Events: make100("Newer")}); err != nil {
		t.Fatal(err)
	}
	reading, goOn := make(chan struct{}), make(chan struct{})
	var under atomic.Bool
	watched := &watchedReader{Reader: older, log: logOf(t, older), after: func(context.Context, store.ReadRequest) error {
		if under.CompareAndSwap(false, true) {
			close(reading)
			<-goOn
		}
		return nil
	}}
	f := newCache(watched)
	request := store.ReadRequest{Limit: 1000, Range: store.FullRange(), Columns: store.ColumnEventType}
	var group sync.WaitGroup
	read := func(m *Reader) {
		batch, through, err := readChunk(t.Context(), m, 0, 100)
		if err != nil || through != 100 || len(batch) != 100 || batch[0].Type != "Newer" {
			t.Errorf("got %d events to %d, error %v, the first %+v; must be those of the new server",
				len(batch), through, err, batch[:min(1, len(batch))])
		}
	}
	readers := []*Reader{join(t, f, request, nil), join(t, f, request, nil), join(t, f, request, nil)}
	group.Go(func() { read(readers[0]) })
	<-reading
	group.Go(func() { read(readers[1]) }) // waits for the same read, or comes later
	watched.mu.Lock()
	watched.Reader = newer
	watched.mu.Unlock()
	f.state.Invalidate()
	read(readers[2])
	close(goOn)
	group.Wait()
	if reads := len(watched.all()); reads != 2 {
		t.Errorf("there were %d reads, must be 2", reads)
	}
}

func make100(eventType string) []store.Event {
	events := make([]store.Event, 100)
	for i := range events {
		events[i].Type = eventType
	}
	return events
}

// TestReadCache_clearedWithinABatch has a batch that is made of two pages, of which the first became wrong meanwhile.
func TestReadCache_clearedWithinABatch(t *testing.T) {
	t.Parallel()
	older, newer := logtest.New(t), logtest.New(t)
	fill(t, older, 100)
	stream := store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: "n"}
	if _, err := newer.Append(t.Context(), store.AppendOptions{},
		store.StreamAppend{Stream: stream, Events: make100("Newer")}); err != nil {
		t.Fatal(err)
	}
	watched := &watchedReader{Reader: older, log: logOf(t, older)}
	f := newCache(watched)
	f.limit = newFetchLimit(40)
	watched.after = func(_ context.Context, request store.ReadRequest) error {
		if request.After == 40 {
			watched.mu.Lock()
			changed := watched.Reader == store.Reader(newer)
			watched.Reader = newer
			watched.mu.Unlock()
			if !changed {
				f.state.Invalidate()
			}
		}
		return nil
	}
	request := store.ReadRequest{Limit: 1000, Range: store.FullRange(), Columns: store.ColumnEventType}
	m, _ := join(t, f, request, nil), join(t, f, request, nil)
	batch, through, err := readChunk(t.Context(), m, 0, 100)
	if err != nil || through != 100 || len(batch) != 100 {
		t.Fatalf("got %d events to %d, error %v", len(batch), through, err)
	}
	for _, event := range batch {
		if event.Type != "Newer" {
			t.Fatalf("event %d is of the old server", event.Position)
		}
	}
}
