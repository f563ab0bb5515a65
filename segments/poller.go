package segments

import (
	"context"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// poller looks at the horizon for all segments of the worker, so that an idle host asks one question and not one a segment.
//
// The looks are the truth; pace says how long the pauses between them are. Unless [Options.PollOnly] is set, appends cut the pauses short
// while events come so seldom that it costs the appenders little (see waker), and the pause is PollMax.
type poller struct {
	worker   *Worker
	listener *listener

	mu      sync.Mutex
	horizon store.Horizon // of no log while it is not known
	polls   int           // how many horizons were published
	moved   chan struct{} // closed when the horizon moves, is known again or that of another log, and at the next look when doubted
	doubted bool          // a segment has come farther than the log as it is known: another look tells whether the log is another
	waiting int           // how many segments are at the horizon
	wanted  chan struct{} // holds one sign that a segment has come there
}

func newPoller(w *Worker) *poller {
	return &poller{worker: w, listener: newListener(w), moved: make(chan struct{}), wanted: make(chan struct{}, 1)}
}

// joined is where a segment that joins the log now begins to believe the looks: one may be under way, from before.
func (h *poller) joined() (looks int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.polls + 2
}

// after waits until the horizon of a log is beyond position and returns it, or ctx's error. It is [store.ErrOtherLog] when the
// database has another log, or one that ends before the position. The latter takes a look from after the segment joined, since another
// host may have applied more than this one has seen.
func (h *poller) after(ctx context.Context, log store.LogID, joined int, position int64) (horizon int64, err error) {
	for {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		h.mu.Lock()
		now := h.horizon
		short := now.Head < position
		if now.Log != (store.LogID{}) && (now.Log != log || short && h.polls >= joined) {
			h.mu.Unlock()
			return 0, store.ErrOtherLog
		}
		h.doubted = h.doubted || short
		if now.Position > position {
			h.mu.Unlock()
			return now.Position, nil
		}
		moved := h.moved
		h.waiting++
		h.mu.Unlock()
		select {
		case h.wanted <- struct{}{}:
		default:
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
		h.mu.Lock()
		h.waiting--
		h.mu.Unlock()
	}
}

// awaitDemand waits until a segment is at the horizon, or for some time: those that have plenty to read need no newer one.
func (h *poller) awaitDemand(ctx context.Context, most time.Duration) {
	if most <= 0 {
		return
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		h.mu.Lock()
		waiting := h.waiting
		h.mu.Unlock()
		if waiting > 0 {
			return
		}
		select {
		case <-h.wanted:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// beyond tells whether the horizon is beyond position.
func (h *poller) beyond(position int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.horizon.Position > position
}

// run looks until ctx ends.
func (h *poller) run(ctx context.Context) {
	pace := newPollInterval(h.worker.options)
	retry := h.worker.options.backoff()
	held := holder{worker: h.worker}
	defer h.listener.leave()
	woken := false
	for ctx.Err() == nil {
		began := clock.Now()
		horizon, err := h.ask(ctx, woken || pace.expects())
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			h.forget()
			h.worker.outage.noticed(err)
			h.listener.disarm(ctx)
			sleep(ctx, retry.pause())
			continue
		}
		retry.reset()
		held.observe(horizon)
		pace.polled(poll{
			at: clock.Now(), took: clock.Since(began), moved: h.publish(horizon), held: horizon.Position < horizon.Head,
		})
		woken = h.rest(ctx, pace)
	}
}

// rest waits until the next look is due, in one of three ways: it dozes until a notification comes; it pauses, to poll; or it
// announces that it is about to doze, and looks at once. It reports a notification.
func (h *poller) rest(ctx context.Context, pace *pollInterval) (woken bool) {
	if h.listener.armed() {
		if !h.listener.contended(pace.last) {
			// While an append holds the horizon back it may end without a word, as one does that is rolled back.
			if pace.last.held {
				return h.listener.pause(ctx, pace.interval)
			}
			woken := h.listener.wait(ctx, h.worker.options.PollMax)
			if woken {
				h.awaitDemand(ctx, demandTimeout)
			}
			return woken
		}
		pace.disarmed()
	}
	if pace.isQuiet() && h.listener.pollMax() >= armWorth {
		switch h.listener.arm(ctx) {
		case armedQuiet:
			pace.armed()
			return false
		case armedBusy:
			// An append that began before the announcement will not notify. Others that began later do, which many must not.
			if pace.last.at.Sub(pace.moved) < quietMax {
				h.listener.disarm(ctx)
			}
			return h.listener.pause(ctx, min(pace.interval, heldMax))
		case armUnavailable: // it polls
		}
	}
	h.listener.disarm(ctx)
	pause := pace.within(h.listener.pollMax())
	if sleep(ctx, pause) {
		h.awaitDemand(ctx, demandTimeout-pause)
	}
	return false
}

// demandTimeout is how long a look may be put off because nobody waits for it.
const demandTimeout = 20 * time.Millisecond

// ask looks at the horizon, and reads at once what is behind it when something is expected. A server that has gone silent,
// without a word to its connections, is given up after a lease.
func (h *poller) ask(ctx context.Context, expects bool) (store.Horizon, error) {
	within, cancel := context.WithTimeout(ctx, h.worker.options.Lease)
	defer cancel()
	if expects {
		h.mu.Lock()
		known, waiting := h.horizon.Position, h.waiting
		h.mu.Unlock()
		if waiting > 0 && known > 0 {
			return h.worker.cache.peek(within, known)
		}
	}
	return h.worker.store.Horizon(within)
}

// publish tells the segments, and returns by how many positions the horizon moved on.
func (h *poller) publish(horizon store.Horizon) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	moved := max(horizon.Position-h.horizon.Position, 0)
	known := h.horizon.Log != (store.LogID{})
	// The log may also be another one, or shorter than it was: the server was restored or failed over.
	other := known && (horizon.Log != h.horizon.Log || horizon.Head < h.horizon.Head)
	if other {
		h.worker.cache.clear()
	}
	h.horizon = horizon
	h.polls++
	if moved > 0 || other || !known || h.doubted {
		h.doubted = false
		close(h.moved)
		h.moved = make(chan struct{})
	}
	return moved
}

// forget drops what is known: after a lost connection another server may answer.
func (h *poller) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.horizon = store.Horizon{}
	h.worker.cache.clear()
}

// holder says once when an append has held the horizon back for long: projections wait for it, rightly, and somebody should
// know which it is.
type holder struct {
	worker   *Worker
	pid      int
	prepared string
	since    time.Time
	told     bool
}

const heldLong = 10 * time.Second

func (l *holder) observe(horizon store.Horizon) {
	nobody := horizon.Holder == 0 && horizon.Prepared == "" // it has ended meanwhile
	if horizon.Position == horizon.Head || nobody || horizon.Holder != l.pid || horizon.Prepared != l.prepared {
		*l = holder{worker: l.worker, pid: horizon.Holder, prepared: horizon.Prepared, since: clock.Now()}
		return
	}
	if l.told || clock.Since(l.since) <= heldLong {
		return
	}
	l.told = true
	event := l.worker.logger.Warn().Int64("horizon", horizon.Position).Int64("head", horizon.Head)
	if l.prepared != "" {
		event.Str("holder", l.prepared).Msg("horizon held back by a prepared transaction that does not end")
		return
	}
	event.Int("pid", l.pid).Msg("horizon held back by an append that does not end")
}
