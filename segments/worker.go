package segments

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store"
)

// Worker runs the projections of a process. Give it modules with Set at any time, before or during Run.
type Worker struct {
	store       store.Store
	options     Options
	logger      zerolog.Logger
	poller      *poller
	membership  *membership
	connections *connectionLimiter
	cache       *readCache
	memory      *memoryBudget
	outage      *outage
	target      int64      // with Once: the position to reach
	began       int64      // where the log ended when Run began
	ended       chan error // why Run ends before it is asked to

	incarnation string // tells this process from others of the same name

	registering sync.Mutex
	registered  store.Worker // as the database knows this worker

	mu      sync.Mutex
	runners map[string]*runner // by projection
	running context.Context    // of Run; nil before
	idle    bool               // it was said that no module can run
	gone    map[string]bool    // projections that were removed, until it is certain that nothing of them is owned
	group   sync.WaitGroup
}

// New prepares a worker. It does not own the store.
//
// # Errors
//
// [*OptionError].
func New(s store.Store, options Options) (*Worker, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	w := &Worker{
		store: s, options: options, logger: options.Logger.With().Str("worker", options.Name).Logger(),
		runners: map[string]*runner{}, gone: map[string]bool{}, ended: make(chan error, 1), incarnation: randomSuffix(),
	}
	w.registered = store.Worker{Name: options.Name, Incarnation: w.incarnation, Segments: options.Segments}
	w.poller = newPoller(w)
	w.membership = newMembership(w)
	w.connections = newConnectionLimiter(options.Concurrency)
	w.cache = newReadCache(s)
	w.cache.bound(options.EventBytes)
	w.memory = newMemoryBudget(options.EventBytes)
	w.outage = &outage{logger: w.logger}
	return w, nil
}

func defaultName() string {
	name, err := os.Hostname()
	if err != nil {
		name = "host"
	}
	return fmt.Sprintf("%s-%d-%s", name, os.Getpid(), randomSuffix())
}

func randomSuffix() string {
	suffix := make([]byte, 4)
	_, _ = rand.Read(suffix) // never fails
	return hex.EncodeToString(suffix)
}

// Set starts a module's projection, or replaces the module that runs it, at a batch boundary. A module that cannot be installed
// leaves the one before it running; why it cannot is logged, and told by Run when Once is set. The worker owns the
// module and closes it when it is replaced.
func (w *Worker) Set(module *host.Module) { w.SetProgram(&moduleProgram{module}) }

// SetProgram is Set for any program.
func (w *Worker) SetProgram(program Program) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := program.Projection().Name
	r, known := w.runners[name]
	if !known {
		r = newRunner(w, name)
		w.runners[name] = r
		w.connections.divide(len(w.runners))
		w.launch(r)
	}
	r.set(program)
}

// Remove stops a projection at a batch boundary and waits until its segments are released.
func (w *Worker) Remove(projection string) {
	w.mu.Lock()
	r, known := w.runners[projection]
	delete(w.runners, projection)
	w.connections.divide(len(w.runners))
	started := w.running != nil
	w.mu.Unlock()
	if known {
		r.stop()
		if !started {
			r.close()
			return
		}
		<-r.done
		w.mu.Lock()
		w.gone[projection] = true
		w.mu.Unlock()
		w.membership.refresh()
	}
}

// removed returns the projections that were removed and are not set again.
func (w *Worker) removed() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.gone {
		if _, again := w.runners[name]; !again {
			names = append(names, name)
		}
	}
	return names
}

func (w *Worker) vacated(projection string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.gone, projection)
}

// launch starts a runner when the worker runs. The lock is held.
func (w *Worker) launch(r *runner) {
	if w.running == nil {
		return
	}
	w.group.Add(1)
	go func() {
		defer w.group.Done()
		r.run(w.running)
	}()
}

// Run works until ctx ends, then finishes the batches under way and releases everything. With Options.Once it returns when
// all is applied that was appended before.
//
// # Errors
//
// [*store.UnsafeLogError] at the start. With Once, what kept a projection from being complete, joined; also ctx's error. [store.ErrNameTaken] when another process has
// started under the worker's name, which has the segments from then on. With FailRefused, why no module can run. Otherwise
// nil: what can go wrong is retried or recorded.
func (w *Worker) Run(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	if err := w.begin(running); err != nil {
		if w.options.Once || ctx.Err() == nil {
			return err
		}
		return nil // asked to stop before the database answered
	}
	var background sync.WaitGroup
	background.Go(func() { w.heartbeats(running) })
	background.Go(func() { w.poller.run(running) })
	background.Go(func() { w.membership.run(running) })
	background.Go(func() { w.checkLog(running, logCheckEvery) })
	background.Go(func() { w.poller.listener.listen(running) })

	w.mu.Lock()
	w.running = running
	for _, r := range w.runners {
		w.launch(r)
	}
	w.mu.Unlock()

	err := w.await(ctx)
	stop()
	w.group.Wait()
	background.Wait()
	w.leave()
	return err
}

