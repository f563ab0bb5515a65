package readcache

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/segments/internal/logstate"
	"github.com/pupwasm/pupwasm/store"
)

// newCache has the usual bounds.
func newCache(log store.Reader) *Cache { return New(log, logstate.New(), 1<<30) }

// fill appends events of a hundred streams in turn, and returns the last position.
func fill(t testing.TB, s store.Store, events int) int64 {
	t.Helper()
	appends := make([]store.StreamAppend, events)
	for i := range appends {
		appends[i].Stream = store.Stream{
			BoundedContext: "Test", AggregateType: "Note",
			AggregateID: fmt.Sprintf("%d-note", i*7919%100),
		}
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

// join has a segment read the log that the cache's store has now.
func join(t interface {
	Fatal(args ...any)
	Context() context.Context
}, f *Cache, request store.ReadRequest, divided *Divider,
) *Reader {
	return f.Join(logOf(t, f.log), request, divided)
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

// same reports that a and b are the same events, in the fields that were asked for.
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

// readInto reads into memory that an earlier read may have used.
func readInto(ctx context.Context, m *Reader, after, through int64, to *Chunk) ([]store.RecordedEvent, int64, error) {
	err := m.Read(ctx, after, through, to)
	return to.Events, to.Through, err
}

// reading is a reader in a test, with what it must see.
type reading struct {
	reader  *Reader
	request store.ReadRequest
	all     []store.RecordedEvent
	divided *Divider // of a range of keys that are not the streams'

	// The batch in use must stay as it is until the next read.
	before  store.ReadRequest
	to      Chunk
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
	batch, reached, err := readInto(ctx, r.reader, request.After, through, &r.to)
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
