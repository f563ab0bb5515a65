package segments

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Relay sends the messages of projections: a *[relay.Relay] is one.
//
// [relay.Relay]: https://pkg.go.dev/github.com/pupwasm/pupwasm/relay#Relay
type Relay interface {
	// Run sends until ctx ends, while the lease holds. The worker's Run waits for it.
	Run(ctx context.Context, lease store.HeldLease) error
	// Finish sends what there is to send, for a worker that runs once.
	//
	// # Errors
	//
	// That messages are left.
	Finish(ctx context.Context, lease store.HeldLease) error
	// Wake says that messages of a projection were committed. It does not wait.
	Wake(projection string)
}

// MessagesFrom says from which events on a projection sends messages, when it sends for the first time.
type MessagesFrom string

const (
	// MessagesFromNow sends those of the events that are appended after the projection was installed. It is the default.
	MessagesFromNow MessagesFrom = "now"
	// MessagesFromBeginning sends those of all events.
	MessagesFromBeginning MessagesFrom = "beginning"
)

// workerLease is the lease of a worker, as its relay sees it.
type workerLease struct{ worker *Worker }

// Worker is the name and the incarnation.
func (l workerLease) Worker() store.Worker {
	return store.Worker{Name: l.worker.options.Name, Incarnation: l.worker.incarnation}
}

// Until is a lease from when the last heartbeat began that was stored: the database has counted from a later moment.
func (l workerLease) Until() time.Time {
	if until := l.worker.leaseUntil.Load(); until != nil {
		return *until
	}
	return time.Time{}
}

// renewed notes that a heartbeat was stored that began at a time.
func (w *Worker) renewed(began time.Time) {
	until := began.Add(w.options.Lease)
	w.leaseUntil.Store(&until)
}

// relaying is the relay of a worker that runs.
type relaying struct {
	worker *Worker
	stop   context.CancelFunc
	group  sync.WaitGroup
}

// startRelay runs the relay until ctx ends, if there is one.
func (w *Worker) startRelay(ctx context.Context) *relaying {
	r := &relaying{worker: w}
	ctx, r.stop = context.WithCancel(ctx)
	if w.options.Relay != nil {
		r.group.Go(func() {
			if err := w.options.Relay.Run(ctx, workerLease{w}); err != nil {
				w.logger.Error().Err(err).Msg("the relay does not run, other hosts send the messages")
			}
		})
	}
	return r
}

// wait waits until the relay has ended.
func (r *relaying) wait() {
	r.stop()
	r.group.Wait()
}

// finish sends what is left when a worker that runs once has ended as it did.
func (r *relaying) finish(ctx context.Context, ended error) error {
	r.wait()
	relay := r.worker.options.Relay
	if relay == nil || ctx.Err() != nil || errors.Is(ended, store.ErrNameTaken) {
		return ended
	}
	if err := relay.Finish(ctx, workerLease{r.worker}); err != nil {
		return errors.Join(ended, err)
	}
	return ended
}

// put is told of messages that were committed.
func (w *Worker) put(projection string, messages []store.Message) {
	if len(messages) > 0 && w.options.Relay != nil {
		w.options.Relay.Wake(projection)
	}
}

// beginSending has a projection with messages send, from here on or from the beginning, unless that was decided before.
func (r *runner) beginSending(ctx context.Context, program Program, own ProjectionOptions) error {
	projection := program.Projection()
	if len(projection.Messages) == 0 {
		return nil
	}
	horizon, err := r.worker.source.Horizon(ctx)
	if err != nil {
		return ofLog(err)
	}
	after := horizon.Head
	if own.MessagesFrom == MessagesFromBeginning {
		after = 0
	}
	if err := r.forgetOther(ctx, projection); err != nil {
		return err
	}
	return r.worker.tables.BeginSending(ctx, projection, horizon.Log, after)
}

// forgetOther forgets what was sent of a log that is no longer there: it is another one now, or was restored to an
// earlier time and has other events at these positions.
func (r *runner) forgetOther(ctx context.Context, projection *store.Projection) error {
	before, err := r.worker.tables.SentBefore(ctx, projection.Name)
	if err != nil || len(before.Ranges) == 0 {
		return err
	}
	_, faults, err := store.CheckCheckpoints(ctx, r.worker.source, before.Checkpoints(projection.Name)...)
	if err != nil {
		return ofLog(err)
	}
	if err := errors.Join(faults...); err != nil {
		r.logger.Warn().Err(err).Msg("messages were sent about events that the log does not have: if the projection was " +
			"reset, it begins to send anew")
		return r.worker.tables.ForgetSent(ctx, projection)
	}
	return nil
}

// seen notes whether readers see the version. One that they see from now on, in place of one that may have sent nothing,
// begins to send.
func (r *runner) seen(ctx context.Context, live bool) error {
	if r.unseen.Swap(!live) && live {
		if err := r.beginSending(ctx, r.program, r.own); err != nil {
			r.unseen.Store(true)
			return err
		}
	}
	return nil
}
