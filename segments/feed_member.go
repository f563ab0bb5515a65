package segments

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// member is a segment as its feed knows it. One goroutine reads.
type member struct {
	feed    *feed
	request store.ReadRequest
	wants   wants
	filter  filter

	// A batch out of shared pages.
	events []store.Recorded
	bytes  int

	// Reads of its own.
	portion portion
	own     store.Page

	// Under the feed's lock.
	position int64 // where its batch begins
	stride   int64 // how many positions its batches pass
}

// batchPagesMax bounds of how many pages a batch is made, and so how much memory a slow segment holds on to.
const batchPagesMax = 4

// read returns the next batch of the segment, after < position ≤ through, and up to where it goes, as [store.Page] says. Events are
// valid until the next read and must not be changed; they may have more fields than the segment asked for.
func (m *member) read(ctx context.Context, after, through int64) ([]store.Recorded, int64, error) {
	if through <= after {
		return nil, after, nil
	}
	m.feed.stands(m, after)
	clear(m.events) // what is not used again would keep pages alive
	m.events, m.bytes = m.events[:0], 0
	first, err := m.feed.page(ctx, m, after, through, true)
	if err != nil {
		return nil, 0, err
	}
	if first == nil {
		return m.readOwn(ctx, after, through)
	}
	at, full := m.take(first, after, through)
	for pages := 1; pages < batchPagesMax && at < through && !full; pages++ {
		// What is there is taken. Waiting for more is worth while for a batch that has little.
		page, err := m.feed.page(ctx, m, at, through, len(m.events) < m.request.Limit/2)
		switch {
		case err != nil:
			return nil, 0, err
		case page == nil:
			return m.events, at, nil
		case page.generation != first.generation:
			return m.read(ctx, after, through) // the feed was cleared: what was taken may be wrong
		}
		at, full = m.take(page, at, through)
	}
	return m.events, at, nil
}

// take adds the events of a page behind position that the segment wants. It returns up to where the batch goes, and whether a
// limit ended it.
func (m *member) take(page *feedPage, position, through int64) (at int64, full bool) {
	events := page.from(position)
	for i := range events {
		event := &events[i]
		if event.Position > through {
			break
		}
		if !m.filter.match(event) {
			continue
		}
		m.bytes += m.bytesOf(event)
		if m.request.Bytes > 0 && m.bytes > m.request.Bytes && len(m.events) > 0 {
			return m.events[len(m.events)-1].Position, true
		}
		m.events = append(m.events, *event)
		if len(m.events) == m.request.Limit {
			return event.Position, true
		}
	}
	return min(page.Through, through), false
}

// bytesOf counts what the segment asked for only: another may have asked for more.
func (m *member) bytesOf(event *store.Recorded) (bytes int) {
	if m.request.Columns.Has(store.ColumnPayload) {
		bytes += len(event.Payload)
	}
	if m.request.Columns.Has(store.ColumnMetadata) {
		bytes += len(event.Metadata)
	}
	return bytes
}

// readOwn reads with the segment's scope and range in SQL, into a page that is used again.
func (m *member) readOwn(ctx context.Context, after, through int64) ([]store.Recorded, int64, error) {
	request := m.request
	request.After, request.Through, request.Limit = after, through, m.portion.limit
	if err := m.feed.reader.Read(ctx, request, &m.own); err != nil {
		return nil, 0, err
	}
	m.portion.adapt(request, &m.own)
	return m.own.Events, m.own.Through, nil
}
