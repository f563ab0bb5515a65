package segments

import (
	"context"
	"runtime"
	"sync"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store"
)

// guestsAtOnce is how many guests work for a segment that is behind. What a batch comes to depends on nothing but its events, so that
// the next one need not wait for it; and while one is folded, another is at work.
const guestsAtOnce = 2

// guestsFor is how many guests work on so many batches. One does for a single batch, for a projection with queries, and with two
// processors, where the reading and the commits have use for the other one.
func (f *flow) guestsFor(batches int) int {
	if batches == 1 || f.queries() || runtime.GOMAXPROCS(0) <= 2 {
		return 1
	}
	return guestsAtOnce
}

// replies are what guests answer to the batches of a stretch, in the order of the batches.
type replies struct {
	flow     *flow
	ctx      context.Context // of the guests; who made it ends it
	batches  []batch
	answered int // batches that next was called for

	// With several guests: each answers every so many batches, and goes on when its answer was used.
	answers []chan answer
	used    []chan struct{}
	working sync.WaitGroup
}

type answer struct {
	mutations []store.Mutation
	err       error
}

// applyBatches begins to apply batches. Where one guest does, next applies them itself.
func (f *flow) applyBatches(ctx context.Context, batches []batch) *replies {
	r := &replies{flow: f, ctx: ctx, batches: batches}
	guests := f.guestsFor(len(batches))
	if guests == 1 {
		f.dismiss(ctx)
		return r
	}
	for range guests {
		r.answers = append(r.answers, make(chan answer))
		r.used = append(r.used, make(chan struct{}, len(batches)))
	}
	for n := range guests {
		guest := f.guest(n)
		r.working.Go(func() { r.work(guest, n) })
	}
	return r
}

// work has one guest answer its share of the batches.
func (r *replies) work(guest *host.Guest, n int) {
	for i := n; i < len(r.batches); i += len(r.answers) {
		mutations, err := guest.Apply(r.ctx, r.batches[i].events, nil)
		select {
		case r.answers[n] <- answer{mutations, err}:
		case <-r.ctx.Done():
			return
		}
		select {
		case <-r.used[n]:
		case <-r.ctx.Done():
			return
		}
	}
}

// next returns what the next batch comes to, valid until the call after. A projection with queries takes its connection for it, which
// the commit of w gives back.
func (r *replies) next(w *window) ([]store.Mutation, error) {
	i := r.answered
	r.answered++
	if r.answers == nil {
		return r.flow.applyBatch(r.ctx, r.batches[i].events, w)
	}
	if i > 0 {
		r.used[(i-1)%len(r.used)] <- struct{}{} // has room for all there are
	}
	select {
	case a := <-r.answers[i%len(r.answers)]:
		return a.mutations, a.err
	case <-r.ctx.Done(): // a guest need not answer any more
		return nil, r.ctx.Err()
	}
}

// end waits for the guests. The context that they work in must have ended, or all answers been taken.
func (r *replies) end() { r.working.Wait() }

// guest returns the segment's guest of a number, from 0.
func (s *segment) guest(n int) *host.Guest {
	for len(s.guests) <= n {
		s.guests = append(s.guests, s.runner.module.NewGuest(s.number))
	}
	return s.guests[n]
}

// dismiss gives back the memory of the guests that a segment needs only while it is behind.
func (s *segment) dismiss(ctx context.Context) {
	for n := 1; n < len(s.guests); n++ {
		s.guests[n].Close(ctx)
	}
}

// applyBatch asks the first guest for mutations.
func (f *flow) applyBatch(ctx context.Context, events []store.RecordedEvent, w *window) ([]store.Mutation, error) {
	if len(events) == 0 {
		return nil, nil
	}
	guest := f.guest(0)
	if !f.queries() {
		return guest.Apply(ctx, events, nil)
	}
	if err := f.begin(ctx, w); err != nil {
		return nil, err
	}
	mutations, err := guest.Apply(ctx, events, func(query int, arguments []store.Value, rows *store.Rows) error {
		return w.tx.Query(ctx, query, arguments, rows)
	})
	if err != nil {
		f.end(w)
	}
	return mutations, err
}
