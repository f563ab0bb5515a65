package segments

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// armWorth is the longest pause from which on an announcement pays: below it the next look comes soon enough.
	armWorth = 100 * time.Millisecond
	// armTTL is how long an announcement holds unless it is renewed. When a host is killed, appends notify nobody for so long.
	armTTL = 30 * time.Second
	// armTimeout bounds an announcement: it is two writes of a few bytes, or the looks must not wait for it.
	armTimeout = 2 * time.Second
	// unavailablePollMax bounds the pauses while notifications are wanted and do not arrive.
	unavailablePollMax = time.Second
	// listenRetryMax is the longest pause before notifications are tried again. Nobody waits for them.
	listenRetryMax = time.Minute
)

// listener cuts the pauses of the head short. Two goroutines use it: listen keeps the notifications coming, and the head's own
// announces that it waits, and does. Whatever goes wrong here, the head polls.
//
// # Why nothing is lost while one announcement stands
//
// It is made once and serves for many wake-ups. Before each wait the head has looked, after the announcement and after it
// took the last wake-up, and found that nothing was held back: the horizon was at the last position handed out. Let an append
// commit events that this look did not find. Had it taken its fence lock before the announcement, then it was under way when
// Arm looked at the locks, and Arm would not have called it quiet, or it had ended, and the look would have found its events.
// So it took its lock later, found the announcement, and notifies when it commits; that is after the look, and so is its
// wake-up, which is kept in woken. A notification that comes before the lock of its append is released meets a look whose
// horizon is held back, and the head polls.
//
//   - Renewals leave no gap: the announcement is extended before it runs out, counted from before the call, and one that came
//     too late is made again, and looks at the locks again.
//   - Other hosts have rows of their own; the one that rises last resets the value that appends look at, and the row of one
//     that dozes keeps it from that.
//   - A connection that is lost, or proves to be deaf, wakes the head and ends the announcement: it counts for the connection
//     that was listening when it was made, and no other. A failover ends every connection.
type listener struct {
	worker *Worker
	store  store.Notifier // nil without notifications
	woken  chan struct{}  // holds one wake-up, however many came
	heard  atomic.Int64   // counts the notifications

	mu        sync.Mutex
	listening int                     // which proven connection notifications arrive by, counted from 1; 0 for none
	count     int                     // of these connections
	drop      context.CancelCauseFunc // ends the one there is

	// The head's own.
	announced bool      // an announcement may be there
	until     time.Time // when it runs out; zero when it is not to be relied on
	by        int       // the connection that it relies on
	budget    notifyBudget
}

func newListener(w *Worker) *listener {
	k := &listener{worker: w, woken: make(chan struct{}, 1)}
	if w == nil || w.options.PollOnly || w.options.Once {
		return k
	}
	k.store, _ = w.store.(store.Notifier)
	if k.store == nil {
		w.logger.Debug().Msg("this database has no notifications, polling")
	}
	return k
}

// listen keeps notifications coming until ctx ends. It says once that they do not, and once that they do again.
func (k *listener) listen(ctx context.Context) {
	if k.store == nil {
		return
	}
	retry := backoff{min: k.worker.options.RetryMin, max: listenRetryMax}
	told := false
	for ctx.Err() == nil {
		arrives := false
		within, drop := context.WithCancelCause(ctx)
		err := k.store.Listen(within, func() {
			if !arrives {
				arrives = true
				retry.reset()
				k.begin(drop)
				if told {
					told = false
					k.worker.logger.Info().Msg("notifications arrive again")
				}
			}
			k.heard.Add(1)
			k.wake()
		})
		k.end()
		if cause := context.Cause(within); cause != nil {
			err = cause
		}
		drop(nil)
		if ctx.Err() != nil {
			return
		}
		if !told {
			told = true
			k.worker.logger.Warn().Err(err).Msg("notifications are not available, polling")
		}
		if !sleep(ctx, retry.pause()) {
			return
		}
	}
}

