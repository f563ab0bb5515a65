package readcache

import (
	"context"
	"math"
	"slices"
	"sync"

	"github.com/pupwasm/pupwasm/segments/internal/logstate"
	"github.com/pupwasm/pupwasm/store"
)

// Cache reads the log for all segments of a worker, of every projection, so that those near each other share
// one read. It keeps the last pages, and a segment takes from them what its own subscription and range let
// through. A segment that has no other near it reads for itself, with subscription and range in SQL.
//
// Nothing is pushed, and a segment waits for nobody except a read of just the page that it wants: a slow
// segment finds its pages gone and reads for itself. The lock is held for looking things up only.
//
// # What is served
//
// Each segment sees what [store.Reader] promises for its own request: never an event beyond the request's
// Through, although a page may go further, because another segment asked for it. Events are shared and
// read-only, payloads and metadata too. The users of a page are counted. The memory of a page without users is
// that of the next: new memory costs more than to read a page into it. A page that is never given back is left
// to the garbage collector.
//
// # When pages become wrong
//
// After a failover or a restore positions are handed out again, so that a page has what is no longer in the
// log. And how far a segment may read is known of one log: a page of another that goes as far lacks what is
// still to come there. So each segment names its log, gets pages of that log only, and [store.ErrOtherLog]
// where the database has another one; and what was read of one log is not committed to another (see
// [store.Tx]). Pages are of the generation of the log in which they were read, and go with it: see
// [logstate.Log]. A read of an older generation is not served, and done again, and a batch that had begun with
// an older page begins again.
type Cache struct {
	log   store.Reader
	state *logstate.Log

	// Bounds: of what is kept, and of one shared read.
	sizeMax, pagesMax int
	pageBytes         int

	mu         sync.Mutex
	readers    []*Reader
	pages      []*page
	size       int          // of the pages, in bytes
	spare      []store.Page // memory of pages that nobody uses any more
	reads      []*sharedRead
	limit      fetchLimit // of a shared read
	generation uint64     // of the log, whose pages these are
	count      uint64     // of look-ups, the cache's clock
}

// sharedRead is a read in flight.
type sharedRead struct {
	page    *page
	log     store.LogID // whose horizon the request goes up to
	request store.ReadRequest
	done    chan struct{}

	// Valid after done.
	err     error
	stale   bool // a new generation began meanwhile
	aborted bool // the segment that read was stopped, which is nobody else's error
}

// New makes a cache. What it keeps fits into the bytes that all events of the worker may have.
func New(log store.Reader, state *logstate.Log, bytes int) *Cache {
	return &Cache{
		log: log, state: state, limit: newFetchLimit(pageEvents), pagesMax: cachePagesMax,
		sizeMax: min(cacheSizeMax, bytes/2), pageBytes: max(min(cachePageBytes, bytes/16), 1),
	}
}

// Horizon polls the log.
func (c *Cache) Horizon(ctx context.Context) (store.Horizon, error) { return c.log.Horizon(ctx) }

// Join makes a segment known that will read a log with this subscription, range, columns and limits, from the
// request's After. divided is by what the range divides the events; nil is by stream.
func (c *Cache) Join(log store.LogID, request store.ReadRequest, divided *Divider) *Reader {
	r := &Reader{cache: c, log: log, request: request, limit: newFetchLimit(request.Limit), position: request.After}
	if divided != nil && divided.byKey(request.Range) {
		r.divider, r.keys = divided, request.Range
		r.request.Range = store.FullRange()
		r.request.Columns |= divided.partition.Columns()
		r.limit = newFetchLimit(request.Limit * dividedReads(request.Range))
	}
	r.filter, r.needs = newFilter(r.request.Subscription, r.request.Range), readSetOf(r.request)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readers = append(c.readers, r)
	return r
}

func (c *Cache) leave(r *Reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sync()
	c.readers = slices.DeleteFunc(c.readers, func(other *Reader) bool { return other == r })
	c.evict()
}

// sync forgets the pages of an older generation. The lock is held.
func (c *Cache) sync() {
	if now := c.state.Generation(); now != c.generation {
		c.generation = now
		c.pages, c.size, c.reads = nil, 0, nil
	}
}

// moveTo notes where a segment begins a batch.
func (c *Cache) moveTo(r *Reader, position int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.stride = max(position-r.position, r.stride/2)
	r.position = position
}

