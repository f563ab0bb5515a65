package readcache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// readChunk reads into memory of its own.
func readChunk(ctx context.Context, m *Reader, after, through int64) ([]store.RecordedEvent, int64, error) {
	return readInto(ctx, m, after, through, &Chunk{})
}

// TestReadCache_manyAtOnce has readers run side by side, while the log changes and the cache has room for little.
func TestReadCache_manyAtOnce(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	head := fill(t, s, 3000)
	f := newCache(s)
	f.limit, f.pagesMax = newFetchLimit(200), 3
	var group, clearing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	moved := make(chan struct{}, 1)
	clearing.Go(func() {
		for {
			select {
			case <-moved:
				f.state.Invalidate()
			case <-ctx.Done():
				return
			}
		}
	})
	for i := range 24 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for range 3 {
				request := store.ReadRequest{
					After: random.Int64N(2) * random.Int64N(head), Through: head, Limit: 1 + random.IntN(300),
					Range: store.SplitRange(1 + i%4)[0], Columns: store.ColumnPayload,
				}
				r := &reading{request: request, all: sees(t, s, request), reader: join(t, f, request, nil)}
				for r.request.After < head {
					if err := r.step(t.Context(), min(head, r.request.After+1+random.Int64N(1000))); err != nil {
						t.Error(err)
						return
					}
					if random.IntN(50) == 0 {
						select {
						case moved <- struct{}{}:
						default:
						}
					}
				}
				f.leave(r.reader)
			}
		})
	}
	group.Wait()
	stop()
	clearing.Wait()
	if len(f.pages) != 0 || f.size != 0 || len(f.reads) != 0 || len(f.readers) != 0 {
		t.Errorf("when all have left, %d pages of %d bytes, %d reads and %d readers are kept",
			len(f.pages), f.size, len(f.reads), len(f.readers))
	}
}

func TestReadCache_nearTheHeadOneReadServesAll(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	watched := &watchedReader{Reader: s}
	f := newCache(watched)
	var readers []*Reader
	for _, projection := range []store.Columns{store.ColumnAggregateID, store.ColumnPayload} {
		for _, streams := range store.SplitRange(4) {
			readers = append(readers, join(t, f, store.ReadRequest{Limit: 1000, Range: streams, Columns: projection}, nil))
		}
	}
	const rounds = 10
	at, events := int64(0), 0
	for range rounds {
		head := fill(t, s, 50)
		var group sync.WaitGroup
		var seen atomic.Int64
		for _, m := range readers {
			group.Go(func() {
				batch, through, err := readChunk(t.Context(), m, at, head)
				if err != nil || through != head {
					t.Errorf("a read goes to %d, error %v; must go to %d", through, err, head)
				}
				seen.Add(int64(len(batch)))
			})
		}
		group.Wait()
		events += int(seen.Load())
		at = head
	}
	if reads := len(watched.all()); reads != rounds {
		t.Errorf("%d readers read %d times in %d rounds", len(readers), reads, rounds)
	}
	if events != 2*50*rounds {
		t.Errorf("they saw %d events, must see %d", events, 2*50*rounds)
	}
	if f.pages[0].readSet.columns != store.ColumnAggregateID|store.ColumnPayload|store.ColumnPartitionHash ||
		len(f.pages) > 2 {
		t.Errorf("%d pages are kept, with columns %b", len(f.pages), f.pages[0].readSet.columns)
	}
}

