package horizon

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments/internal/logstate"
	"github.com/pupwasm/pupwasm/store"
)

// Options configures a poller. All of them must be set.
type Options struct {
	Listener           store.Listener // who asks for notifications
	Poll, PollMax      time.Duration  // the shortest and the longest interval
	PollFactor         float64        // by how much an interval grows after an empty poll
	CallTimeout        time.Duration  // after which a silent server is given up
	RetryMin, RetryMax time.Duration  // pauses after errors
}

// Source is what is polled.
type Source interface {
	Horizon(ctx context.Context) (store.Horizon, error)
	// Peek is Horizon, and brings what is behind position along for the segments that will read it.
	Peek(ctx context.Context, position int64) (store.Horizon, error)
}

// Poller polls the horizon for all segments of a worker, so that an idle host asks one question and not one a
// segment. Appends wake it while events come so seldom that it costs the appenders little (see listener); the
// interval is then PollMax.
type Poller struct {
	source   Source
	log      *logstate.Log
	listener *listener
	options  Options
	logger   zerolog.Logger
	told     Told
}

// Told has what is told of polls and of notifications. All of it must be set.
type Told struct {
	Polled func(Polled) // how each poll has ended
	// Listening is told when notifications begin to arrive, with nil, and when they do not or no longer arrive, with the
	// reason. It is told once of each change.
	Listening func(err error)
}

// Polled is how a poll has ended.
type Polled struct {
	Horizon store.Horizon
	Took    time.Duration
	Err     error // of the source
}

// New prepares a poller. Without a notifier it only polls.
func New(
	source Source, log *logstate.Log, notifier store.Notifier, options Options, logger zerolog.Logger, told Told,
) *Poller {
	return &Poller{
		source: source, log: log, options: options, logger: logger, told: told,
		listener: newListener(notifier, options, logger, told.Listening),
	}
}

// Listen keeps notifications coming until ctx ends. It runs beside Run.
func (p *Poller) Listen(ctx context.Context) { p.listener.listen(ctx) }

// Run polls until ctx ends.
func (p *Poller) Run(ctx context.Context) {
	interval := newPollInterval(p.options)
	retry := backoff.Backoff{Min: p.options.RetryMin, Max: p.options.RetryMax}
	held := holder{logger: p.logger}
	defer p.listener.leave()
	woken := false
	for ctx.Err() == nil {
		began := clock.Now()
		horizon, err := p.poll(ctx, woken || interval.expects())
		if ctx.Err() != nil {
			return
		}
		p.told.Polled(Polled{Horizon: horizon, Took: clock.Since(began), Err: err})
		if err != nil {
			p.log.Forget()
			p.listener.disarm(ctx)
			backoff.Sleep(ctx, retry.Pause())
			continue
		}
		retry.Reset()
		held.observe(horizon)
		interval.polled(poll{
			at: clock.Now(), moved: p.log.Publish(horizon), held: horizon.Position < horizon.Head,
		})
		woken = p.rest(ctx, interval)
	}
}

// rest waits until the next poll is due. When armed it waits for a notification. After a quiet period it arms,
// and has the caller poll at once. Otherwise it waits for the interval. It reports a notification.
func (p *Poller) rest(ctx context.Context, interval *pollInterval) (woken bool) {
	if p.listener.armed() {
		if !p.listener.contended(interval.last.at) {
			// While an append holds the horizon back it may end without notifying, as one does that is rolled back.
			if interval.last.held {
				return p.listener.pause(ctx, interval.interval)
			}
			woken := p.listener.wait(ctx, p.options.PollMax)
			if woken {
				p.log.AwaitDemand(ctx, demandTimeout)
			}
			return woken
		}
	}
	if interval.isQuiet() && p.listener.pollMax() >= armWorth {
		switch p.listener.arm(ctx) {
		case armedQuiet:
			return false
		case armedBusy:
			// An append that began before the announcement will not notify. Others that began later do: many must not.
			if interval.last.at.Sub(interval.moved) < quietMax {
				p.listener.disarm(ctx)
			}
			return p.listener.pause(ctx, min(interval.interval, heldMax))
		case armUnavailable: // it polls
		}
	}
	p.listener.disarm(ctx)
	pause := interval.within(p.listener.pollMax())
	if backoff.Sleep(ctx, pause) {
		p.log.AwaitDemand(ctx, demandTimeout-pause)
	}
	return false
}

// poll asks for the horizon, and reads what is behind it at once when something is expected. It gives up a
// server that has gone silent without closing its connections.
func (p *Poller) poll(ctx context.Context, expects bool) (store.Horizon, error) {
	within, cancel := context.WithTimeout(ctx, p.options.CallTimeout)
	defer cancel()
	if expects {
		if known, waiting := p.log.Waiting(); waiting > 0 && known > 0 {
			return p.source.Peek(within, known)
		}
	}
	return p.source.Horizon(within)
}