// page returns a page in which the segment goes on from position, until it is released. It is nil when there is
// none and the segment should read for itself, or does not want to wait for a read.
func (c *Cache) page(ctx context.Context, r *Reader, position, through int64, wait bool) (*page, error) {
	for {
		c.mu.Lock()
		c.sync()
		if page := c.lookUp(r, position); page != nil || !wait {
			if page != nil {
				page.users++
			}
			c.mu.Unlock()
			return page, nil
		}
		read, mine := c.underWay(r, position), false
		if read == nil {
			want, near := c.near(r, position)
			if !near {
				c.mu.Unlock()
				return nil, nil
			}
			read, mine = c.plan(r.log, want, position, through), true
		}
		read.page.users++
		c.mu.Unlock()

		if mine {
			c.fill(ctx, read)
		} else {
			select {
			case <-read.done:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		switch {
		case read.stale, read.aborted && !mine:
			continue
		case read.err != nil:
			return nil, read.err
		case read.page.has(position, r.needs): // it may be gone from the cache by now
			return read.page, nil
		}
		c.release(read.page)
	}
}

// release gives pages back.
func (c *Cache) release(pages ...*page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, page := range pages {
		c.leavePage(page)
	}
}

// leavePage takes one off the users of a page, and keeps the memory when it was the last. The lock is held.
func (c *Cache) leavePage(page *page) {
	if page.users--; page.users == 0 && len(c.spare) < spareMax && cap(page.Buffer) >= spareBytes {
		c.spare = append(c.spare, store.Page{Events: page.Events[:0], Buffer: page.Buffer[:0]})
	}
}

// lookUp returns the page that goes furthest of those that serve. The lock is held.
func (c *Cache) lookUp(r *Reader, position int64) *page {
	var best *page
	for _, page := range c.pages {
		if (best == nil || page.Through > best.Through) && page.Log == r.log && page.has(position, r.needs) {
			best = page
		}
	}
	if best != nil {
		c.count++
		best.used = c.count
	}
	return best
}

// underWay returns a read whose page will have the position. The lock is held.
func (c *Cache) underWay(r *Reader, position int64) *sharedRead {
	for _, read := range c.reads {
		end := min(read.request.After+int64(read.request.Limit), read.request.Through)
		if read.log == r.log && read.request.After <= position && position < end && read.page.readSet.cover(r.needs) {
			return read
		}
	}
	return nil
}

// near reports that others than r will want the log behind position soon, and what r and they need of it. How
// far a segment goes with a batch is its own measure: one with a narrow subscription passes a hundred thousand
// positions in the time in which another passes a thousand. The lock is held.
func (c *Cache) near(r *Reader, position int64) (want readSet, near bool) {
	want = r.needs
	page := int64(c.limit.max)
	for _, other := range c.readers {
		behind := position - other.position
		ahead := -behind
		if other != r && behind <= batchesNear*max(other.stride, page) && ahead < max(r.stride, page) {
			near = true
			want.include(other.needs)
		}
	}
	return want, near
}

// plan registers a shared read of all streams of a log. The lock is held.
func (c *Cache) plan(log store.LogID, want readSet, after, through int64) *sharedRead {
	read := &sharedRead{
		log:  log,
		page: &page{after: after, readSet: want, generation: c.generation},
		request: store.ReadRequest{
			After: after, Through: through, Limit: c.limit.events, Bytes: c.pageBytes,
			Subscription: want.subscription, Range: store.FullRange(), Columns: want.columns,
		},
		done: make(chan struct{}),
	}
	if last := len(c.spare) - 1; last >= 0 {
		read.page.Page = c.spare[last]
		c.spare = c.spare[:last]
	}
	c.reads = append(c.reads, read)
	return read
}

// fill reads, and keeps the page.
func (c *Cache) fill(ctx context.Context, read *sharedRead) {
	defer close(read.done)
	page := read.page
	page.Events = roomFor(page.Events, read.request.Limit, page.after, read.request.Through)
	read.err = c.log.Read(ctx, read.request, &page.Page)
	if read.err == nil && page.Log != read.log {
		read.err = store.ErrOtherLog
	}
	read.aborted = read.err != nil && ctx.Err() != nil
	page.measure()

	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads = slices.DeleteFunc(c.reads, func(other *sharedRead) bool { return other == read })
	// An error of a read that is stale says nothing about the server of now.
	read.stale = page.generation != c.state.Generation() && !read.aborted
	if read.stale || read.err != nil {
		return
	}
	c.limit.adapt(read.request, &page.Page)
	if len(page.Events) < read.request.Limit/2 {
		c.spare = nil // the horizon is near, where small pages do
	}
	c.keep(page)
}

// roomFor returns events, with room for as many as there may be behind them from one position to another, up to
// a limit. Every event has a position of its own, so that near the horizon it is not more than is needed.
func roomFor(events []store.RecordedEvent, limit int, after, through int64) []store.RecordedEvent {
	return slices.Grow(events, int(min(int64(limit-len(events)), through-after)))
}

// keep adds a page. The lock is held.
func (c *Cache) keep(page *page) {
	page.users++
	c.count++
	page.used = c.count
	c.pages = append(c.pages, page)
	c.size += page.size
	c.evict()
}

// evict drops the pages that every segment has passed, so that a host at the horizon keeps next to nothing, and
// then those that were used longest ago, until the rest is within bounds. The lock is held.
func (c *Cache) evict() {
	last := int64(math.MaxInt64)
	for _, r := range c.readers {
		last = min(last, r.position)
	}
	for i := len(c.pages) - 1; i >= 0; i-- {
		if c.pages[i].Through <= last {
			c.drop(i)
		}
	}
	for c.size > c.sizeMax || len(c.pages) > c.pagesMax {
		oldest := 0
		for i, page := range c.pages {
			if page.used < c.pages[oldest].used {
				oldest = i
			}
		}
		c.drop(oldest)
	}
}

func (c *Cache) drop(i int) {
	c.size -= c.pages[i].size
	c.leavePage(c.pages[i])
	c.pages = slices.Delete(c.pages, i, i+1)
}
