package readcache

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// Reader is a segment as its cache knows it. One goroutine reads.
type Reader struct {
	cache   *Cache
	log     store.LogID // that it reads; what the database has of another is an error
	request store.ReadRequest
	needs   readSet
	filter  filter
	limit   fetchLimit // of reads of its own

	// Only set when the range is of keys that the database cannot select by.
	divider *Divider
	keys    store.HashRange

	// Under the cache's lock.
	position int64 // where its read begins
	stride   int64 // how many positions its reads pass
}

// Chunk is a part of the log as one segment sees it, with the memory that it is read into. It is used again by
// the next read.
type Chunk struct {
	Events  []store.RecordedEvent // valid until the next read into it; other fields may be set than were asked for
	After   int64                 // where it begins
	Through int64                 // up to where it goes, as [store.Page] says
	Bytes   int                   // of the events

	shared []store.RecordedEvent // what was taken out of shared pages
	pages  []*page               // these pages
	own    store.Page            // what was read for the segment alone
}

// Capacity is how many events the memory of the chunk has room for.
func (c *Chunk) Capacity() int { return max(cap(c.own.Events), cap(c.shared)) }

// Read fills to with the segment's events of after < position ≤ through, as far as the limits of its request
// go. The log must be complete up to through, as its horizon says.
func (r *Reader) Read(ctx context.Context, after, through int64, to *Chunk) error {
	r.cache.release(to.pages...)
	clear(to.pages)
	to.pages, to.shared, to.Bytes, to.Events, to.After, to.Through = to.pages[:0], to.shared[:0], 0, nil, after, after
	if through <= after {
		return nil
	}
	r.cache.moveTo(r, after)
	first, err := r.cache.page(ctx, r, after, through, true)
	if err != nil {
		return err
	}
	if first == nil {
		return r.readOwn(ctx, after, through, to)
	}
	full := r.take(first, through, to)
	for pages := 1; pages < chunkPagesMax && to.Through < through && !full; pages++ {
		// What is there is taken. Waiting for more is worth while for a chunk that has little.
		page, err := r.cache.page(ctx, r, to.Through, through, len(to.shared) < r.request.Limit/2)
		switch {
		case err != nil:
			return err
		case page == nil:
			to.Events = to.shared
			return nil
		case page.generation != first.generation:
			r.cache.release(page)
			return r.Read(ctx, after, through, to) // a new generation: what was taken may be wrong
		}
		full = r.take(page, through, to)
	}
	to.Events = to.shared
	return nil
}

// Discard gives up the memory of a chunk, with what was read into it.
func (r *Reader) Discard(chunk *Chunk) {
	r.cache.release(chunk.pages...)
	*chunk = Chunk{}
}

// Leave ends the reading.
func (r *Reader) Leave() { r.cache.leave(r) }

// take adds the events of a page that the segment wants, and reports that a limit ended it.
func (r *Reader) take(page *page, through int64, to *Chunk) (full bool) {
	to.pages = append(to.pages, page)
	to.shared = roomFor(to.shared, r.request.Limit, to.Through, through)
	events := page.from(to.Through)
	var placed []placement
	if r.divider != nil {
		placed = page.placements.of(r.divider, page.Events)
		placed = placed[len(placed)-len(events):]
	}
	for i := range events {
		event := &events[i]
		if event.Position > through {
			break
		}
		if placed != nil && !placed[i].in(r.keys) || placed == nil && !r.filter.match(event) {
			continue
		}
		to.Bytes += r.bytesOf(event)
		if r.request.Bytes > 0 && to.Bytes > r.request.Bytes && len(to.shared) > 0 {
			to.Through = to.shared[len(to.shared)-1].Position
			return true
		}
		to.shared = append(to.shared, *event)
		if placed != nil {
			to.shared[len(to.shared)-1].Key = placed[i].key
		}
		if len(to.shared) == r.request.Limit {
			to.Through = event.Position
			return true
		}
	}
	to.Through = min(page.Through, through)
	return false
}

// bytesOf counts what the segment asked for only: another may have asked for more.
func (r *Reader) bytesOf(event *store.RecordedEvent) (bytes int) {
	if r.request.Columns.Has(store.ColumnPayload) {
		bytes += len(event.Payload)
	}
	if r.request.Columns.Has(store.ColumnMetadata) {
		bytes += len(event.Metadata)
	}
	return bytes
}

// readOwn reads with the segment's subscription in SQL, and with its range where the database knows the key.
func (r *Reader) readOwn(ctx context.Context, after, through int64, to *Chunk) error {
	request := r.request
	request.After, request.Through, request.Limit = after, through, r.limit.events
	to.own.Events = roomFor(to.own.Events[:0], request.Limit, after, through)
	if err := r.cache.log.Read(ctx, request, &to.own); err != nil {
		return err
	}
	if to.own.Log != r.log {
		return store.ErrOtherLog
	}
	r.limit.adapt(request, &to.own)
	to.Through, to.Bytes = to.own.Through, to.own.Bytes
	if r.divider != nil {
		r.keepOwn(to)
	}
	to.Events = to.own.Events
	return nil
}

// keepOwn leaves the events of the segment's range, as many as it asked for. When there are more, fewer are
// read the next time.
func (r *Reader) keepOwn(to *Chunk) {
	to.own.Events = r.divider.only(r.keys, to.own.Events)
	if limit := r.request.Limit; len(to.own.Events) > limit {
		to.own.Events, to.Through = to.own.Events[:limit], to.own.Events[limit-1].Position
		r.limit = newFetchLimit(max(r.limit.max/2, limit))
	}
}
