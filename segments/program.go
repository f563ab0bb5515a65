package segments

import (
	"context"

	"github.com/pupwasm/pupwasm/store"
)

// Program is what a worker runs: the declaration of a projection and the processors of its segments. A
// WebAssembly module is one, see [Worker.Set].
type Program interface {
	// Projection is the declaration. It does not change.
	Projection() *store.Projection
	// Source names the program in messages: the file of a module.
	Source() string
	// Columns are the fields of events that the processors read.
	Columns() store.Columns
	// BatchEvents is the most events that a batch may have, or 0 for the setting of the worker. The smaller one
	// counts.
	BatchEvents() int
	// Transactional reports that the processors use the transaction in which their batch is committed. Each
	// batch is then a commit of its own, and the next one is processed after it.
	Transactional() bool
	// Code identifies what the processors do, without blanks: keys that were parked are tried again with other
	// code.
	Code() string
	// OnError is what becomes of an event that a processor fails at, or "" for the default.
	OnError() store.ErrorPolicy
	// NewProcessor makes the processor of a segment. Several of one segment may follow each other.
	NewProcessor(segment int) Processor
	// Close is called once, when no processor is in use any more.
	Close(ctx context.Context)
}

// Processor turns the events of one segment into rows and messages. One goroutine uses it.
type Processor interface {
	// Process applies a batch and returns what is to be written, valid until the next call. A batch that could
	// not be committed is processed again.
	//
	// tx is nil unless the program is transactional: then it is the transaction in which the batch is
	// committed. The caller commits it or rolls it back. What Process writes with it is committed with the
	// checkpoint, also when it returns nothing.
	//
	// # Errors
	//
	// [*Fault] or [*store.RejectedError] when the same events would fail again: the event's key is parked, the event
	// is skipped, or the segment fails, as OnError says. [*store.LimitError], or a Fault with Limit: the segment stops
	// when the same batch meets it three times in a row. After any other error the segment is claimed again, and goes
	// on from its checkpoint.
	Process(ctx context.Context, events []store.RecordedEvent, tx store.Tx) (store.Output, error)
	// Close releases what the processor holds.
	Close(ctx context.Context)
}

// Fault is an error of a [Processor] that the same events would bring about again.
type Fault struct {
	Position int64 // of the event at fault, or 0 when no single event is
	Limit    bool  // a limit of time or space was met: a busy machine may be to blame
	Divide   bool  // the batch is tried again in smaller ones, which find the event at fault and apply those before it
	Err      error // what the processor says of it; its text is recorded
}

// Error is the text of Err.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

// Attribution returns Position, Limit and Divide.
func (f *Fault) Attribution() (position int64, limit, divide bool) {
	return f.Position, f.Limit, f.Divide
}
