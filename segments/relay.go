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
	// Finish does the same for a worker that runs once. When complete is closed, nothing more is put in: it sends what is
	// left, and returns.
	//
	// # Errors
	//
	// That messages are left; ctx's.
	Finish(ctx context.Context, lease store.HeldLease, complete <-chan struct{}) error
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
	stop     context.CancelFunc
	complete chan struct{} // closed when a worker that runs once puts nothing more in
	group    sync.WaitGroup
	left     error // with Once, what Finish returned
}

// startRelay runs the relay until ctx ends, if there is one, or with Once until everything is sent.
func (w *Worker) startRelay(ctx context.Context) *relaying {
	r := &relaying{complete: make(chan struct{})}
	ctx, r.stop = context.WithCancel(ctx)
	relay := w.options.Relay
	switch {
	case relay == nil:
	case w.options.Once:
		r.group.Go(func() { r.left = relay.Finish(ctx, workerLease{w}, r.complete) })
	default:
		r.group.Go(func() {
			if err := relay.Run(ctx, workerLease{w}); err != nil {
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

// finish waits until what is left is sent when a worker that runs once has ended as it did.
func (r *relaying) finish(ended error) error {
	if errors.Is(ended, store.ErrNameTaken) { // another sends them
		r.wait()
		return ended
	}
	close(r.complete)
	r.group.Wait()
	if r.left == nil || errors.Is(ended, r.left) {
		return ended
	}
	return errors.Join(ended, r.left)
}

// put is told of messages that were committed.
func (r *runner) put(messages []store.Message) {
	if len(messages) == 0 {
		return
	}
	if !r.unseen.Load() { // otherwise few are put in: most are of events of which the live version has sent
		r.worker.outboxes.put(r.id.Name, len(messages))
	}
	if relay := r.worker.options.Relay; relay != nil {
		relay.Wake(r.id.Name)
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
			"reset, it sends as after its first installation")
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
