package readcache

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// Peek polls the horizon and, where the store can do both at once, reads what is behind position for the
// segments that are near it. They find it in the cache. It costs a round trip less than a poll and then a read.
func (c *Cache) Peek(ctx context.Context, position int64) (store.Horizon, error) {
	peeker, can := c.log.(store.Peeker)
	if !can {
		return c.log.Horizon(ctx)
	}
	c.mu.Lock()
	c.sync()
	page := &page{after: position, generation: c.generation}
	count := 0
	for _, r := range c.readers {
		if position-r.position > batchesNear*max(r.stride, int64(c.limit.max)) {
			continue
		}
		if count++; count == 1 {
			page.readSet = r.needs
		} else {
			page.readSet.include(r.needs)
		}
	}
	c.mu.Unlock()
	if count == 0 {
		return c.log.Horizon(ctx)
	}
	page.Buffer = make([]byte, 0, peekBuffer)
	horizon, err := peeker.Peek(ctx, store.ReadRequest{
		After: position, Limit: peekEvents, Bytes: peekBytes,
		Subscription: page.readSet.subscription, Range: store.FullRange(), Columns: page.readSet.columns,
	}, &page.Page)
	if err != nil || page.Through <= position {
		return horizon, err
	}
	page.measure()
	c.mu.Lock()
	defer c.mu.Unlock()
	if page.generation == c.state.Generation() && page.Log == horizon.Log {
		c.keep(page)
	}
	return horizon, nil
}
