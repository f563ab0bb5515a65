package segments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// NewLog opens a store of its own in a new file.
func NewLog(t testing.TB) *sqlite.Store {
	t.Helper()
	return NewLogAt(t, filepath.Join(t.TempDir(), "log.db"))
}

// NewLogAt opens a store in a new file at path.
func NewLogAt(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	db, err := sqlite.OpenSQL(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrator, err := migrations.New(db, migrations.SQLite, "pupwasm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// fill appends events of a hundred streams in turn, and returns the last position.
func fill(t testing.TB, s store.Store, events int) int64 {
	t.Helper()
	appends := make([]store.StreamAppend, events)
	for i := range appends {
		appends[i].Stream = store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: fmt.Sprintf("%d-note", i*7919%100)}
		appends[i].Events = []store.Event{{Type: "Noted", Payload: fmt.Appendf(nil, `{"n":%d}`, i)}}
	}
	if _, err := s.Append(t.Context(), store.AppendOptions{}, appends...); err != nil {
		t.Fatal(err)
	}
	return headOf(t, s)
}

func headOf(t interface {
	Fatal(args ...any)
	Context() context.Context
}, s store.Reader,
) int64 {
	horizon, err := s.Horizon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return horizon.Position
}

// logOf is the log that the reader has now.
func logOf(t interface {
	Fatal(args ...any)
	Context() context.Context
}, r store.Reader,
) store.LogID {
	horizon, err := r.Horizon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return horizon.Log
}

// join has a segment read the log that the feed's reader has now.
func join(t interface {
	Fatal(args ...any)
	Context() context.Context
}, f *readCache, request store.ReadRequest, divided *divider,
) *reader {
	return f.join(logOf(t, f.log), request, divided)
}

// watchedReader remembers what is read, and may do something before it returns.
type watchedReader struct {
	store.Reader
	log   store.LogID // which one every page says it is of, unless it is zero
	after func(ctx context.Context, request store.ReadRequest) error

	mu       sync.Mutex
	requests []store.ReadRequest
}

func (r *watchedReader) Read(ctx context.Context, request store.ReadRequest, page *store.Page) error {
	r.mu.Lock()
	r.requests = append(r.requests, request)
	reader := r.Reader
	r.mu.Unlock()
	err := reader.Read(ctx, request, page)
	if r.log != (store.LogID{}) {
		page.Log = r.log
	}
	if err == nil && r.after != nil {
		err = r.after(ctx, request)
	}
	return err
}

func (r *watchedReader) all() []store.ReadRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// sees reads all that the request asks for with one read of the store's own.
func sees(t interface {
	Fatal(args ...any)
	Context() context.Context
}, s store.Reader, request store.ReadRequest,
) []store.RecordedEvent {
	request.Limit, request.Bytes = 1_000_000, 0
	var page store.Page
	if err := s.Read(t.Context(), request, &page); err != nil {
		t.Fatal(err)
	}
	return page.Events
}

// same tells whether a and b are the same events, in the fields that were asked for.
func same(a, b store.RecordedEvent, columns store.Columns) bool {
	return a.Position == b.Position && a.AggregateVersion == b.AggregateVersion &&
		(!columns.Has(store.ColumnAggregateID) || a.AggregateID == b.AggregateID) &&
		(!columns.Has(store.ColumnEventType) || a.Type == b.Type) &&
		(!columns.Has(store.ColumnPayload) || bytes.Equal(a.Payload, b.Payload)) &&
		(!columns.Has(store.ColumnMetadata) || bytes.Equal(a.Metadata, b.Metadata))
}

// wrong tells what is wrong with a batch for the request, of which all has every event.
func wrong(batch []store.RecordedEvent, through int64, request store.ReadRequest, all []store.RecordedEvent) error {
	switch {
	case through > request.Through && through > request.After:
		return fmt.Errorf("goes to %d, beyond %d", through, request.Through)
	case through <= request.After && request.Through > request.After:
		return fmt.Errorf("stays at %d", through)
	case len(batch) > request.Limit:
		return fmt.Errorf("has %d events, the limit is %d", len(batch), request.Limit)
	}
	size := 0
	for _, e := range batch {
		if request.Columns.Has(store.ColumnPayload) {
			size += len(e.Payload)
		}
		if request.Columns.Has(store.ColumnMetadata) {
			size += len(e.Metadata)
		}
	}
	if request.Bytes > 0 && size > request.Bytes && len(batch) > 1 {
		return fmt.Errorf("has %d bytes in %d events, the limit is %d", size, len(batch), request.Bytes)
	}
	var want []store.RecordedEvent
	for _, e := range all {
		if e.Position > request.After && e.Position <= through {
			want = append(want, e)
		}
	}
	if !slices.EqualFunc(batch, want, func(a, b store.RecordedEvent) bool { return same(a, b, request.Columns) }) {
		return fmt.Errorf("from %d to %d there are %d events, it has %d", request.After, through, len(want), len(batch))
	}
	return nil
}

// readStretch reads into memory of its own.
func readStretch(ctx context.Context, m *reader, after, through int64) ([]store.RecordedEvent, int64, error) {
	return readInto(ctx, m, after, through, &chunk{})
}

// readInto reads into memory that an earlier read may have used.
func readInto(ctx context.Context, m *reader, after, through int64, to *chunk) ([]store.RecordedEvent, int64, error) {
	err := m.read(ctx, after, through, to)
	return to.events, to.through, err
}

// reading is a member of a feed in a test, with what it must see.
type reading struct {
	member  *reader
	request store.ReadRequest
	all     []store.RecordedEvent
	divided *divider // of a range of keys that are not the streams'

	// The batch under way must stay as it is until the next read.
	before  store.ReadRequest
	to      chunk
	batch   []store.RecordedEvent
	through int64
}

func (r *reading) step(ctx context.Context, through int64) error {
	if r.batch != nil {
		if err := wrong(r.batch, r.through, r.before, r.all); err != nil {
			return fmt.Errorf("a batch in use changed: %w", err)
		}
	}
	request := r.request
	request.Through = through
	batch, reached, err := readInto(ctx, r.member, request.After, through, &r.to)
	if err != nil {
		return err
	}
	if err := wrong(batch, reached, request, r.all); err != nil {
		return fmt.Errorf("request %+v: %w", request, err)
	}
	for i := range batch {
		if r.divided != nil && string(batch[i].KeyBytes()) != string(keyOf(r.divided, &batch[i])) {
			return fmt.Errorf("event %d has the key %q", batch[i].Position, batch[i].Key)
		}
	}
	r.before, r.batch, r.through = request, batch, reached
	r.request.After = reached
	return nil
}

func drawRequest(t *rapid.T, after, head int64) store.ReadRequest {
	names := func(label string, of ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, 2, rapid.ID[string]).Draw(t, label)
	}
	ranges := append(store.SplitRange(rapid.IntRange(2, 4).Draw(t, "ranges")), store.FullRange())
	return store.ReadRequest{
		After: rapid.Int64Range(after, head).Draw(t, "after"),
		Limit: rapid.IntRange(1, 20).Draw(t, "limit"), Bytes: rapid.SampledFrom([]int{0, 1, 40, 200}).Draw(t, "bytes"),
		Subscription: store.Subscription{
			BoundedContexts: names("contexts", "Alpha", "alpha", "Beta"), AggregateTypes: names("aggregates", "One", "Two"),
			EventTypes: names("types", "Made", "made", "Sent", "Gone", "Never"),
		},
		Range:   rapid.SampledFrom(ranges).Draw(t, "range"),
		Columns: rapid.SampledFrom([]store.Columns{0, store.ColumnPayload, store.ColumnAggregateID | store.ColumnMetadata, store.AllColumns}).Draw(t, "columns"),
	}
}

// drawDivider divides by stream, or by a key that some events have, some do not have, and some have wrongly.
func drawDivider(t *rapid.T, subscription store.Subscription) *divider {
	partitions := []*store.Partition{
		nil,
		{By: store.PartitionStream},
		{By: store.PartitionJSON, Path: []string{"a"}},
		{By: store.PartitionMetadata, Path: []string{"m"}},
		{By: store.PartitionCorrelation},
	}
	return newDivider(&store.Projection{Subscription: subscription, Partition: rapid.SampledFrom(partitions).Draw(t, "partition")})
}

// keyOf is the key that an event is divided by.
func keyOf(d *divider, e *store.RecordedEvent) []byte {
	event := *e
	if key, err := d.partition.Key(e); err == nil {
		event.Key = key
	} else {
		event.Key = nil
	}
	return event.KeyBytes()
}

func drawAppend(t *rapid.T) store.StreamAppend {
	payload := rapid.SampledFrom([]string{
		"", "{}", `{"a":"some bytes more than others"}`, `{"b":1,"a":"\u0078"}`, `{"a":1.5}`, `{"a":`, `{"a":7}`, string(make([]byte, 300)),
	})
	event := rapid.Custom(func(t *rapid.T) store.Event {
		return store.Event{
			Type:    rapid.SampledFrom([]string{"Made", "made", "Sent", "Gone"}).Draw(t, "type"),
			Payload: []byte(payload.Draw(t, "payload")), Metadata: []byte(`{"m":1}`),
			CorrelationID: rapid.SampledFrom([]string{"", "one", "two", "three"}).Draw(t, "correlation"),
		}
	})
	return store.StreamAppend{
		Stream: store.Stream{
			BoundedContext: rapid.SampledFrom([]string{"Alpha", "alpha", "Beta", "Gamma"}).Draw(t, "context"),
			AggregateType:  rapid.SampledFrom([]string{"One", "Two", "Three"}).Draw(t, "aggregate"),
			AggregateID:    fmt.Sprintf("%d-id", rapid.IntRange(0, 200).Draw(t, "id")),
		},
		Events: rapid.SliceOfN(event, 1, 6).Draw(t, "events"),
	}
}

// TestReadCache_everyoneSeesWhatIsTheirs compares every batch with a read of the store's own: for random logs, subscriptions, ranges,
// limits, horizons, pages and bounds, while members come and go and the feed is cleared.
func TestReadCache_everyoneSeesWhatIsTheirs(t *testing.T) {
	t.Parallel()
	s := NewLog(t)
	var shared atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		start := headOf(t, s)
		for range 2 {
			if _, err := s.Append(t.Context(), store.AppendOptions{}, rapid.SliceOfN(rapid.Custom(drawAppend), 1, 30).Draw(t, "log")...); err != nil {
				t.Fatal(err)
			}
		}
		head := headOf(t, s)
		watched := &watchedReader{Reader: s}
		f := newReadCache(watched)
		f.limit = newFetchLimit(rapid.IntRange(1, 60).Draw(t, "page events"))
		f.pageBytes = rapid.SampledFrom([]int{1, 100, 1 << 20}).Draw(t, "page bytes")
		f.pagesMax = rapid.IntRange(0, 5).Draw(t, "pages")
		f.sizeMax = rapid.SampledFrom([]int{1, 10_000, 1 << 20}).Draw(t, "size")
		var readings []*reading
		joins := func(t *rapid.T) {
			request := drawRequest(t, start, head)
			all := request
			all.Through = head
			divided := drawDivider(t, request.Subscription)
			if !divided.byKey(request.Range) {
				readings = append(readings, &reading{member: join(t, f, request, divided), request: request, all: sees(t, s, all)})
				return
			}
			all.Range, all.Columns = store.FullRange(), store.AllColumns
			own := slices.DeleteFunc(sees(t, s, all), func(e store.RecordedEvent) bool {
				return !request.Range.Contains(store.PartitionHashOf(keyOf(divided, &e)))
			})
			readings = append(readings, &reading{member: join(t, f, request, divided), request: request, all: own, divided: divided})
		}
		joins(t)
		step := func(t *rapid.T) {
			r := rapid.SampledFrom(readings).Draw(t, "who")
			through := rapid.Int64Range(start, head).Draw(t, "through")
			if rapid.Bool().Draw(t, "at the head") {
				through = head
			}
			if err := r.step(t.Context(), through); err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": joins, "read": step, "read on": step, "read more": step, "read again": step,
			"clear": func(*rapid.T) { f.clear() },
			"leave": func(t *rapid.T) {
				if len(readings) == 1 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(readings)-1).Draw(t, "who")
				f.leave(readings[i].member)
				readings = slices.Delete(readings, i, i+1)
			},
			"": func(t *rapid.T) {
				if f.size > f.sizeMax || len(f.pages) > f.pagesMax || f.size < 0 || len(f.pages) == 0 && f.size != 0 {
					t.Fatalf("%d pages of %d bytes are kept", len(f.pages), f.size)
				}
			},
		})
		for _, r := range readings {
			for r.request.After < head {
				if err := r.step(t.Context(), head); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, request := range watched.all() {
			if request.Range == store.FullRange() {
				shared.Add(1)
			}
		}
	})
	if shared.Load() == 0 {
		t.Error("no page was shared")
	}
}

