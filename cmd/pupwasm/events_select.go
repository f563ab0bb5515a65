package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// lastMax bounds --last: the position of each event is kept until it is known which are the last.
	lastMax = 1_000_000
	// pageBytes bounds the payloads of a page.
	pageBytes = 16 << 20
	// streamPageEvents is how many events of a stream are read at once: they have no bound on their bytes.
	streamPageEvents = 50
)

// eventSelection is what the flags of a list of events say besides what a [store.Subscription] says.
type eventSelection struct {
	only    *store.Stream // nil for all streams
	created time.Time     // no event was created before; zero for all
	search  bool          // for the first event that was created since then
	fromEnd bool          // nothing that is there is shown
}

// selection checks the flags. given reports whether a flag has a value.
func (o *eventsOptions) selection(given func(flag string) bool) (s eventSelection, err error) {
	switch {
	case o.after < 0 || o.through < 0 || o.limit < 0:
		return s, usagef("--after, --through and --limit must be 0 or more")
	case given("last") && (o.last < 1 || o.last > lastMax):
		return s, usagef("--last must be between 1 and %d, it is %d", lastMax, o.last)
	case given("last") && given("limit"):
		return s, usagef("--last and --limit exclude each other: both say how many events to show")
	case o.stream != "" && len(o.contexts)+len(o.types) > 0:
		return s, usagef("--stream excludes --context and --type: it has both")
	case o.poll < time.Millisecond:
		return s, usagef("--poll %s: must be at least 1ms", o.poll)
	}
	if o.stream != "" {
		if s.only, err = parseStream(o.stream); err != nil {
			return s, err
		}
	}
	if o.since != "" {
		if s.created, err = parseSince(o.since, clock.Now()); err != nil {
			return s, err
		}
		s.search = s.only == nil && !given("after")
	}
	if (o.follow || given("last")) && !given("limit") {
		o.limit = 0
	}
	s.fromEnd = o.follow && !given("after") && !given("last") && o.since == ""
	return s, nil
}

// parseStream reads the value of --stream.
func parseStream(text string) (*store.Stream, error) {
	stream, ok := eventline.ParseStream(text)
	if !ok {
		return nil, usagef("--stream %s: must be CONTEXT/TYPE/ID; 'pupwasm stream ID' finds a stream by its id", printable(text))
	}
	if err := stream.Validate(); err != nil {
		return nil, usagef("--stream %s: %v", printable(text), err)
	}
	return &stream, nil
}

// parseSince reads a duration before now, or a time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, usagef("--since %s: must be a duration before now such as 10m or 36h, or a time such as "+
			"2026-01-02T03:04:05Z", printable(text))
	}
	return at, nil
}

// seek moves to where the list begins.
func (l *eventList) seek(ctx context.Context) (err error) {
	l.passed, l.end = l.after, l.through
	if !l.fromEnd && !l.search && l.last == 0 {
		return nil
	}
	through, err := l.horizon(ctx)
	if err != nil {
		return err
	}
	if l.fromEnd {
		l.passed = through
	}
	if l.search {
		if l.passed, err = l.firstSince(ctx, through); err != nil {
			return err
		}
	}
	if l.last > 0 {
		if l.passed, err = l.beforeLast(ctx, through); err != nil {
			return err
		}
		if !l.follow {
			l.end = through // what comes meanwhile would be more than was asked for
		}
	}
	return nil
}

// firstSince returns the position before the first event that was created since --since, if times ascend.
func (l *eventList) firstSince(ctx context.Context, through int64) (int64, error) {
	low, high := l.passed, through
	for low < high {
		middle := low + (high-low)/2
		var state store.LogState
		err := l.backoff.do(ctx, func() (err error) {
			state, err = l.from.Locate(ctx, middle)
			return err
		})
		switch {
		case err != nil:
			return 0, err
		case state.Next[0].IsZero() || !state.Next[0].Before(l.created): // no event is behind the middle, or a late one
			high = middle
		default:
			low = middle + 1
		}
	}
	return low, nil
}

// beforeLast returns the position before the last events that are selected, as many as --last says, or before all. It
// reads backwards, more at a time while too few are found. A stream is read as a whole.
func (l *eventList) beforeLast(ctx context.Context, through int64) (int64, error) {
	width := max(4*l.last, pageEvents)
	if l.only != nil {
		width = through
	}
	var last []int64 // positions, in order
	for high := through; high > l.passed && int64(len(last)) < l.last; width *= 4 {
		low := max(l.passed, high-width)
		found, err := l.lastWithin(ctx, low, high)
		if err != nil {
			return 0, err
		}
		last, high = append(found, last...), low
	}
	if int64(len(last)) < l.last {
		return l.passed, nil
	}
	return last[int64(len(last))-l.last] - 1, nil
}

// lastWithin returns the positions of the last events that are selected behind low, up to high, as many as --last says.
func (l *eventList) lastWithin(ctx context.Context, low, high int64) (positions []int64, err error) {
	for low < high {
		events, err := l.read(ctx, low, high, pageEvents, store.ColumnCreatedAt)
		if err != nil {
			return nil, err
		}
		for i := range events {
			positions = append(positions, events[i].Position)
		}
		if int64(len(positions)) > 2*l.last {
			positions = slices.Delete(positions, 0, len(positions)-int(l.last))
		}
		low = l.page.Through
	}
	return positions, nil
}

// createdSince leaves the events that were created since --since, in place.
func (s *eventSelection) createdSince(events []store.RecordedEvent) []store.RecordedEvent {
	if s.created.IsZero() {
		return events
	}
	return slices.DeleteFunc(events, func(e store.RecordedEvent) bool { return e.CreatedAt.Before(s.created) })
}

// streamPages reads the events of one stream by its index, in ascending order. Requests say where they begin and end,
// which types are wanted, and how many at most.
type streamPages struct {
	from   store.Reader
	stream store.Stream
	next   int64 // version to read
	passed int64 // position before which all versions below next are
}

// Read fills the page, as [store.Reader] does. A stream that does not exist has no events yet.
func (s *streamPages) Read(ctx context.Context, request store.ReadRequest, page *store.Page) error {
	page.Events, page.Through = page.Events[:0], request.Through
	next, passed, bytes := s.next, s.passed, 0
	if request.After < passed {
		next, passed = 1, 0
	}
	for {
		events, err := s.from.ReadStream(ctx, s.stream, next, next+streamPageEvents-1)
		if err != nil && !errors.Is(err, store.ErrStreamNotFound) {
			return err
		}
		for i := range events {
			e := &events[i]
			full := len(page.Events) == request.Limit || bytes > request.Bytes
			if full || e.Position > request.Through {
				if full {
					page.Through = passed
				}
				s.next, s.passed = next, passed
				return nil
			}
			next, passed = e.AggregateVersion+1, e.Position
			if e.Position > request.After && request.Subscription.Matches(e.Stream, e.Type) {
				page.Events, bytes = append(page.Events, *e), bytes+len(e.Payload)+len(e.Metadata)
			}
		}
		if len(events) < streamPageEvents {
			s.next, s.passed = next, passed
			return nil
		}
	}
}