func (k *listener) begin(drop context.CancelCauseFunc) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.count++
	k.listening, k.drop = k.count, drop
}

// end also wakes the head, which may be waiting for what will not come.
func (k *listener) end() {
	k.mu.Lock()
	k.listening, k.drop = 0, nil
	k.mu.Unlock()
	k.wake()
}

func (k *listener) wake() {
	select {
	case k.woken <- struct{}{}:
	default: // the head has not taken the last one yet
	}
}

// connection tells by which connection notifications arrive, or 0.
func (k *listener) connection() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.listening
}

// pollMax is the longest pause now.
func (k *listener) pollMax() time.Duration {
	if k.store != nil && k.connection() == 0 {
		return min(k.worker.options.PollMax, max(unavailablePollMax, k.worker.options.Poll))
	}
	return k.worker.options.PollMax
}

// armResult is how an attempt to doze ended.
type armResult int

const (
	armedQuiet     armResult = iota // the announcement stands: whoever waits looks once more before
	armedBusy                       // appends were under way when it was made
	armUnavailable                  // notifications do not arrive
)

// arm announces that the head will wait.
func (k *listener) arm(ctx context.Context) armResult {
	connection := k.connection()
	if connection == 0 {
		return armUnavailable
	}
	select {
	case <-k.woken: // of before
	default:
	}
	k.by = connection
	quiet, err := k.announce(ctx)
	switch {
	case err != nil:
		k.until = time.Time{}
		return armUnavailable
	case !quiet:
		k.until = time.Time{}
		return armedBusy
	}
	k.budget = notifyBudget{at: clock.Now(), heard: k.heard.Load()}
	return armedQuiet
}

// armed tells whether an announcement can be relied on.
func (k *listener) armed() bool {
	return !k.until.IsZero() && k.by == k.connection() && clock.Now().Before(k.until)
}

// contended tells whether appends had better be spared the notifications.
func (k *listener) contended(l poll) bool { return k.budget.contended(l, k.heard.Load()) }

// announce makes or renews the announcement, and tells whether no append is under way that does not know of it.
func (k *listener) announce(ctx context.Context) (quiet bool, err error) {
	within, cancel := context.WithTimeout(ctx, armTimeout)
	defer cancel()
	k.announced = true
	until := clock.Now().Add(armTTL) // before the call, so that it never ends later here than there
	quiet, err = k.store.Arm(within, k.worker.options.Name, armTTL)
	if err != nil {
		k.giveUp(err)
		return false, err
	}
	k.until = until
	return quiet, nil
}

// giveUp ends the listening, with the reason: it is tried again later.
func (k *listener) giveUp(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.drop != nil {
		k.listening = 0
		k.drop(err)
	}
}

// wait waits for the pause or a notification, renews the announcement in time, and reports a notification.
func (k *listener) wait(ctx context.Context, pause time.Duration) bool {
	end := clock.Now().Add(pause)
	for {
		now := clock.Now()
		renew := k.until.Add(-armTTL / 2)
		if !now.Before(end) || !now.Before(k.until) { // too late to renew it without a gap: it is made again
			return false
		}
		if !now.Before(renew) {
			if _, err := k.announce(ctx); err != nil {
				return false
			}
			continue
		}
		if woken := k.pause(ctx, min(end.Sub(now), renew.Sub(now))); woken || ctx.Err() != nil {
			return woken
		}
	}
}

// pause waits for a time or a notification, and reports which.
func (k *listener) pause(ctx context.Context, pause time.Duration) (woken bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-k.woken:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// disarm takes the announcement back, so that appends no longer notify. That it fails only means that they do until it runs out.
func (k *listener) disarm(ctx context.Context) {
	if !k.announced {
		return
	}
	k.announced, k.until = false, time.Time{}
	within, cancel := context.WithTimeout(ctx, armTimeout)
	defer cancel()
	_ = k.store.Disarm(within, k.worker.options.Name)
}

// leave is rise for a worker that ends.
func (k *listener) leave() { k.disarm(context.Background()) }
