package segments

import (
	"context"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// dozeAfter is the pause from which on an announcement pays: below it the next look comes soon enough.
	dozeAfter = 100 * time.Millisecond
	// dozeSpan is how long an announcement holds unless it is renewed. When a host is killed, appends notify nobody for so long.
	dozeSpan = 30 * time.Second
	// dozePatience bounds an announcement: it is two writes of a few bytes, or the looks must not wait for it.
	dozePatience = 2 * time.Second
	// unwokenPollMax bounds the pauses while notifications are wanted and do not arrive.
	unwokenPollMax = time.Second
	// listenRetryMax is the longest pause before notifications are tried again. Nobody waits for them.
	listenRetryMax = time.Minute
)

// waker cuts the pauses of the head short. Two goroutines use it: listen keeps the notifications coming, and the head's own
// announces that it waits, and does. Whatever goes wrong here, the head polls.
type waker struct {
	worker *Worker
	store  store.Waker   // nil without notifications
	woken  chan struct{} // holds one wake-up, however many came

	mu        sync.Mutex
	listening int                     // which proven connection notifications arrive by, counted from 1; 0 for none
	count     int                     // of these connections
	drop      context.CancelCauseFunc // ends the one there is

	// The head's own.
	announced bool      // an announcement may be there
	until     time.Time // when it runs out; zero when it is not to be relied on
	by        int       // the connection that it relies on
	last      time.Time // when the last wake-up was taken
}

func newWaker(w *Worker) *waker {
	k := &waker{worker: w, woken: make(chan struct{}, 1)}
	if w == nil || !w.options.Notify || w.options.Once {
		return k
	}
	k.store, _ = w.store.(store.Waker)
	if k.store == nil {
		w.logger.Debug().Msg("this database has no notifications, polling")
	}
	return k
}

// listen keeps notifications coming until ctx ends. It says once that they do not, and once that they do again.
func (k *waker) listen(ctx context.Context) {
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

func (k *waker) begin(drop context.CancelCauseFunc) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.count++
	k.listening, k.drop = k.count, drop
}

// end also wakes the head, which may be waiting for what will not come.
func (k *waker) end() {
	k.mu.Lock()
	k.listening, k.drop = 0, nil
	k.mu.Unlock()
	k.wake()
}

func (k *waker) wake() {
	select {
	case k.woken <- struct{}{}:
	default: // the head has not taken the last one yet
	}
}

// connection tells by which connection notifications arrive, or 0.
func (k *waker) connection() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.listening
}

// pollMax is the longest pause now.
func (k *waker) pollMax() time.Duration {
	if k.store != nil && k.connection() == 0 {
		return min(k.worker.options.PollMax, max(unwokenPollMax, k.worker.options.Poll))
	}
	return k.worker.options.PollMax
}

// dozed is how an attempt to doze ended.
type dozed int

const (
	dozeOver      dozed = iota // the pause is over
	dozeAnnounced              // the announcement is new: whoever waits looks once more before
	dozeBusy                   // appends were under way when it was made, and some time has passed
	dozeWoken                  // a notification came
)

// doze announces that the head waits, or waits when that is done already: for as long as a pause may be, since it need not
// grow step by step when a notification ends it. Without notifications it pauses.
func (k *waker) doze(ctx context.Context, pause time.Duration) dozed {
	connection := k.connection()
	if connection == 0 {
		k.rise(ctx)
		sleep(ctx, min(pause, k.pollMax())) // it may just have been lost
		return dozeOver
	}
	if connection == k.by && clock.Now().Before(k.until) {
		return k.wait(ctx, k.worker.options.PollMax)
	}
	select {
	case <-k.woken: // of before
	default:
	}
	k.by = connection
	if quiet, err := k.announce(ctx); err != nil || !quiet {
		k.until = time.Time{}
		sleep(ctx, min(pause, k.pollMax()))
		return dozeBusy
	}
	return dozeAnnounced
}

// announce makes or renews the announcement, and tells whether no append is under way that does not know of it.
func (k *waker) announce(ctx context.Context) (quiet bool, err error) {
	within, cancel := context.WithTimeout(ctx, dozePatience)
	defer cancel()
	k.announced = true
	until := clock.Now().Add(dozeSpan) // before the call, so that it never ends later here than there
	quiet, err = k.store.Doze(within, k.worker.options.Name, dozeSpan)
	if err != nil {
		k.giveUp(err)
		return false, err
	}
	k.until = until
	return quiet, nil
}

// giveUp ends the listening, with the reason: it is tried again later.
func (k *waker) giveUp(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.drop != nil {
		k.listening = 0
		k.drop(err)
	}
}

// wait waits for the pause or a notification, and renews the announcement in time. Notifications that come faster than
// Options.Poll are taken as one.
func (k *waker) wait(ctx context.Context, pause time.Duration) dozed {
	end := clock.Now().Add(pause)
	for {
		now := clock.Now()
		if !now.Before(end) {
			return dozeOver
		}
		renew := k.until.Add(-dozeSpan / 2)
		if !now.Before(renew) {
			if !now.Before(k.until) {
				return dozeOver // too late to renew it without a gap: the next round announces anew
			}
			if _, err := k.announce(ctx); err != nil {
				return dozeOver
			}
			continue
		}
		timer := time.NewTimer(min(end.Sub(now), renew.Sub(now)))
		select {
		case <-k.woken:
			timer.Stop()
			if early := k.worker.options.Poll - clock.Since(k.last); early > 0 {
				sleep(ctx, early)
			}
			k.last = clock.Now()
			return dozeWoken
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return dozeOver
		}
	}
}

// rise takes the announcement back, so that appends no longer notify. That it fails only means that they do until it runs out.
func (k *waker) rise(ctx context.Context) {
	if !k.announced {
		return
	}
	k.announced, k.until = false, time.Time{}
	within, cancel := context.WithTimeout(ctx, dozePatience)
	defer cancel()
	_ = k.store.Awake(within, k.worker.options.Name)
}

// leave is rise for a worker that ends.
func (k *waker) leave() { k.rise(context.Background()) }
