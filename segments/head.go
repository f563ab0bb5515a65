package segments

import (
	"context"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// head looks at the horizon for all segments of the worker, so that an idle host asks one question and not one a segment.
//
// The looks are the truth. With [Options.Notify], a head that idles is woken by appends (see waker): it announces that it
// will wait, looks once more, and waits for up to PollMax. While events come it announces nothing and only polls.
type head struct {
	worker *Worker
	waker  *waker

	mu      sync.Mutex
	horizon store.Horizon
	moved   chan struct{} // closed when the horizon moves
	server  int           // counts the signs that another server answers, or the same one with another log
}

func newHead(w *Worker) *head {
	return &head{worker: w, waker: newWaker(w), moved: make(chan struct{})}
}

// after waits until the horizon is beyond position and returns it with the log that it is of (see log), or ctx's error.
func (h *head) after(ctx context.Context, position int64) (horizon int64, log int, err error) {
	for {
		h.mu.Lock()
		horizon, log, moved := h.horizon.Position, h.server, h.moved
		h.mu.Unlock()
		if ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		if horizon > position {
			return horizon, log, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
	}
}

// log tells which log the horizon is of: after a failover or a restore it is another number. What was read of one log must not
// be committed to another.
func (h *head) log() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.server
}

// beyond tells whether the horizon is beyond position.
func (h *head) beyond(position int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.horizon.Position > position
}

// run polls until ctx ends: often while events come, seldom when nothing happens.
func (h *head) run(ctx context.Context) {
	options := h.worker.options
	pause := options.Poll
	retry := options.backoff()
	held := holder{worker: h.worker}
	defer h.waker.leave()
	for {
		idle := false
		horizon, err := h.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			h.forget()
			h.worker.outage.noticed(err)
			pause = retry.pause()
		default:
			retry.reset()
			held.look(horizon)
			if h.publish(horizon) {
				pause = options.Poll
			} else if longer := time.Duration(float64(pause) * options.PollFactor); horizon.Position < horizon.Head {
				// An append is under way, and may be for long.
				pause = min(longer, max(dozeAfter, options.Poll), options.PollMax)
			} else {
				pause = min(longer, h.waker.pollMax())
				idle = pause >= dozeAfter
			}
		}
		if !idle {
			h.waker.rise(ctx)
			if !sleep(ctx, pause) {
				return
			}
			continue
		}
		switch h.waker.doze(ctx, pause) {
		case dozeAnnounced: // look once more
		case dozeBusy: // it has paused
		case dozeWoken: // and for a while often
			pause = options.Poll
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// ask looks at the horizon. A server that has gone silent, without a word to its connections, is given up after a lease.
func (h *head) ask(ctx context.Context) (store.Horizon, error) {
	within, cancel := context.WithTimeout(ctx, h.worker.options.Lease)
	defer cancel()
	return h.worker.store.Horizon(within)
}

// publish tells the segments, and reports whether the horizon moved.
func (h *head) publish(horizon store.Horizon) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	moved := horizon.Position > h.horizon.Position
	// It may also go back: the server was restored or failed over, and positions that were seen will be handed out again.
	if horizon.Position < h.horizon.Position || horizon.Head < h.horizon.Head {
		h.server++
		h.worker.feed.clear()
	}
	h.horizon = horizon
	if moved {
		close(h.moved)
		h.moved = make(chan struct{})
	}
	return moved
}

// forget drops what is known: after a lost connection another server may answer.
func (h *head) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.horizon = store.Horizon{}
	h.server++
	h.worker.feed.clear()
}

// holder says once when an append has held the horizon back for long: projections wait for it, rightly, and somebody should
// know which it is.
type holder struct {
	worker *Worker
	pid    int
	since  time.Time
	told   bool
}

const heldLong = 10 * time.Second

func (l *holder) look(horizon store.Horizon) {
	if horizon.Holder == 0 || horizon.Holder != l.pid {
		*l = holder{worker: l.worker, pid: horizon.Holder, since: clock.Now()}
		return
	}
	if !l.told && clock.Since(l.since) > heldLong {
		l.told = true
		l.worker.logger.Warn().Int("pid", horizon.Holder).Int64("horizon", horizon.Position).Int64("head", horizon.Head).
			Msg("horizon held back by an append that does not end")
	}
}
