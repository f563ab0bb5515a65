package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/segments/internal/logstate"
	"github.com/pupwasm/pupwasm/segments/internal/readcache"
	"github.com/pupwasm/pupwasm/store"
)

// Options configures a pipeline. See segments.Options.
type Options struct {
	BatchEvents  int
	BatchBytes   int
	CommitEvents int
	BatchPause   time.Duration
	Poll         time.Duration // see segments.ProjectionOptions
	WakeJitter   time.Duration
	Once         bool
	Target       int64 // with Once, where the segment ends
}

// Shared is what all pipelines of a worker have together.
type Shared struct {
	Log         *logstate.Log
	Memory      *MemoryBudget
	Connections *ConnectionLimiter
	// Apart is the log where it is in another database than the tables. It tells what a checkpoint has of it.
	Apart Source
}

// Source tells what a checkpoint notes of a log. See [store.Reader].
type Source interface {
	AppliedAt(ctx context.Context, position int64) (store.Applied, error)
}

// Processor turns events into rows. See segments.Processor.
type Processor interface {
	Process(ctx context.Context, events []store.RecordedEvent, tx store.Tx) (store.Output, error)
}

// Observer is told what a pipeline has done. Each stage calls it in a goroutine of its own.
type Observer interface {
	// Read says that a chunk was read, which is only valid during the call.
	Read(chunk *readcache.Chunk, took time.Duration)
	// Applied says that the processor has turned so many events into so many mutations.
	Applied(events, mutations int, took time.Duration)
	// Committed says that everything up to the position of the claim is committed. commit is only valid during the
	// call.
	Committed(claim store.Claim, commit *store.Commit, written Written)
	// Deadlocked says that a commit has met a deadlock and is tried again.
	Deadlocked(err error)
}

// Outbox bounds how many messages of a projection may wait to be sent.
type Outbox interface {
	// HasRoom reports that further messages may be put in.
	HasRoom() bool
	// AwaitRoom waits until then, and fails when ctx ends first.
	AwaitRoom(ctx context.Context) error
}

// Written is what a commit has brought.
type Written struct {
	After                 int64 // the checkpoint before it
	Events, Batches, Rows int
	Took                  time.Duration // with the wait for a connection, and repetitions after deadlocks
	Read, Applied         Stage
	Traces                []store.TraceParent // of its events, up to Segment.Traces
}

// Stage is when one of the first two stages worked on what became a commit.
type Stage struct {
	Began, Ended time.Time
	Busy         time.Duration // how long in all
}

// add counts work that has just ended, or that ended when the one before it had not begun.
func (s *Stage) add(began time.Time, took time.Duration) {
	if s.Began.IsZero() {
		s.Began = began
	}
	s.Ended = began.Add(took)
	s.Busy += took
}

// Segment is what a pipeline works on.
type Segment struct {
	Claim         *store.Claim    // its position is the checkpoint, which the last stage moves
	Log           logstate.Joined // the log that the checkpoint is of, and all that is read and applied
	Reader        *readcache.Reader
	Projection    *store.Projection
	Catalogue     store.Catalogue
	Processor     Processor
	Transactional bool // a batch is processed in the transaction in which it is committed
	Observer      Observer
	// Misplaced makes the error of an event that belongs to another segment by the hash of its stream. It is
	// nil when places are not checked.
	Misplaced func(event *store.RecordedEvent, hash uint32) error
	Withheld  *Withheld
	KeyOf     func(event *store.RecordedEvent) []byte // the partition key, for Withheld
	ParkedMax int                                     // see [store.Commit]
	Traces    int                                     // see segments.Observer
	// Up to IsolateThrough every batch is committed separately.
	IsolateThrough int64
	Outbox         Outbox // of the projection
	// Unseen reports that readers do not see the rows, and that nobody waits for a commit.
	Unseen func() bool
}

// Pipeline applies the events of one segment.
type Pipeline struct {
	Segment
	shared  Shared
	options Options

	isolateEvents int                // up to IsolateThrough, the most events in a batch, 0 for as many as any
	limited       int64              // where the commit group ends that has met a limit
	keys          *store.SegmentKeys // of the rows since the first event, or nil
	keysHeld      int                // of the memory budget
	conflicts     int                // how often in a row a commit was rolled back for the sake of another transaction
}

// New prepares the pipeline of a segment.
func New(shared Shared, options Options, segment Segment) *Pipeline {
	p := &Pipeline{Segment: segment, shared: shared, options: options}
	if segment.Claim.Position == 0 {
		p.keys = store.NewSegmentKeys()
	}
	return p
}

