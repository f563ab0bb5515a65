package plan

import (
	"bytes"
	"context"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

const (
	// tailBytesMax bounds the payloads and metadata of the events of a dry run, which are in memory.
	tailBytesMax = 256 << 20
	// pageEvents and pageBytes bound what is read at once.
	pageEvents = 5000
	pageBytes  = 16 << 20
)

// tail are the last events of a log that a subscription has.
type tail struct {
	events []store.RecordedEvent
	inLog  int64 // how many the log has of them, or about how many
	all    bool  // that is exact
}

// last reads the last events of a subscription. It reads backwards, more at a time while too few are found.
func (p *planner) last(ctx context.Context, of *store.Subscription) (*tail, error) {
	horizon, err := p.Log.Horizon(ctx)
	if err != nil {
		return nil, err
	}
	var positions []int64 // of the last events, in order
	found, begin := int64(0), horizon.Position
	for width := int64(max(4*p.Events, pageEvents)); begin > 0 && len(positions) < p.Events; width *= 4 {
		low := max(0, begin-width)
		some, n, err := p.positions(ctx, of, low, begin)
		if err != nil {
			return nil, err
		}
		positions, found, begin = append(some, positions...), found+n, low
	}
	t := &tail{inLog: found, all: begin == 0}
	if !t.all {
		t.inLog = int64(float64(found) / float64(horizon.Position-begin) * float64(horizon.Position))
	}
	if len(positions) == 0 {
		return t, nil
	}
	after := positions[max(0, len(positions)-p.Events)] - 1
	return t, p.read(ctx, of, after, horizon.Position, t)
}

// positions returns the last positions of events behind low, up to high, and how many events there are in all.
func (p *planner) positions(
	ctx context.Context, of *store.Subscription, low, high int64,
) (last []int64, found int64, err error) {
	var page store.Page
	for low < high {
		request := store.ReadRequest{
			After: low, Through: high, Limit: pageEvents, Range: store.FullRange(), Subscription: *of,
		}
		if err := p.Log.Read(ctx, request, &page); err != nil {
			return nil, 0, err
		}
		for i := range page.Events {
			last = append(last, page.Events[i].Position)
		}
		if len(last) > 2*p.Events {
			last = slices.Delete(last, 0, len(last)-p.Events)
		}
		found, low = found+int64(len(page.Events)), page.Through
	}
	return last, found, nil
}

// read adds the events behind a position, without the first ones where they are too large.
func (p *planner) read(ctx context.Context, of *store.Subscription, after, through int64, into *tail) error {
	var page store.Page
	size := func(e *store.RecordedEvent) int { return len(e.Payload) + len(e.Metadata) }
	total := 0
	for after < through {
		request := store.ReadRequest{
			After: after, Through: through, Limit: pageEvents, Bytes: pageBytes, Range: store.FullRange(),
			Subscription: *of, Columns: store.AllColumns,
		}
		if err := p.Log.Read(ctx, request, &page); err != nil {
			return err
		}
		for _, e := range page.Events {
			e.Payload, e.Metadata = bytes.Clone(e.Payload), bytes.Clone(e.Metadata) // the page is read into again
			into.events = append(into.events, e)
			total += size(&e)
		}
		cut := 0
		for ; total > tailBytesMax && cut < len(into.events)-1; cut++ {
			total -= size(&into.events[cut])
		}
		into.events = slices.Delete(into.events, 0, cut)
		after = page.Through
	}
	return nil
}