// TestReadCache_manyAtOnce has members run side by side, while the feed is cleared and has room for little.
func TestReadCache_manyAtOnce(t *testing.T) {
	t.Parallel()
	s := NewLog(t)
	head := fill(t, s, 3000)
	f := newReadCache(s)
	f.limit, f.pagesMax = newFetchLimit(200), 3
	var group, clearing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	moved := make(chan struct{}, 1)
	clearing.Go(func() {
		for {
			select {
			case <-moved:
				f.clear()
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
				r := &reading{request: request, all: sees(t, s, request), member: join(t, f, request, nil)}
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
				f.leave(r.member)
			}
		})
	}
	group.Wait()
	stop()
	clearing.Wait()
	if len(f.pages) != 0 || f.size != 0 || len(f.reads) != 0 || len(f.readers) != 0 {
		t.Errorf("when all have left, %d pages of %d bytes, %d reads and %d members are kept", len(f.pages), f.size, len(f.reads), len(f.readers))
	}
}

func TestReadCache_nearTheHeadOneReadServesAll(t *testing.T) {
	t.Parallel()
	s := NewLog(t)
	watched := &watchedReader{Reader: s}
	f := newReadCache(watched)
	var members []*reader
	for _, projection := range []store.Columns{store.ColumnAggregateID, store.ColumnPayload} {
		for _, streams := range store.SplitRange(4) {
			members = append(members, join(t, f, store.ReadRequest{Limit: 1000, Range: streams, Columns: projection}, nil))
		}
	}
	const rounds = 10
	at, events := int64(0), 0
	for range rounds {
		head := fill(t, s, 50)
		var group sync.WaitGroup
		var seen atomic.Int64
		for _, m := range members {
			group.Go(func() {
				batch, through, err := readStretch(t.Context(), m, at, head)
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
		t.Errorf("%d members read %d times in %d rounds", len(members), reads, rounds)
	}
	if events != 2*50*rounds {
		t.Errorf("they saw %d events, must see %d", events, 2*50*rounds)
	}
	if f.pages[0].readSet.columns != store.ColumnAggregateID|store.ColumnPayload|store.ColumnPartitionHash || len(f.pages) > 2 {
		t.Errorf("%d pages are kept, with columns %b", len(f.pages), f.pages[0].readSet.columns)
	}
}

func TestReadCache_farBehindReadsForItself(t *testing.T) {
	t.Parallel()
	s := NewLog(t)
	head := fill(t, s, 1000)
	watched := &watchedReader{Reader: s}
	f := newReadCache(watched)
	f.limit = newFetchLimit(50)
	atHead := []*reader{}
	for _, streams := range store.SplitRange(2) {
		atHead = append(atHead, join(t, f, store.ReadRequest{After: head - 10, Limit: 10, Range: streams, Columns: store.ColumnPayload}, nil))
	}
	want := store.ReadRequest{
		Limit: 20, Bytes: 10_000, Range: store.SplitRange(3)[1], Columns: store.ColumnAggregateID,
		Subscription: store.Subscription{EventTypes: []string{"Noted", "Other"}},
	}
	behind := join(t, f, want, nil)
	if _, _, err := readStretch(t.Context(), behind, 0, head); err != nil {
		t.Fatal(err)
	}
	for _, m := range atHead {
		if _, _, err := readStretch(t.Context(), m, head-10, head); err != nil {
			t.Fatal(err)
		}
	}
	want.Through = head
	requests := watched.all()
	if len(requests) != 2 || fmt.Sprint(requests[0]) != fmt.Sprint(want) {
		t.Errorf("the reads are %+v, must be two and the first %+v", requests, want)
	}
	if shared := requests[1]; shared.Range != store.FullRange() || shared.Columns != store.ColumnPayload|store.ColumnPartitionHash {
		t.Errorf("the shared read is %+v: it has to have all streams, and not what is wanted far behind", shared)
	}
}

// TestReadCache_whatIsKeptIsEnoughForEveryWish has one come who wants more than the page has.
func TestReadCache_whatIsKeptIsEnoughForEveryWish(t *testing.T) {
	t.Parallel()
	s := NewLog(t)
	head := fill(t, s, 100)
	watched := &watchedReader{Reader: s}
	f := newReadCache(watched)
	scoped := store.ReadRequest{Limit: 1000, Range: store.FullRange(), Subscription: store.Subscription{EventTypes: []string{"Other"}}}
	first, second := join(t, f, scoped, nil), join(t, f, scoped, nil)
	for _, m := range []*reader{first, second} {
		if batch, through, err := readStretch(t.Context(), m, 0, head); err != nil || len(batch) != 0 || through != head {
			t.Errorf("got %d events to %d, error %v; must move over events outside of the subscription to %d", len(batch), through, err, head)
		}
	}
	third := join(t, f, store.ReadRequest{Limit: 1000, Range: store.FullRange(), Columns: store.ColumnPayload}, nil)
	batch, _, err := readStretch(t.Context(), third, 0, head)
	if err != nil || len(batch) != 100 || len(batch[0].Payload) == 0 {
		t.Errorf("who wants more gets %d events, error %v", len(batch), err)
	}
	if reads := len(watched.all()); reads != 2 {
		t.Errorf("there were %d reads, must be 2", reads)
	}
}

// TestReadCache_readsWhatItFiltersBy has two of the same kind share a read, with what they look at besides what they ask for and no more.
func TestReadCache_readsWhatItFiltersBy(t *testing.T) {
	t.Parallel()
	s := NewLog(t)
	head := fill(t, s, 10)
	for _, test := range []struct {
		request store.ReadRequest
		want    store.Columns
	}{
		{store.ReadRequest{Range: store.FullRange()}, 0},
		{store.ReadRequest{Range: store.SplitRange(2)[1]}, store.ColumnPartitionHash},
		{store.ReadRequest{Range: store.FullRange(), Subscription: store.Subscription{BoundedContexts: []string{"Test"}}}, store.ColumnBoundedContext},
		{store.ReadRequest{Range: store.FullRange(), Subscription: store.Subscription{AggregateTypes: []string{"Note"}}}, store.ColumnAggregateType},
		{store.ReadRequest{Range: store.FullRange(), Subscription: store.Subscription{EventTypes: []string{"Noted"}}}, store.ColumnEventType},
	} {
		watched := &watchedReader{Reader: s}
		f := newReadCache(watched)
		test.request.Limit, test.request.Columns = 1000, store.ColumnPayload
		m, _ := join(t, f, test.request, nil), join(t, f, test.request, nil)
		if _, _, err := readStretch(t.Context(), m, 0, head); err != nil {
			t.Fatal(err)
		}
		if got := watched.all()[0].Columns; got != store.ColumnPayload|test.want {
			t.Errorf("a segment with %v and %v reads columns %b, want %b", test.request.Subscription, test.request.Range, got, store.ColumnPayload|test.want)
		}
	}
}

// TestReadCache_aPageGoesAsFarAsTheHorizonOfItsLog has a segment that has seen the horizon of one log read another, which is shorter yet, as
// it happens when a server is lost. What it gets must not be the page of those who have seen the horizon of the other log.
func TestReadCache_aPageGoesAsFarAsTheHorizonOfItsLog(t *testing.T) {
	t.Parallel()
	older, newer := NewLog(t), NewLog(t)
	fill(t, older, 100)
	fill(t, newer, 40)
	reading, goOn := make(chan struct{}), make(chan struct{})
	watched := &watchedReader{Reader: older}
	f := newReadCache(watched)
	request := store.ReadRequest{Limit: 1000, Range: store.FullRange(), Columns: store.ColumnEventType}
	before := []*reader{join(t, f, request, nil), join(t, f, request, nil)}
	watched.Reader = newer
	after := []*reader{join(t, f, request, nil), join(t, f, request, nil)}
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
			if _, _, err := readStretch(t.Context(), m, 0, 100); !errors.Is(err, store.ErrOtherLog) {
				t.Errorf("who has seen another log's horizon gets %v", err)
			}
		})
	}
	<-reading
	if head := fill(t, newer, 60); head != 100 {
		t.Fatalf("the new log ends at %d", head)
	}
	for i, m := range after {
		if batch, through, err := readStretch(t.Context(), m, 0, 100); err != nil || through != 100 || len(batch) != 100 {
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
	watched := &watchedReader{Reader: NewLog(t)}
	f := newReadCache(watched)
	m := join(t, f, store.ReadRequest{Limit: 1000, Range: store.FullRange()}, nil)
	newer := NewLog(t)
	watched.Reader = newer
	if _, _, err := readStretch(t.Context(), m, 0, fill(t, newer, 10)); !errors.Is(err, store.ErrOtherLog) {
		t.Errorf("who has seen another log's horizon gets %v", err)
	}
}

// TestReadCache_clearedWhileReading is a crash between a read and its use, with which the log has lost its end.
func TestReadCache_clearedWhileReading(t *testing.T) {
	t.Parallel()
	older, newer := NewLog(t), NewLog(t)
	fill(t, older, 100)
	stream := store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: "n"}
	if _, err := newer.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{Stream: stream, Events: make100("Newer")}); err != nil {
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
	f := newReadCache(watched)
	request := store.ReadRequest{Limit: 1000, Range: store.FullRange(), Columns: store.ColumnEventType}
	var group sync.WaitGroup
	read := func(m *reader) {
		batch, through, err := readStretch(t.Context(), m, 0, 100)
		if err != nil || through != 100 || len(batch) != 100 || batch[0].Type != "Newer" {
			t.Errorf("got %d events to %d, error %v, the first %+v; must be those of the new server", len(batch), through, err, batch[:min(1, len(batch))])
		}
	}
	members := []*reader{join(t, f, request, nil), join(t, f, request, nil), join(t, f, request, nil)}
	group.Go(func() { read(members[0]) })
	<-reading
	group.Go(func() { read(members[1]) }) // waits for the same read, or comes later
	watched.mu.Lock()
	watched.Reader = newer
	watched.mu.Unlock()
	f.clear()
	read(members[2])
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
	older, newer := NewLog(t), NewLog(t)
	fill(t, older, 100)
	stream := store.Stream{BoundedContext: "Test", AggregateType: "Note", AggregateID: "n"}
	if _, err := newer.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{Stream: stream, Events: make100("Newer")}); err != nil {
		t.Fatal(err)
	}
	watched := &watchedReader{Reader: older, log: logOf(t, older)}
	f := newReadCache(watched)
	f.limit = newFetchLimit(40)
	watched.after = func(_ context.Context, request store.ReadRequest) error {
		if request.After == 40 {
			watched.mu.Lock()
			changed := watched.Reader == store.Reader(newer)
			watched.Reader = newer
			watched.mu.Unlock()
			if !changed {
				f.clear()
			}
		}
		return nil
	}
	request := store.ReadRequest{Limit: 1000, Range: store.FullRange(), Columns: store.ColumnEventType}
	m, _ := join(t, f, request, nil), join(t, f, request, nil)
	batch, through, err := readStretch(t.Context(), m, 0, 100)
	if err != nil || through != 100 || len(batch) != 100 {
		t.Fatalf("got %d events to %d, error %v", len(batch), through, err)
	}
	for _, event := range batch {
		if event.Type != "Newer" {
			t.Fatalf("event %d is of the old server", event.Position)
		}
	}
}