// begin takes the lease and, with Once, the position to reach. What a worker of this name owned before it was killed and started
// again is free then: it may run other projections now. It goes on trying until ctx ends, the log is not safe, or, with Once, an
// error does not pass.
func (w *Worker) begin(ctx context.Context) error {
	retry := w.options.backoff()
	for {
		err := w.arrive(ctx)
		if err == nil {
			w.outage.over()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var unsafe *store.UnsafeLogError
		if errors.As(err, &unsafe) || (w.options.Once && !errors.Is(err, store.ErrTransient)) {
			return err
		}
		w.outage.noticed(err)
		if !sleep(ctx, retry.pause()) {
			return ctx.Err()
		}
	}
}

func (w *Worker) arrive(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, w.options.Lease)
	defer cancel()
	if err := w.store.CheckLog(within); err != nil {
		return err
	}
	workers, err := w.store.Workers(within)
	if err != nil {
		return err
	}
	if err := w.store.Join(within, w.registered, w.options.Lease); err != nil {
		return err
	}
	if slices.ContainsFunc(workers, func(other store.Worker) bool { return other.Name == w.options.Name }) {
		w.logger.Warn().Msg("a worker of this name has not left: its segments are taken over, and if it still runs, it ends")
	}
	horizon, err := w.store.Horizon(within)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.began = horizon.Head
	w.mu.Unlock()
	if w.options.Once {
		w.target = horizon.Head
	}
	return nil
}

// end makes Run end with an error. The first one counts.
func (w *Worker) end(err error) {
	select {
	case w.ended <- err:
	default:
	}
}

// heartbeats renews the lease well before it runs out. A renewal that fails is tried again at once: the segments stay
// valid until another worker takes them, which the commit finds out.
func (w *Worker) heartbeats(ctx context.Context) {
	retry := w.options.backoff()
	retry.max = min(retry.max, w.options.Heartbeat)
	for pause := w.options.Heartbeat; sleep(ctx, pause); {
		err := w.renew(ctx)
		if errors.Is(err, store.ErrNameTaken) {
			return // the worker ends
		}
		if err != nil {
			w.outage.noticed(err)
			pause = retry.pause()
			continue
		}
		w.outage.over()
		retry.reset()
		pause = w.options.Heartbeat
	}
}

// renew sends a heartbeat. One is under way at a time, so that an older one never takes back what a newer one said.
func (w *Worker) renew(ctx context.Context) error {
	w.registering.Lock()
	defer w.registering.Unlock()
	return w.heartbeat(ctx, w.registered)
}

// register makes the database know which projections this worker runs and which it cannot run, when they are others than before.
func (w *Worker) register(ctx context.Context, projections []string, refused []store.Refusal) error {
	w.registering.Lock()
	defer w.registering.Unlock()
	if slices.Equal(w.registered.Projections, projections) && slices.Equal(w.registered.Refused, refused) {
		return nil
	}
	self := w.registered
	self.Projections, self.Refused = projections, refused
	return w.heartbeat(ctx, self)
}

func (w *Worker) heartbeat(ctx context.Context, self store.Worker) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// One that is cut off may still be at work in the server, and bring the worker back after its farewell: others would
	// leave a share of the segments to it.
	ctx, stop := graceContext(ctx, leaveTimeout)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, w.options.Lease)
	defer cancel()
	if err := w.store.Heartbeat(ctx, self, w.options.Lease); err != nil {
		if errors.Is(err, store.ErrNameTaken) {
			w.end(fmt.Errorf("worker %s: %w: two that run at once need two names", w.options.Name, err))
		}
		return err
	}
	w.registered = self
	return nil
}

// leaveTimeout bounds the farewell: a worker that cannot say it is found out by its lease.
const leaveTimeout = 5 * time.Second

// leave releases everything. A connection may have been lost since it was used last, and the server may be about to come back.
func (w *Worker) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	retry := w.options.backoff()
	for {
		err := w.store.Leave(ctx, w.registered)
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrTransient) || !sleep(ctx, retry.pause()) {
			w.logger.Warn().Err(err).Dur("lease", w.options.Lease).Msg("segments stay owned until the lease runs out")
			return
		}
	}
}

// await returns when Run is to end.
func (w *Worker) await(ctx context.Context) error {
	if w.options.Once {
		return w.awaitOnce(ctx)
	}
	select {
	case err := <-w.ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (w *Worker) awaitOnce(ctx context.Context) error {
	w.mu.Lock()
	runners := make([]*runner, 0, len(w.runners))
	for _, r := range w.runners {
		runners = append(runners, r)
	}
	w.mu.Unlock()
	var failures []error
	for _, r := range runners {
		select {
		case <-r.done:
			failures = append(failures, r.failure)
			if !r.completed {
				failures = append(failures, ctx.Err())
			}
		case err := <-w.ended:
			return errors.Join(append(failures, err)...)
		case <-ctx.Done():
			return errors.Join(append(failures, ctx.Err())...)
		}
	}
	return errors.Join(failures...)
}

// Progress is how far a projection is, on this worker.
type Progress struct {
	Projection string
	Position   int64 // the checkpoint of its segment that is furthest behind
	Events     int64 // applied by this worker since it started
	Deadlocks  int64 // that commits have met and were repeated after
	Known      bool  // it is installed, and its checkpoints are known
	Behind     int64 // positions from the checkpoints to where the log ended when the worker began: the mean of the segments
}

// Progress returns how far every projection is, by name. The caller owns the result.
func (w *Worker) Progress() []Progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Progress, 0, len(w.runners))
	for _, r := range w.runners {
		all = append(all, r.progress(w.began))
	}
	slices.SortFunc(all, func(a, b Progress) int { return strings.Compare(a.Projection, b.Projection) })
	return all
}
