package segments

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments/internal/horizon"
	"github.com/pupwasm/pupwasm/segments/internal/logstate"
	"github.com/pupwasm/pupwasm/segments/internal/pipeline"
	"github.com/pupwasm/pupwasm/segments/internal/readcache"
	"github.com/pupwasm/pupwasm/store"
)

// Worker runs the projections of a process. Give it modules with Set at any time, before or during Run.
type Worker struct {
	source     store.Log // the log that is read
	tables     store.Tables
	apart      bool // the log is in another database than the tables
	options    Options
	logger     zerolog.Logger
	log        *logstate.Log
	poller     *horizon.Poller
	membership *membership
	cache      *readcache.Cache
	shared     pipeline.Shared
	outboxes   *outboxes
	outage     *outage // of the tables' database
	logOutage  *outage // of the log's, which is the same where they are one
	holdMax    time.Duration
	target     int64      // with Once: the position to reach
	began      int64      // where the log ended when Run began
	ended      chan error // why Run ends before it is asked to

	incarnation string // tells this process from others of the same name
	leaseUntil  atomic.Pointer[time.Time]

	registering sync.Mutex
	registered  store.Worker // as the database knows this worker

	mu      sync.Mutex
	runners map[store.ProjectionID]*runner        // by build
	given   map[store.ProjectionID]*given         // by version, whatever its builds are
	running context.Context                       // of Run; nil before
	idle    bool                                  // it was said that no module can run
	gone    map[store.ProjectionID]bool           // removed ones, until it is certain that nothing of them is owned
	refused map[store.ProjectionID]currentRefusal // those without a program that may run, see Refuse
	group   sync.WaitGroup
}

// New prepares a worker that reads a log and writes tables. They are given as one value where one database is both:
// New(db, db, options). Otherwise they are in two databases, and must be: see [store.Tables]. The worker does not own
// them.
//
// # Errors
//
// [*OptionError].
func New(log store.Log, tables store.Tables, options Options) (*Worker, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	w := &Worker{
		source: log, tables: tables, apart: !oneValue(log, tables),
		options: options, logger: options.Logger.With().Str("worker", options.Name).Logger(),
		runners: map[store.ProjectionID]*runner{}, given: map[store.ProjectionID]*given{}, gone: map[store.ProjectionID]bool{},
		refused: map[store.ProjectionID]currentRefusal{}, ended: make(chan error, 1), incarnation: randomSuffix(), holdMax: holdMax,
	}
	w.registered = store.Worker{Name: options.Name, Incarnation: w.incarnation, Segments: options.Segments}
	w.outage = newOutage(w.logger, options.Observer, "database")
	w.logOutage = w.outage
	if w.apart {
		w.tables = tables.Apart()
		w.outage.database = "database of the tables"
		w.logOutage = newOutage(w.logger, options.Observer, "database of the log")
	}
	w.log = logstate.New()
	w.cache = readcache.New(log, w.log, options.EventBytes)
	w.poller = horizon.New(w.cache, w.log, w.notifier(), horizon.Options{
		Listener: w.listener(), Poll: options.Poll, PollMax: options.PollMax, PollFactor: options.PollFactor,
		CallTimeout: options.Lease, RetryMin: options.RetryMin, RetryMax: options.RetryMax,
	}, w.logger, horizon.Told{Polled: w.polled, Listening: w.listening})
	w.membership = newMembership(w)
	w.outboxes = newOutboxes(w)
	w.shared = pipeline.Shared{
		Log: w.log, Memory: pipeline.NewMemoryBudget(options.EventBytes),
		Connections: pipeline.NewConnectionLimiter(options.Concurrency, options.BuildShare),
	}
	if w.apart {
		w.shared.Apart = log
	}
	return w, nil
}

// oneValue reports whether two are the same. Values of one type that cannot be compared count as the same, which
// leaves out no check: tables refuse what was read of a foreign log.
func oneValue(log store.Log, tables store.Tables) bool {
	if reflect.TypeOf(log) != reflect.TypeOf(tables) {
		return false
	}
	return !reflect.ValueOf(log).Comparable() || !reflect.ValueOf(tables).Comparable() || any(log) == any(tables)
}

// listener is the name under which the worker asks the log for notifications. Workers of different tables may read
// one log, and only each of these knows its own workers by name.
func (w *Worker) listener() store.Listener {
	if w.apart {
		return store.Listener{Name: w.options.Name + "/" + w.incarnation, Elsewhere: true}
	}
	return store.Listener{Name: w.options.Name}
}

// polled is told how each poll of the log has ended.
func (w *Worker) polled(poll horizon.Polled) {
	tell(w.options.Observer.Polled, ObservedPoll{
		Horizon: poll.Horizon.Position, Head: poll.Horizon.Head, Took: poll.Took, Err: poll.Err,
	})
	switch {
	case poll.Err != nil:
		w.logOutage.noticed(poll.Err)
	case w.apart: // otherwise heartbeats tell
		w.logOutage.over(clock.Now().Add(-poll.Took))
	}
}

// listening is told whether notifications arrive.
func (w *Worker) listening(err error) {
	tell(w.options.Observer.Listening, ObservedListening{Err: err})
}