func TestReadCache_farBehindReadsForItself(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	head := fill(t, s, 1000)
	watched := &watchedReader{Reader: s}
	f := newCache(watched)
	f.limit = newFetchLimit(50)
	atHead := []*Reader{}
	for _, streams := range store.SplitRange(2) {
		atHead = append(atHead,
			join(t, f, store.ReadRequest{After: head - 10, Limit: 10, Range: streams, Columns: store.ColumnPayload}, nil))
	}
	want := store.ReadRequest{
		Limit: 20, Bytes: 10_000, Range: store.SplitRange(3)[1], Columns: store.ColumnAggregateID,
		Subscription: store.Subscription{EventTypes: []string{"Noted", "Other"}},
	}
	behind := join(t, f, want, nil)
	if _, _, err := readChunk(t.Context(), behind, 0, head); err != nil {
		t.Fatal(err)
	}
	for _, m := range atHead {
		if _, _, err := readChunk(t.Context(), m, head-10, head); err != nil {
			t.Fatal(err)
		}
	}
	want.Through = head
	requests := watched.all()
	if len(requests) != 2 || fmt.Sprint(requests[0]) != fmt.Sprint(want) {
		t.Errorf("the reads are %+v, must be two and the first %+v", requests, want)
	}
	if shared := requests[1]; shared.Range != store.FullRange() ||
		shared.Columns != store.ColumnPayload|store.ColumnPartitionHash {
		t.Errorf("the shared read is %+v: it has to have all streams, and not what is wanted far behind", shared)
	}
}

// TestReadCache_whatIsKeptIsEnoughForEveryWish has one come who wants more than the page has.
func TestReadCache_whatIsKeptIsEnoughForEveryWish(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	head := fill(t, s, 100)
	watched := &watchedReader{Reader: s}
	f := newCache(watched)
	scoped := store.ReadRequest{
		Limit: 1000, Range: store.FullRange(), Subscription: store.Subscription{EventTypes: []string{"Other"}},
	}
	first, second := join(t, f, scoped, nil), join(t, f, scoped, nil)
	for _, m := range []*Reader{first, second} {
		if batch, through, err := readChunk(t.Context(), m, 0, head); err != nil || len(batch) != 0 || through != head {
			t.Errorf("got %d events to %d, error %v; must move over events outside of the subscription to %d",
				len(batch), through, err, head)
		}
	}
	third := join(t, f, store.ReadRequest{Limit: 1000, Range: store.FullRange(), Columns: store.ColumnPayload}, nil)
	batch, _, err := readChunk(t.Context(), third, 0, head)
	if err != nil || len(batch) != 100 || len(batch[0].Payload) == 0 {
		t.Errorf("who wants more gets %d events, error %v", len(batch), err)
	}
	if reads := len(watched.all()); reads != 2 {
		t.Errorf("there were %d reads, must be 2", reads)
	}
}

// TestReadCache_readsWhatItFiltersBy has two of the same kind share a read, with what they filter by besides what
// they ask for and no more.
func TestReadCache_readsWhatItFiltersBy(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	head := fill(t, s, 10)
	for _, test := range []struct {
		request store.ReadRequest
		want    store.Columns
	}{
		{store.ReadRequest{Range: store.FullRange()}, 0},
		{store.ReadRequest{Range: store.SplitRange(2)[1]}, store.ColumnPartitionHash},
		{
			store.ReadRequest{Range: store.FullRange(), Subscription: store.Subscription{BoundedContexts: []string{"Test"}}},
			store.ColumnBoundedContext,
		},
		{
			store.ReadRequest{Range: store.FullRange(), Subscription: store.Subscription{AggregateTypes: []string{"Note"}}},
			store.ColumnAggregateType,
		},
		{
			store.ReadRequest{Range: store.FullRange(), Subscription: store.Subscription{EventTypes: []string{"Noted"}}},
			store.ColumnEventType,
		},
	} {
		watched := &watchedReader{Reader: s}
		f := newCache(watched)
		test.request.Limit, test.request.Columns = 1000, store.ColumnPayload
		m, _ := join(t, f, test.request, nil), join(t, f, test.request, nil)
		if _, _, err := readChunk(t.Context(), m, 0, head); err != nil {
			t.Fatal(err)
		}
		if got := watched.all()[0].Columns; got != store.ColumnPayload|test.want {
			t.Errorf("a segment with %v and %v reads columns %b, want %b",
				test.request.Subscription, test.request.Range, got, store.ColumnPayload|test.want)
		}
	}
}