// TestReadCache_aStoppedReaderStopsNobodyElse has the segment that reads for all stopped, and another wait with a context of its own.
func TestReadCache_aStoppedReaderStopsNobodyElse(t *testing.T) {
	t.Parallel()
	s := NewLog(t)
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
	f := newReadCache(watched)
	request := store.ReadRequest{Limit: 1000, Range: store.FullRange()}
	first, second, third := join(t, f, request, nil), join(t, f, request, nil), join(t, f, request, nil)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if _, _, err := readStretch(ctx, first, 0, head); !errors.Is(err, context.Canceled) {
			t.Errorf("the reader that was stopped returns %v", err)
		}
	})
	<-reading
	ended, end := context.WithCancel(t.Context())
	end()
	if _, _, err := readStretch(ended, second, 0, head); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits with an ended context gets %v", err)
	}
	group.Go(func() {
		if batch, _, err := readStretch(t.Context(), third, 0, head); err != nil || len(batch) != 100 {
			t.Errorf("who waits gets %d events, error %v", len(batch), err)
		}
	})
	stop()
	group.Wait()
}

// TestReadCache_anErrorIsEverybodys has nobody wait for a database that has just failed another.
func TestReadCache_anErrorIsEverybodys(t *testing.T) {
	t.Parallel()
	s := NewLog(t)
	head := fill(t, s, 100)
	watched := &watchedReader{Reader: s, after: func(context.Context, store.ReadRequest) error { return store.ErrTransient }}
	f := newReadCache(watched)
	request := store.ReadRequest{Limit: 1000, Range: store.FullRange()}
	first, _ := join(t, f, request, nil), join(t, f, request, nil)
	if _, _, err := readStretch(t.Context(), first, 0, head); !errors.Is(err, store.ErrTransient) {
		t.Errorf("got %v", err)
	}
	watched.after = nil
	if batch, _, err := readStretch(t.Context(), first, 0, head); err != nil || len(batch) != 100 {
		t.Errorf("the next read has %d events, error %v", len(batch), err)
	}
}

