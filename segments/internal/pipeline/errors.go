package pipeline

import (
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// refusedGroup says that the database or the processor has refused what came of several events. Their batches
// are tried one by one, and then in smaller ones, so that all before the event at fault are applied, whatever
// was folded with them.
type refusedGroup struct {
	through int64
	events  int // the most in a batch from now on, 0 for as many as before
	err     error
}

// Error names the last position of the group, and the reason.
func (e *refusedGroup) Error() string {
	return fmt.Sprintf("several events up to position %d: %s", e.through, e.err)
}

// deadlockedGroup says that a deadlock has undone what was written while the group was processed. It is
// processed again.
type deadlockedGroup struct{ err error }

// Error is what the database has said.
func (e *deadlockedGroup) Error() string { return e.err.Error() }

// Unwrap returns the error of the commit.
func (e *deadlockedGroup) Unwrap() error { return e.err }

// errNoRoom says that the messages of a group must wait, and that it was processed in a transaction, which is not kept open
// for so long. It is processed again.
var errNoRoom = errors.New("the outbox is full")

// attributed is an error of a processor, see segments.Fault.
type attributed interface {
	error
	Attribution() (position int64, limit, divide bool)
}

// attribution is what a processor says of its error; the zero value is of an error that is not a processor's.
type attribution struct {
	found         bool
	position      int64
	limit, divide bool
}

func attributionOf(err error) (a attribution) {
	var fault attributed
	if a.found = errors.As(err, &fault); a.found {
		a.position, a.limit, a.divide = fault.Attribution()
	}
	return a
}

// IsFailure reports that the processor or its SQL is to blame, or that the log is not the one that the rows
// were built from: the segment would fail again.
func IsFailure(err error) bool {
	var log *store.LogError
	of := attributionOf(err)
	return of.found && !of.limit || errors.As(err, &log) || isRejected(err) || isBroken(err)
}

// IsLimit reports that a batch has met a limit of time or space, in its processor or in the database. A machine
// that is busy may be to blame.
func IsLimit(err error) bool {
	var limit *store.LimitError
	return attributionOf(err).limit || errors.As(err, &limit)
}

func isRejected(err error) bool {
	var rejected *store.RejectedError
	return errors.As(err, &rejected)
}

// isBroken reports that a statement fails whatever the event is, so that no event is at fault.
func isBroken(err error) bool {
	var broken *store.StatementError
	return errors.As(err, &broken)
}

// EventFault is a failure that one event brings about.
type EventFault struct {
	Position int64
	Stream   string // of the event, or "" when it is not known
	Err      error
	named    bool // Err names the event
}

// Error names the event.
func (e *EventFault) Error() string {
	switch {
	case e.named:
		return e.Err.Error()
	case e.Stream == "":
		return fmt.Sprintf("event %d: %s", e.Position, e.Err)
	}
	return fmt.Sprintf("event %d of stream %s: %s", e.Position, e.Stream, e.Err)
}

// Unwrap returns Err.
func (e *EventFault) Unwrap() error { return e.Err }

// StreamColumns are those that name the stream of an event at fault.
const StreamColumns = store.ColumnBoundedContext | store.ColumnAggregateType | store.ColumnAggregateID

// AttributeTo is AttributeError for a single event, with the name of its stream.
func AttributeTo(event *store.RecordedEvent, err error) error {
	err = AttributeError(err, event.Position, event.Position)
	NameStream(err, event)
	return err
}

// NameStream adds the name of the stream to an [EventFault] of the event.
func NameStream(err error, event *store.RecordedEvent) {
	var fault *EventFault
	if errors.As(err, &fault) {
		fault.Stream = event.Stream.Readable()
	}
}

// AttributeError adds to an error of the processor or its SQL which events it came with, unless it names one itself.
func AttributeError(err error, first, last int64) error {
	if !IsFailure(err) && !IsLimit(err) || isBroken(err) {
		return err
	}
	position := attributionOf(err).position
	switch {
	case IsLimit(err) && position == 0 && first == last:
		return fmt.Errorf("event %d: %w", first, err)
	case position > 0 || first == last:
		return &EventFault{Position: max(position, first), Err: err, named: position > 0}
	}
	return fmt.Errorf("events %d to %d: %w", first, last, err)
}