// Limited returns where the commit group ends that has met a limit last, or 0.
func (p *Pipeline) Limited() int64 { return p.limited }

// Run ends when ctx does, at the segment's end, or at the first error in the order of the events. Calls in
// flight are given the time of working.
func (p *Pipeline) Run(ctx, working context.Context) error {
	defer p.holdKeys(true)
	for {
		err := newAttempt(p).run(ctx, working)
		var refused *refusedGroup
		var deadlocked *deadlockedGroup
		switch {
		case errors.Is(err, errNoRoom):
			if p.Outbox.AwaitRoom(ctx) != nil {
				return nil
			}
		case errors.As(err, &refused):
			p.IsolateThrough, p.isolateEvents = refused.through, refused.events
		case errors.As(err, &deadlocked) && ctx.Err() == nil: // once more
		default:
			return err
		}
	}
}

// holdKeys counts the keys in the memory budget. It forgets them at the end of the log, from where on there are few rows
// at a time, and where memory is scarce.
func (p *Pipeline) holdKeys(end bool) {
	if p.keys == nil {
		return
	}
	if end || p.shared.Memory.Scarce() {
		p.keys.Forget()
	}
	bytes := p.keys.Bytes()
	p.shared.Memory.Add(bytes - p.keysHeld)
	p.keysHeld = bytes
}

// complete reports that a segment at position has nothing more to do.
func (p *Pipeline) complete(position int64) bool {
	return p.Claim.MergeAt > 0 && position >= p.Claim.MergeAt || p.options.Once && position >= p.options.Target
}

// attempt is one start of the three stages, from the checkpoint.
type attempt struct {
	*Pipeline
	from int64 // the position at which it begins

	chunks  chan *chunk
	drained chan *chunk
	groups  chan *commitGroup
	free    chan *commitGroup
	aborted chan struct{} // closed when a commit has failed: nothing behind it will be committed

	// What counts in the memory budget.
	allChunks []*chunk
	allGroups []*commitGroup
}

// chunk is a part of the log between the first two stages.
type chunk struct {
	readcache.Chunk
	reaches bool // it goes up to the horizon that was asked for
	held    int  // of the memory budget
	began   time.Time
	took    time.Duration // of the read
}

func newAttempt(p *Pipeline) *attempt {
	groups := 2 // one is committed while the other is filled
	if p.Transactional {
		groups = 1
	}
	a := &attempt{
		Pipeline: p, from: p.Claim.Position,
		chunks: make(chan *chunk, readAhead), drained: make(chan *chunk, readAhead),
		groups: make(chan *commitGroup), free: make(chan *commitGroup, groups), aborted: make(chan struct{}),
	}
	for range readAhead {
		to := &chunk{}
		a.allChunks = append(a.allChunks, to)
		a.drained <- to
	}
	for range groups {
		g := newCommitGroup(p)
		a.allGroups = append(a.allGroups, g)
		a.free <- g
	}
	return a
}

// drain gives a chunk back for the next read. Where others wait for its bytes, its memory goes too.
func (a *attempt) drain(to *chunk) {
	held := to.held
	to.held = 0
	if a.shared.Memory.Scarce() {
		a.Reader.Discard(&to.Chunk)
	}
	a.shared.Memory.Add(-held)
	a.drained <- to
}

// forget takes what is left of the attempt out of the memory budget.
func (a *attempt) forget() {
	bytes := 0
	for _, c := range a.allChunks {
		bytes += c.held
	}
	for _, g := range a.allGroups {
		bytes += g.held
	}
	a.shared.Memory.Add(-bytes)
}

func (a *attempt) run(ctx, working context.Context) error {
	waiting, stopWaiting := context.WithCancel(ctx)
	reading, stopReading := context.WithCancel(working)
	defer stopWaiting()
	defer stopReading()
	var stages sync.WaitGroup
	var readError, commitError error
	stages.Go(func() {
		defer close(a.chunks)
		readError = a.read(waiting, reading)
	})
	stages.Go(func() { commitError = a.commit(ctx, working) })
	applyError := a.apply(ctx, working)
	stopWaiting()
	if applyError != nil || a.isAborted() {
		stopReading() // its result is of no use any more
	}
	close(a.groups)
	stages.Wait()
	a.forget()
	switch {
	case commitError != nil:
		return commitError
	case applyError != nil:
		return applyError
	case ctx.Err() != nil && errors.Is(readError, context.Canceled):
		return nil
	}
	return readError
}

func (a *attempt) isAborted() bool {
	select {
	case <-a.aborted:
		return true
	default:
		return false
	}
}
