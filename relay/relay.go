package relay

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/store"
)

// Relay sends the messages of an outbox. Give it to a worker, which runs it beside its projections and has the lease that
// it needs: segments.Options.Relay.
type Relay struct {
	outbox  store.Outbox
	sinks   Sinks
	options Options
	logger  zerolog.Logger
	tuning  tuning

	destinations []*destination // of sinks, each once
	byProjection map[string]*destination

	mu   sync.Mutex
	duty *duty // nil while it does not run
}

// destination is a sink that one or several projections send to.
type destination struct {
	sink        Sink
	target      string
	projections []string // that ByProjection names
	slots       *slots
}

// tuning is what only tests change.
type tuning struct {
	claimPoll   time.Duration // between two claims
	cleanPoll   time.Duration // between two deletions of what was sent, at least
	refresh     time.Duration // how old what waits in memory may be: somebody may have skipped a message
	sendGrace   time.Duration // for what is on its way when Run ends
	settleGrace time.Duration // for noting what has arrived, behind that
}

var defaultTuning = tuning{
	claimPoll: time.Second, cleanPoll: 10 * time.Second, refresh: 5 * time.Second,
	sendGrace: 5 * time.Second, settleGrace: 3 * time.Second,
}

// New prepares a relay. It does not own the sinks: close them when what runs the relay has ended.
//
// # Errors
//
// [*OptionError], or that there is no sink.
func New(outbox store.Outbox, sinks Sinks, options Options) (*Relay, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	r := &Relay{
		outbox: outbox, sinks: sinks, options: options.withDefaults(), logger: options.Logger, tuning: defaultTuning,
		byProjection: map[string]*destination{},
	}
	if sinks.Default != nil {
		r.byProjection[""] = r.destination(sinks.Default)
	}
	for projection, sink := range sinks.ByProjection {
		if sink != nil {
			to := r.destination(sink)
			to.projections = append(to.projections, projection)
			r.byProjection[projection] = to
		}
	}
	if len(r.destinations) == 0 {
		return nil, errors.New("a relay needs a sink")
	}
	return r, nil
}

// destination returns that of a sink.
func (r *Relay) destination(sink Sink) *destination {
	at := slices.IndexFunc(r.destinations, func(d *destination) bool {
		return reflect.TypeOf(sink).Comparable() && d.sink == sink
	})
	if at >= 0 {
		return r.destinations[at]
	}
	to := &destination{sink: sink, target: sink.Target(), slots: newSlots(sink.Concurrency())}
	r.destinations = append(r.destinations, to)
	return to
}

// to returns where the messages of a projection go, or nil.
func (r *Relay) to(projection string) *destination {
	if _, named := r.sinks.ByProjection[projection]; named {
		return r.byProjection[projection]
	}
	return r.byProjection[""]
}

// errRuns says that a relay is used twice.
var errRuns = errors.New("this relay runs already")

// begin makes the relay run.
func (r *Relay) begin(ctx context.Context, lease store.HeldLease) (*duty, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.duty != nil {
		return nil, errRuns
	}
	r.duty = newDuty(ctx, r, lease)
	return r.duty, nil
}

func (r *Relay) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.duty = nil
}

// Run sends the messages of all projections that have a sink and of which no other host is the relay, until ctx ends. Then
// it lets what is on its way arrive, for some seconds, and gives the projections up. Nothing is on its way when the
// lease is over.
//
// # Errors
//
// That it runs already. Errors of the database and of sinks are logged and tried again.
func (r *Relay) Run(ctx context.Context, lease store.HeldLease) error {
	d, err := r.begin(ctx, lease)
	if err != nil {
		return err
	}
	defer r.end()
	d.start()
	<-ctx.Done()
	d.stop()
	return nil
}

// Finish sends as Run does until complete is closed: nothing more is put in. Then it sends what is left, and returns
// when the rest waits for a later try, or does not arrive. Of each key that has not failed yet something is tried, as
// long as not a hundred fail one after the other.
//
// # Errors
//
// [*UnsentError] when messages are left; that the relay runs already; those of the database that do not pass; ctx's.
func (r *Relay) Finish(ctx context.Context, lease store.HeldLease, complete <-chan struct{}) error {
	d, err := r.begin(ctx, lease)
	if err != nil {
		return err
	}
	defer r.end()
	d.start()
	err = d.await(ctx, complete)
	d.stop()
	if err != nil {
		return err
	}
	return d.unsent(ctx)
}

// Wake says that messages of a projection were committed, so that they need not wait for the next poll.
func (r *Relay) Wake(projection string) {
	r.mu.Lock()
	d := r.duty
	r.mu.Unlock()
	if d != nil {
		d.wake(projection)
	}
}