// TestReadCache_theSlowFallBehind has one member keep its batch while another goes on to the head, with little memory.
func TestReadCache_theSlowFallBehind(t *testing.T) {
	t.Parallel()
	s := NewLog(t)
	head := fill(t, s, 2000)
	watched := &watchedReader{Reader: s}
	f := newReadCache(watched)
	f.limit, f.pagesMax = newFetchLimit(50), 3
	request := store.ReadRequest{Limit: 50, Range: store.SplitRange(2)[0], Columns: store.ColumnPayload, Through: head}
	slow := &reading{member: join(t, f, request, nil), request: request, all: sees(t, s, request)}
	quick := &reading{member: join(t, f, request, nil), request: request, all: slow.all}
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
	s := NewLog(t)
	head := fill(t, s, 1000)
	f := newReadCache(s)
	request := store.ReadRequest{
		Limit: 1000, Range: store.SplitRange(2)[0], Columns: store.ColumnPayload,
		Subscription: store.Subscription{EventTypes: []string{"Noted", "Other"}, BoundedContexts: []string{"Test"}},
	}
	m, _ := join(t, f, request, nil), join(t, f, request, nil)
	var to chunk
	allocations := testing.AllocsPerRun(10, func() {
		if err := m.read(t.Context(), 0, head, &to); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 0 {
		t.Errorf("%v allocations a batch", allocations)
	}
}
