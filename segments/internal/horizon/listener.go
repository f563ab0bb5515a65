package horizon

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// listener cuts the interval between polls short. Two goroutines use it: listen keeps the notifications coming,
// and the poller's own arms it, and waits. Whatever goes wrong here, the poller polls.
//
// # Why nothing is lost while it is armed
//
// It is armed once for many notifications. Before each wait the poller has polled, after arming and after it
// took the last notification, and found that nothing was held back: the horizon was at the last position handed
// out. Let an append commit events that this poll did not find. If it had taken its fence lock before the
// announcement, then it was in flight when Arm read the locks, and Arm would not have reported quiet, or
// it had ended, and the poll would have found its events. So it took its lock later, found the announcement,
// and notifies when it commits. That is after the poll, and so is its notification, which is kept in woken. A
// notification that comes before the lock of its append is released meets a poll whose horizon is held back,
// and the poller polls.
//
//   - Renewals leave no gap: the announcement is extended before it runs out, counted from before the call. One
//     that came too late is made again, and the locks are read again.
//   - Other hosts have rows of their own. The one that disarms last resets the value that appends read, and the
//     row of one that is armed keeps it from that.
//   - A connection that is lost, or is found to deliver nothing, wakes the poller and ends the announcement: it
//     counts only for the connection that was listening when it was made. A failover ends every connection.
type listener struct {
	notifier store.Notifier // nil without notifications
	options  Options
	logger   zerolog.Logger
	tell     func(err error) // see [Told.Listening]
	woken    chan struct{}   // holds one wake-up, however many came
	heard    atomic.Int64    // counts the notifications

	mu        sync.Mutex
	listening int                     // which proven connection notifications arrive by, counted from 1; 0 for none
	count     int                     // of these connections
	drop      context.CancelCauseFunc // ends the one there is

	// The poller's own.
	announced bool      // an announcement may be there
	until     time.Time // when it runs out; zero when it is not to be relied on
	by        int       // the connection that it relies on
	budget    notifyBudget
}

func newListener(
	notifier store.Notifier, options Options, logger zerolog.Logger, tell func(err error),
) *listener {
	return &listener{notifier: notifier, options: options, logger: logger, tell: tell, woken: make(chan struct{}, 1)}
}

// listen keeps notifications coming until ctx ends. It says once that they do not, and once that they do again.
func (l *listener) listen(ctx context.Context) {
	if l.notifier == nil {
		return
	}
	retry := backoff.Backoff{Min: l.options.RetryMin, Max: listenRetryMax}
	told, heard := false, false
	for ctx.Err() == nil {
		arrives := false
		within, drop := context.WithCancelCause(ctx)
		err := l.notifier.Listen(within, func() {
			if !arrives {
				arrives = true
				retry.Reset()
				l.begin(drop)
				if told || !heard {
					l.tell(nil)
				}
				heard = true
				if told {
					told = false
					l.logger.Info().Msg("notifications arrive again")
				}
			}
			l.heard.Add(1)
			l.wake()
		})
		l.end()
		if cause := context.Cause(within); cause != nil {
			err = cause
		}
		drop(nil)
		if ctx.Err() != nil {
			return
		}
		if !told {
			told = true
			l.tell(err)
			l.logger.Warn().Err(err).Msg("notifications are not available, polling")
		}
		if !backoff.Sleep(ctx, retry.Pause()) {
			return
		}
	}
}

func (l *listener) begin(drop context.CancelCauseFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	l.listening, l.drop = l.count, drop
}

// end also wakes the poller, which may be waiting for what will not come.
func (l *listener) end() {
	l.mu.Lock()
	l.listening, l.drop = 0, nil
	l.mu.Unlock()
	l.wake()
}

func (l *listener) wake() {
	select {
	case l.woken <- struct{}{}:
	default: // the poller has not taken the last one yet
	}
}

// connection is the one by which notifications arrive, or 0.
func (l *listener) connection() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listening
}

// pollMax is the longest interval now.
func (l *listener) pollMax() time.Duration {
	if l.notifier != nil && l.connection() == 0 {
		return min(l.options.PollMax, max(unavailablePollMax, l.options.Poll))
	}
	return l.options.PollMax
}

// armResult is how arming ended.
type armResult int

const (
	armedQuiet     armResult = iota // the caller polls once more before it waits
	armedBusy                       // appends were in flight that do not notify
	armUnavailable                  // notifications do not arrive
)

// arm announces that the poller will wait.
func (l *listener) arm(ctx context.Context) armResult {
	connection := l.connection()
	if connection == 0 {
		return armUnavailable
	}
	select {
	case <-l.woken: // of before
	default:
	}
	l.by = connection
	quiet, err := l.announce(ctx)
	switch {
	case err != nil:
		l.until = time.Time{}
		return armUnavailable
	case !quiet:
		l.until = time.Time{}
		return armedBusy
	}
	l.budget.heard = l.heard.Load() // what was used up before still counts
	return armedQuiet
}

// armed reports that the announcement can be relied on.
func (l *listener) armed() bool {
	return !l.until.IsZero() && l.by == l.connection() && clock.Now().Before(l.until)
}

// contended reports that appends should be spared the notifications.
func (l *listener) contended(at time.Time) bool { return l.budget.contended(at, l.heard.Load()) }

// announce makes or renews the announcement, and reports that no append is in flight that does not know of it.
func (l *listener) announce(ctx context.Context) (quiet bool, err error) {
	within, cancel := context.WithTimeout(ctx, armTimeout)
	defer cancel()
	l.announced = true
	until := clock.Now().Add(armTTL) // before the call, so that it never ends later here than there
	quiet, err = l.notifier.Arm(within, l.options.Listener, armTTL)
	if err != nil {
		l.giveUp(err)
		return false, err
	}
	l.until = until
	return quiet, nil
}

// giveUp ends the listening, with the reason: it is tried again later.
func (l *listener) giveUp(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drop != nil {
		l.listening = 0
		l.drop(err)
	}
}

// wait waits for the pause or a notification, renews the announcement in time, and reports a notification.
func (l *listener) wait(ctx context.Context, pause time.Duration) bool {
	end := clock.Now().Add(pause)
	for {
		now := clock.Now()
		renew := l.until.Add(-armTTL / 2)
		if !now.Before(end) || !now.Before(l.until) { // too late to renew it without a gap: it is made again
			return false
		}
		if !now.Before(renew) {
			if _, err := l.announce(ctx); err != nil {
				return false
			}
			continue
		}
		if woken := l.pause(ctx, min(end.Sub(now), renew.Sub(now))); woken || ctx.Err() != nil {
			return woken
		}
	}
}

// pause waits for a time or a notification, and reports which.
func (l *listener) pause(ctx context.Context, pause time.Duration) (woken bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-l.woken:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// disarm takes the announcement back: appends no longer notify. When it fails, they do until the announcement
// runs out.
func (l *listener) disarm(ctx context.Context) {
	if !l.announced {
		return
	}
	l.announced, l.until = false, time.Time{}
	within, cancel := context.WithTimeout(ctx, armTimeout)
	defer cancel()
	_ = l.notifier.Disarm(within, l.options.Listener)
}

// leave is disarm for a worker that ends.
func (l *listener) leave() { l.disarm(context.Background()) }
