package trial

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Log is a log in memory. It has the events that it is made of, at their positions, and no others.
type Log struct {
	id     store.LogID
	events []store.RecordedEvent // in order of position
}

var _ store.Log = (*Log)(nil)

// NewLog makes a log of events, which are in order of position. They must have all fields, and not be changed any more.
func NewLog(events []store.RecordedEvent) *Log {
	l := &Log{events: events}
	_, _ = rand.Read(l.id.ID[:]) // never fails
	return l
}

// First is the log when it had its first n events and no others.
func (l *Log) First(n int) *Log { return &Log{id: l.id, events: l.events[:n:n]} }

// upTo is how many events are at positions up to one.
func (l *Log) upTo(position int64) int {
	n, found := slices.BinarySearchFunc(l.events, position, func(e store.RecordedEvent, position int64) int {
		return int(min(max(e.Position-position, -1), 1))
	})
	if found {
		n++
	}
	return n
}

// last is the last event up to a position, or nil.
func (l *Log) last(position int64) *store.RecordedEvent {
	if n := l.upTo(position); n > 0 {
		return &l.events[n-1]
	}
	return nil
}

// ID is the identity of the log, which no other has.
func (l *Log) ID() store.LogID { return l.id }

// Head is the position of the last event, or 0.
func (l *Log) Head() int64 {
	if len(l.events) == 0 {
		return 0
	}
	return l.events[len(l.events)-1].Position
}

// Horizon is the end of the log. See [store.Reader].
func (l *Log) Horizon(context.Context) (store.Horizon, error) {
	return store.Horizon{Position: l.Head(), Head: l.Head(), Log: l.id}, nil
}

// Read fills page. See [store.Reader].
func (l *Log) Read(_ context.Context, request store.ReadRequest, page *store.Page) error {
	if some, err := request.Start(page); err != nil || !some {
		page.Log = l.id
		return err
	}
	full := false
	for _, e := range l.events[l.upTo(request.After):l.upTo(request.Through)] {
		if !request.Subscription.Matches(e.Stream, e.Type) || !request.Range.Contains(e.PartitionHash) {
			continue
		}
		if _, wanted := slices.BinarySearch(request.Positions, e.Position); request.Positions != nil && !wanted {
			continue
		}
		size := len(e.Payload) + len(e.Metadata)
		if full = request.Bytes > 0 && page.Bytes+size > request.Bytes && len(page.Events) > 0; full {
			break
		}
		page.Events, page.Bytes = append(page.Events, only(e, request.Columns)), page.Bytes+size
		if len(page.Events) == request.Limit {
			break
		}
	}
	request.Finish(page, full)
	page.Log = l.id
	return nil
}

// only is an event without the fields that were not asked for, as a database gives it: what a fault says of its stream
// depends on them.
func only(e store.RecordedEvent, columns store.Columns) store.RecordedEvent {
	for _, field := range []struct {
		column store.Columns
		text   *string
	}{
		{store.ColumnBoundedContext, &e.BoundedContext},
		{store.ColumnAggregateType, &e.AggregateType},
		{store.ColumnAggregateID, &e.AggregateID},
		{store.ColumnEventType, &e.Type},
		{store.ColumnTraceID, &e.TraceID},
		{store.ColumnCorrelationID, &e.CorrelationID},
		{store.ColumnCausationID, &e.CausationID},
	} {
		if !columns.Has(field.column) {
			*field.text = ""
		}
	}
	return e
}

// Locate returns what is at positions. See [store.Reader].
func (l *Log) Locate(_ context.Context, positions ...int64) (store.LogState, error) {
	state := store.LogState{
		Horizon: store.Horizon{Log: l.id, Head: l.Head(), Position: l.Head()},
		Events:  make([]store.UUID, len(positions)), Next: make([]time.Time, len(positions)),
	}
	for i, position := range positions {
		if e := l.last(position); e != nil && e.Position == position {
			state.Events[i] = e.ID
		}
		if n := l.upTo(position); n < len(l.events) {
			state.Next[i] = l.events[n].CreatedAt
		}
	}
	return state, nil
}

// AppliedAt returns the last event up to a position. See [store.Reader].
func (l *Log) AppliedAt(_ context.Context, position int64) (store.Applied, error) {
	applied := store.Applied{Log: l.id}
	if e := l.last(position); e != nil {
		applied.Position, applied.Event = e.Position, e.ID
	}
	return applied, nil
}

// ReadStream returns events of a stream. See [store.Reader].
func (l *Log) ReadStream(
	_ context.Context, stream store.Stream, first, last int64,
) ([]store.RecordedEvent, error) {
	found, known := []store.RecordedEvent{}, false
	for _, e := range l.events {
		if e.Stream != stream {
			continue
		}
		known = true
		if e.AggregateVersion >= first && (last == 0 || e.AggregateVersion <= last) {
			found = append(found, e)
		}
	}
	if !known {
		return nil, store.ErrStreamNotFound
	}
	return found, nil
}

// CheckLog finds nothing. See [store.LogChecker].
func (l *Log) CheckLog(context.Context) error { return nil }

// Ping does nothing. See [store.Database].
func (l *Log) Ping(context.Context) error { return nil }

// Close does nothing. See [store.Database].
func (l *Log) Close() {}