// TestReadCache_aStoppedReaderStopsNobodyElse has the segment that reads for all stopped, and another wait with
// a context of its own.
func TestReadCache_aStoppedReaderStopsNobodyElse(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	head := fill(t, s, 100)
	reading := make(chan struct{}, 2)
	stuck := true
	watched := &watchedReader{Reader: s, after: func(ctx context.Context, _ store.ReadRequest) error {
		if !stuck {
			return nil
		}
		stuck = false
		reading <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}
	f := newCache(watched)
	request := store.ReadRequest{Limit: 1000, Range: store.FullRange()}
	first, second, third := join(t, f, request, nil), join(t, f, request, nil), join(t, f, request, nil)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if _, _, err := readChunk(ctx, first, 0, head); !errors.Is(err, context.Canceled) {
			t.Errorf("the reader that was stopped returns %v", err)
		}
	})
	<-reading
	ended, end := context.WithCancel(t.Context())
	end()
	if _, _, err := readChunk(ended, second, 0, head); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits with an ended context gets %v", err)
	}
	group.Go(func() {
		if batch, _, err := readChunk(t.Context(), third, 0, head); err != nil || len(batch) != 100 {
			t.Errorf("who waits gets %d events, error %v", len(batch), err)
		}
	})
	stop()
	group.Wait()
}

// TestReadCache_anErrorIsEverybodys has nobody wait for a database that has just failed another.
func TestReadCache_anErrorIsEverybodys(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	head := fill(t, s, 100)
	watched := &watchedReader{
		Reader: s, after: func(context.Context, store.ReadRequest) error { return store.ErrTransient },
	}
	f := newCache(watched)
	request := store.ReadRequest{Limit: 1000, Range: store.FullRange()}
	first, _ := join(t, f, request, nil), join(t, f, request, nil)
	if _, _, err := readChunk(t.Context(), first, 0, head); !errors.Is(err, store.ErrTransient) {
		t.Errorf("got %v", err)
	}
	watched.after = nil
	if batch, _, err := readChunk(t.Context(), first, 0, head); err != nil || len(batch) != 100 {
		t.Errorf("the next read has %d events, error %v", len(batch), err)
	}
}

// TestReadCache_theSlowFallBehind has one reader keep its batch while another goes on to the head, with little memory.
func TestReadCache_theSlowFallBehind(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	head := fill(t, s, 2000)
	watched := &watchedReader{Reader: s}
	f := newCache(watched)
	f.limit, f.pagesMax = newFetchLimit(50), 3
	request := store.ReadRequest{Limit: 50, Range: store.SplitRange(2)[0], Columns: store.ColumnPayload, Through: head}
	slow := &reading{reader: join(t, f, request, nil), request: request, all: sees(t, s, request)}
	quick := &reading{reader: join(t, f, request, nil), request: request, all: slow.all}
	if err := slow.step(t.Context(), head); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*reading{quick, slow} {
		for r.request.After < head {
			if err := r.step(t.Context(), head); err != nil {
				t.Fatal(err)
			}
			if len(f.pages) > f.pagesMax {
				t.Fatalf("%d pages are kept", len(f.pages))
			}
		}
	}
	own := 0
	for _, request := range watched.all() {
		if request.Range != store.FullRange() {
			own++
		}
	}
	if reads := len(watched.all()); own < reads/2 {
		t.Errorf("of %d reads only %d are of one that is alone", reads, own)
	}
}

func TestReadCache_filteringDoesNotAllocate(t *testing.T) {
	s := logtest.New(t)
	head := fill(t, s, 1000)
	f := newCache(s)
	request := store.ReadRequest{
		Limit: 1000, Range: store.SplitRange(2)[0], Columns: store.ColumnPayload,
		Subscription: store.Subscription{EventTypes: []string{"Noted", "Other"}, BoundedContexts: []string{"Test"}},
	}
	m, _ := join(t, f, request, nil), join(t, f, request, nil)
	var to Chunk
	allocations := testing.AllocsPerRun(10, func() {
		if err := m.Read(t.Context(), 0, head, &to); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 0 {
		t.Errorf("%v allocations a batch", allocations)
	}
}
