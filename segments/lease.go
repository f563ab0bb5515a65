package segments

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// begin takes the lease and, with Once, the position to reach. What a worker of this name owned before it was
// killed and started again is free then: it may run other projections now. It tries until ctx ends, the log is
// not safe, or, with Once, an error is permanent.
func (w *Worker) begin(ctx context.Context) error {
	retry := w.options.backoff()
	for {
		began := clock.Now()
		err := w.arrive(ctx)
		if err == nil {
			w.outage.over(began)
			w.logOutage.over(began)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var unsafe *store.UnsafeLogError
		if errors.As(err, &unsafe) || errors.Is(err, store.ErrSameDatabase) ||
			(w.options.Once && !errors.Is(err, store.ErrTransient)) {
			return err
		}
		w.noticed(err)
		if !backoff.Sleep(ctx, retry.Pause()) {
			return ctx.Err()
		}
	}
}

func (w *Worker) arrive(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, w.options.Lease)
	defer cancel()
	if err := w.source.CheckLog(within); err != nil {
		return ofLog(err)
	}
	if err := w.checkApart(within); err != nil {
		return err
	}
	workers, err := w.tables.Workers(within)
	if err != nil {
		return err
	}
	joined := clock.Now()
	if err := w.tables.Join(within, w.registered, w.options.Lease); err != nil {
		return err
	}
	w.renewed(joined)
	if slices.ContainsFunc(workers, func(other store.Worker) bool { return other.Name == w.options.Name }) {
		w.logger.Warn().Msg("a worker of this name has not left: " +
			"its segments are taken over, and if it still runs, it ends")
	}
	horizon, err := w.source.Horizon(within)
	if err != nil {
		return ofLog(err)
	}
	w.mu.Lock()
	w.began = horizon.Head
	w.mu.Unlock()
	if w.options.Once {
		w.target = horizon.Head
	}
	return nil
}

// checkApart refuses the log of the tables' own database that was given as another one. No commit would be
// possible.
func (w *Worker) checkApart(ctx context.Context) error {
	if !w.apart {
		return nil
	}
	log, err := w.source.Locate(ctx)
	if err != nil {
		return ofLog(err)
	}
	own, err := w.tables.OwnLog(ctx)
	if err == nil && own.ID == log.Log.ID {
		err = store.ErrSameDatabase
	}
	return err
}

// heartbeats renews the lease well before it runs out. A renewal that fails is tried again at once: the segments stay
// valid until another worker takes them, which the commit finds out.
func (w *Worker) heartbeats(ctx context.Context) {
	retry := w.options.backoff()
	retry.Max = min(retry.Max, w.options.Heartbeat)
	for pause := w.options.Heartbeat; backoff.Sleep(ctx, pause); {
		began := clock.Now()
		err := w.renew(ctx)
		if errors.Is(err, store.ErrNameTaken) {
			return // the worker ends
		}
		if err != nil {
			w.noticed(err)
			pause = retry.Pause()
			continue
		}
		w.outage.over(began)
		retry.Reset()
		pause = w.options.Heartbeat
	}
}

// renew sends a heartbeat. One is in flight at a time: an older one never overwrites what a newer one said.
func (w *Worker) renew(ctx context.Context) error {
	w.registering.Lock()
	defer w.registering.Unlock()
	return w.heartbeat(ctx, w.registered)
}

// register tells the database which projections this worker runs, which it cannot run, and which segments make no
// progress, when they have changed.
func (w *Worker) register(ctx context.Context, projections []store.Membership) error {
	w.registering.Lock()
	defer w.registering.Unlock()
	self := w.registered
	self.Projections, self.Refused, self.Troubles = projections, w.refusals(), w.troubles()
	if slices.Equal(w.registered.Projections, self.Projections) && slices.Equal(w.registered.Refused, self.Refused) &&
		slices.Equal(w.registered.Troubles, self.Troubles) {
		return nil
	}
	return w.heartbeat(ctx, self)
}

func (w *Worker) heartbeat(ctx context.Context, self store.Worker) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// A heartbeat that is cut off may still run in the server, and bring the worker back after it has left:
	// others would leave a share of the segments to it.
	ctx, stop := backoff.Grace(ctx, leaveTimeout)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, w.options.Lease)
	defer cancel()
	began := clock.Now()
	if err := w.tables.Heartbeat(ctx, self, w.options.Lease); err != nil {
		if errors.Is(err, store.ErrNameTaken) {
			w.leaseUntil.Store(&time.Time{})
			w.end(fmt.Errorf("worker %s: %w: two that run at once need two names", w.options.Name, err))
		}
		return err
	}
	w.renewed(began)
	w.registered = self
	return nil
}

// leaveTimeout bounds how long a worker tries to leave. After that its segments are free when its lease runs
// out.
const leaveTimeout = 5 * time.Second

// leave releases everything. A connection may have been lost since it was used last, and the server may be
// about to come back.
func (w *Worker) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	retry := w.options.backoff()
	for {
		err := w.tables.Leave(ctx, w.registered)
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrTransient) || !backoff.Sleep(ctx, retry.Pause()) {
			w.logger.Warn().Err(err).Dur("lease", w.options.Lease).Msg("segments stay owned until the lease runs out")
			return
		}
	}
}
