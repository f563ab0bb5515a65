package segments

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// alertPoll is the interval at which a worker asks for keys of which nobody was told.
	alertPoll = time.Second
	// alertPause is between two alerts, which come one after the other.
	alertPause = 200 * time.Millisecond
	// alertTimeout bounds one alert.
	alertTimeout = 10 * time.Second
	// alertGrace is for an alert to end when its time is up.
	alertGrace = time.Second
	// alertHold is how long a worker has for an alert before another takes it over: the worker was killed.
	alertHold = 3 * alertTimeout
	// alertRetryMin and alertRetryMax bound the pause after an alert that failed.
	alertRetryMin = time.Second
	alertRetryMax = time.Minute
	// alertTriesOnce is how often a worker that runs once tries an alert.
	alertTriesOnce = 3
)

// alerter tells somebody of parked keys, by Options.OnPark. Of several workers one tells: who claims the alert.
type alerter struct {
	worker  *Worker
	logger  zerolog.Logger
	tell    func(ctx context.Context, key store.ParkedKey) error
	retry   backoff.Backoff
	failing bool
}

func newAlerter(w *Worker) *alerter {
	return &alerter{
		worker: w, logger: w.logger, tell: w.options.OnPark,
		retry: backoff.Backoff{Min: alertRetryMin, Max: alertRetryMax},
	}
}

// run tells until ctx ends. An alert under way is then given up, for another worker.
func (a *alerter) run(ctx context.Context) {
	for {
		some, err := a.tellNext(ctx)
		pause := alertPoll
		switch {
		case err != nil:
			pause = max(pause, a.retry.Pause())
		case some:
			a.retry.Reset()
			pause = alertPause
		}
		if !backoff.Sleep(ctx, pause) {
			return
		}
	}
}

// finish tells of all keys, for a worker that runs once. One that cannot be told is left to another run.
func (a *alerter) finish(ctx context.Context) {
	for tries := 0; tries < alertTriesOnce; {
		some, err := a.tellNext(ctx)
		pause := alertPause
		switch {
		case err != nil:
			tries++
			pause = a.retry.Pause()
		case !some:
			return
		}
		if !backoff.Sleep(ctx, pause) {
			return
		}
	}
}

// tellNext tells of one key, and reports whether there was one.
func (a *alerter) tellNext(ctx context.Context) (some bool, err error) {
	key, err := a.worker.tables.ClaimAlert(ctx, a.projections(), alertHold)
	if err != nil || key == nil {
		return false, err
	}
	err = a.call(ctx, key)
	alert := store.Alert{Told: err == nil}
	if err != nil && ctx.Err() == nil && !a.worker.options.Once {
		alert.Again = alertRetryMin // the pause of this worker comes on top
	}
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if settled := a.worker.tables.SettleAlert(settling, key, alert); err == nil {
		err = settled
	}
	a.note(key, err)
	return true, err
}

// projections are the names of those that the worker runs, in whatever version.
func (a *alerter) projections() (names []string) {
	a.worker.mu.Lock()
	defer a.worker.mu.Unlock()
	for id := range a.worker.runners {
		names = append(names, id.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// errAlertTimeout says that OnPark has not returned in time.
var errAlertTimeout = errors.New("took longer than " + alertTimeout.String())

// call runs OnPark. It does not wait for one that goes on when its context has ended.
func (a *alerter) call(ctx context.Context, key *store.ParkedKey) error {
	within, cancel := context.WithTimeoutCause(ctx, alertTimeout, errAlertTimeout)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- a.tell(within, *key) }()
	select {
	case err := <-result:
		return err
	case <-within.Done():
	}
	timer := time.NewTimer(alertGrace)
	defer timer.Stop()
	select {
	case err := <-result:
		return err
	case <-timer.C:
		return context.Cause(within)
	}
}

// note logs when alerts begin to fail, and when they arrive again.
func (a *alerter) note(key *store.ParkedKey, err error) {
	at := func(event *zerolog.Event) *zerolog.Event {
		return event.Str("projection", key.Projection.Name).Interface("version", logged(key.Projection)).
			Bytes("key", key.Key)
	}
	switch {
	case err != nil && !a.failing:
		at(a.logger.Warn()).Err(err).Msg("nobody is told of a parked key, trying again")
	case err == nil && a.failing:
		at(a.logger.Info()).Msg("told of a parked key, as of others again")
	case err == nil:
		at(a.logger.Info()).Msg("told of a parked key")
	}
	a.failing = err != nil
}