// notifier is the log's, or nil when the worker only polls.
func (w *Worker) notifier() store.Notifier {
	if w.options.PollOnly || w.options.Once {
		return nil
	}
	notifier, able := w.source.(store.Notifier)
	if !able {
		w.logger.Debug().Msg("this database has no notifications, polling")
		return nil
	}
	return notifier
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

// Set starts a module's projection, or replaces the module that runs it in the same version, at a batch boundary. A
// module that cannot be installed leaves the one before it running; the reason is logged, and returned by Run when
// Once is set. Another version of the projection runs beside it. The worker owns the module and closes it when it is
// replaced.
func (w *Worker) Set(module *host.Module) { w.SetProgram(&moduleProgram{module}) }

// SetWith is Set with settings of the projection, which come before those in [Options].Projections and end with the
// module: the next Set has settings of its own.
//
// # Errors
//
// [*OptionError]: then nothing has changed, and the module is the caller's.
func (w *Worker) SetWith(module *host.Module, options ProjectionOptions) error {
	if err := options.Validate(); err != nil {
		return err
	}
	w.set(&moduleProgram{module}, options)
	return nil
}

// SetProgram is Set for any [Program].
func (w *Worker) SetProgram(program Program) { w.set(program, ProjectionOptions{}) }

func (w *Worker) set(program Program, options ProjectionOptions) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running != nil && w.running.Err() != nil {
		program.Close(context.Background()) // nothing begins any more
		return
	}
	id := program.Projection().ID()
	delete(w.refused, id)
	before, now := w.given[id], &given{program: shared(program), options: options.Or(w.options.Projections[id.Name])}
	w.given[id] = now
	if before == nil {
		w.start(id, now) // or another build, as soon as it is known which there are
		return
	}
	for _, r := range w.runnersOf(id) {
		r.set(now.program.of(r.id), now.options)
	}
	before.program.Close(context.Background())
}

// letGo ends the worker's own use of the programs that it was given. Builds that begin later have none.
func (w *Worker) letGo() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, given := range w.given {
		given.program.Close(context.Background())
	}
	clear(w.given)
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

// Run works until ctx ends, then finishes the batches in flight and releases everything. With Options.Once it
// returns when all is applied that was appended before.
//
// # Errors
//
// [*store.UnsafeLogError] and [store.ErrSameDatabase] at the start. With Once, what kept a projection from being
// complete, joined; also ctx's error. [store.ErrNameTaken] when another process has started under the worker's name,
// which has the segments from then on. With FailRefused, a [*RefusedError] for each module when none can run.
// Otherwise nil: other errors are retried or recorded.
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
	background.Go(func() { w.poller.Run(running) })
	background.Go(func() { w.membership.run(running) })
	background.Go(func() { w.checkLog(running, logCheckEvery) })
	background.Go(func() { w.poller.Listen(running) })
	background.Go(func() { w.outboxes.run(running) })
	relaying := w.startRelay(running)
	alerter := newAlerter(w)
	if w.options.OnPark != nil && !w.options.Once {
		background.Go(func() { alerter.run(running) })
	}

	w.mu.Lock()
	w.running = running
	for _, r := range w.runners {
		w.launch(r)
	}
	w.mu.Unlock()

	err := w.awaitEnd(ctx)
	if w.options.OnPark != nil && w.options.Once {
		alerter.finish(ctx)
	}
	if w.options.Once {
		err = relaying.finish(err)
	}
	stop()
	w.group.Wait()
	relaying.wait()
	background.Wait()
	w.letGo()
	w.leave()
	return err
}

// end makes Run end with an error. The first one counts.
func (w *Worker) end(err error) {
	select {
	case w.ended <- err:
	default:
	}
}

// awaitEnd returns when Run is to end.
func (w *Worker) awaitEnd(ctx context.Context) error {
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
	var failures []error
	awaited := map[*runner]bool{}
	for r := w.notAwaited(awaited); r != nil; r = w.notAwaited(awaited) {
		awaited[r] = true
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

// notAwaited returns a runner that is not awaited, or nil: a runner may have begun that of another build.
func (w *Worker) notAwaited(awaited map[*runner]bool) *runner {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.runners {
		if !awaited[r] {
			return r
		}
	}
	return nil
}

// Progress is how far a version of a projection is, on this worker.
type Progress struct {
	Projection store.ProjectionID
	Position   int64 // the checkpoint of its segment that is furthest behind
	Events     int64 // applied by this worker since it started
	Deadlocks  int64 // that commits have met and were repeated after
	Known      bool  // it is installed, and its checkpoints are known
	Paused     bool  // somebody has paused it
	// Behind is how many positions the checkpoints are behind the end that the log had when the worker began: the
	// mean of the segments.
	Behind int64
}

// Progress returns how far every projection is, by name and version. The caller owns the result.
func (w *Worker) Progress() []Progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Progress, 0, len(w.runners))
	for _, r := range w.runners {
		all = append(all, r.progress(w.began))
	}
	slices.SortFunc(all, func(a, b Progress) int { return store.CompareProjectionIDs(a.Projection, b.Projection) })
	return all
}
