package segments

import (
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Observer is told what a worker does, for metrics and alerts. Functions that are nil are left out and cost nothing.
//
// # Goroutines
//
// The goroutines of the worker call the functions, several at the same time. The work goes on when a function returns,
// so that a slow one slows the segment. A function must not wait for the worker, as by [Worker.Remove].
//
// Of a segment, Claimed is called first and Released last, once each for a claim. Checkpoints in Committed ascend
// between them. What a function is given is valid after it returned, and must not be changed.
//
// # Units
//
// Positions are those of the log; Took and After are times on the clock of this machine.
//
// # What metrics come from
//
//	events, commits, rows, time of a commit   Committed
//	checkpoint of a segment                   Claimed, Committed
//	lag of a segment, in positions            Horizon of the last Polled, less the checkpoint
//	lag in time                               since the first Polled with a Horizon beyond the checkpoint
//	events and bytes read, time of a read     Read
//	time, fuel and memory of a batch          Applied
//	segments at work                          Claimed, less Released
//	segments that failed                      Failed
//	faults, parked keys, retries              Faulted; Parked, less Unparked; Retried
//	deadlocks                                 Deadlocked
//	modules that run or cannot                Installed, Refused
//	notifications that do not arrive          Listening
//	outages                                   Away, Back
//	outboxes that keep projections waiting    OutboxFull, OutboxRoom
//
// They are of this worker. What holds for all workers, such as the number of parked keys, is in the database: see
// [store.ProjectionStatus].
type Observer struct {
	// Traces makes segments look for the spans that caused events: see [store.RecordedEvent.TraceParent]. It is the most
	// that are told of a commit, up to 128. They read the metadata of all events for it. Defaults to 0: none.
	Traces int

	// Installed: a program runs from now on.
	Installed func(ObservedProgram)
	// Refused: the database does not accept a program, for a reason that was not told before.
	Refused func(ObservedProgram)

	// Claimed: a segment begins.
	Claimed func(ObservedSegment)
	// Failed: a segment has failed, and stays unclaimed until the program is installed again. Released follows.
	Failed func(ObservedSegment)
	// Released: a segment has ended, with Err unless it was asked to.
	Released func(ObservedSegment)

	// Read: a part of the log was read for a segment, from the database or from memory.
	Read func(ObservedRead)
	// Applied: a processor has turned a batch into rows, which are not committed yet.
	Applied func(ObservedBatch)
	// Committed: rows and a checkpoint are committed.
	Committed func(ObservedCommit)
	// Deadlocked: a commit was a victim of a deadlock and is repeated.
	Deadlocked func(ObservedSegment)

	// Faulted: a processor has failed at an event, which is going to be skipped or parked with its key. When the commit
	// that does so fails, the same event may be told again.
	Faulted func(ObservedEvent)
	// Parked: a key is parked from an event on.
	Parked func(ObservedEvent)
	// Retried: events of a parked key were applied, or one has failed again.
	Retried func(ObservedRetry)
	// Unparked: this worker has applied all events of a parked key.
	Unparked func(ObservedEvent)

	// OutboxFull: a projection does not commit what has messages, since its outbox has as many as it may.
	OutboxFull func(ObservedOutbox)
	// OutboxRoom: it goes on.
	OutboxRoom func(ObservedOutbox)

	// Polled: the horizon was asked for.
	Polled func(ObservedPoll)
	// Listening: notifications of appends begin to arrive, or they do not or no longer arrive, and the log is polled. It is
	// told once of each change, and never where the log has no notifications or the worker does without.
	Listening func(ObservedListening)
	// Away: a database does not answer. It is told once for an outage.
	Away func(ObservedOutage)
	// Back: it answers again.
	Back func(ObservedOutage)
}

// ObservedProgram is a program that was installed or refused.
type ObservedProgram struct {
	Projection store.ProjectionID
	Source     string // the file of a module
	Err        error  // why it is refused, or nil
}

// SegmentID names a segment of a projection.
type SegmentID struct {
	Projection store.ProjectionID
	Segment    int
}

// ObservedSegment is a segment at some moment.
type ObservedSegment struct {
	SegmentID
	Position int64 // of its checkpoint
	Err      error // why it failed, ended or repeats a commit, or nil
}

// ObservedRead is a part of the log that was read.
type ObservedRead struct {
	SegmentID
	After, Through int64 // positions, of which Through is included
	Events         int   // of the segment
	Bytes          int   // of their payload and metadata
	Took           time.Duration
}

// ObservedBatch is a batch that a processor has applied.
type ObservedBatch struct {
	SegmentID
	Events    int
	Mutations int // changes that it asks for
	Took      time.Duration
	// Of a module: the fuel that the batch took, and the memory of the instance in bytes. Otherwise 0.
	Fuel        int64
	MemoryBytes int
}

// ObservedCommit is a commit.
type ObservedCommit struct {
	SegmentID
	After    int64 // position of the checkpoint before
	Position int64 // of the checkpoint
	Events   int   // that were applied
	Batches  int   // that became one commit
	Rows     int   // that were written, after changes to one row were folded into one
	Withheld int   // events of parked keys that were noted for later
	Skipped  int   // events that were skipped
	Took     time.Duration
	// When the events were read, from the database or from memory, and when the processor applied them. The next events
	// of the segment are read and applied meanwhile, so that the stages of two commits overlap.
	Read, Applied ObservedStage
	Traces        []store.TraceParent // the spans that caused the events, each once: see [Observer]
}

// ObservedStage is when one stage worked on what became a commit.
type ObservedStage struct {
	Began, Ended time.Time
	Busy         time.Duration // how long in all, between the two
}

// ObservedEvent is an event at which a processor failed, or the first one of a parked key.
type ObservedEvent struct {
	SegmentID
	Key      []byte // the partition key
	Position int64
	Policy   store.ErrorPolicy // what becomes of the event, in Faulted
	Reason   string            // what failed; empty in Unparked
	Trace    store.TraceParent // the span that caused the event, in Faulted, or zero: see [Observer]
}

// ObservedRetry is a commit of a parked key.
type ObservedRetry struct {
	SegmentID
	Key     []byte // the partition key
	Events  int    // that were applied
	Skipped int    // events that were left out for good, by an order
	Reason  string // why the next one has failed again, or empty
	Took    time.Duration
	Traces  []store.TraceParent // the spans that caused the events, each once: see [Observer]
}

// ObservedOutbox is an outbox that keeps a projection waiting.
type ObservedOutbox struct {
	Projection store.ProjectionID
	Messages   int64         // that were in it last, to be sent or held
	Max        int           // see [Options].OutboxMax
	After      time.Duration // how long the projection has waited, in OutboxRoom
}

// ObservedPoll is a poll of the horizon.
type ObservedPoll struct {
	Horizon int64 // up to which segments may read
	Head    int64 // the last position of the log
	Took    time.Duration
	Err     error // then Horizon and Head are 0
}

// ObservedListening is whether notifications arrive.
type ObservedListening struct {
	Err error // why they do not, or nil
}

// ObservedOutage is a database that does not answer.
type ObservedOutage struct {
	Database string        // "database", or "database of the tables" and "database of the log" where they are two
	Err      error         // the first error, in Away
	After    time.Duration // how long it was away, in Back
}

// tracesMax bounds Observer.Traces.
const tracesMax = 128

// traces is the most spans that are told of a commit.
func (o *Observer) traces() int { return min(max(o.Traces, 0), tracesMax) }

// columns are the fields of events that are read for the observer.
func (o *Observer) columns() store.Columns {
	if o.traces() == 0 {
		return 0
	}
	return store.TraceColumns
}

// cause is the span that caused an event, or zero.
func (o *Observer) cause(event *store.RecordedEvent) (parent store.TraceParent) {
	if o.traces() > 0 {
		parent, _ = event.TraceParent()
	}
	return parent
}

// tell calls a function of an observer, if there is one.
func tell[T any](function func(T), what T) {
	if function != nil {
		function(what)
	}
}
