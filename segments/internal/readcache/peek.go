package readcache

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// Peek polls the horizon and, where the store can do both at once, reads what is behind position for the
// segments that are near it. They find it in the cache. It costs a round trip less than a poll and then a read.
func (f *Cache) Peek(ctx context.Context, position int64) (store.Horizon, error) {
	peeker, can := f.log.(store.Peeker)
	if !can {
		return f.log.Horizon(ctx)
	}
	f.mu.Lock()
	f.sync()
	page := &page{after: position, generation: f.generation}
	count := 0
	for _, m := range f.readers {
		if position-m.position > batchesNear*max(m.stride, int64(f.limit.max)) {
			continue
		}
		if count++; count == 1 {
			page.readSet = m.needs
		} else {
			page.readSet.include(m.needs)
		}
	}
	f.mu.Unlock()
	if count == 0 {
		return f.log.Horizon(ctx)
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
	f.mu.Lock()
	defer f.mu.Unlock()
	if page.generation == f.state.Generation() && page.Log == horizon.Log {
		f.keep(page)
	}
	return horizon, nil
}
