package pupwasm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// Consumer is a projection that is a function of the application. It has what a module has: segments,
// checkpoints, status and the handling of failures. It has no sandbox: what it touches, and whether its rows are
// the same in any number of segments, is up to its author.
type Consumer struct {
	// Name is the projection's: a lower-case letter, then letters, digits and single underscores, 30 at most.
	Name string
	// Version says when the consumer has become another one, which starts from the first event after a reset.
	// Consumers of one name and several versions have checkpoints of their own; their rows are up to their author.
	// Defaults to 1.
	Version int
	// Partition divides the events. Events of one key come in order of position; those of different keys come in
	// any order, at the same time, on several hosts. The author promises that each row belongs to one key, which
	// pupwasmtest.CheckSegments tries. Nil is no division: one segment has all events in order of position.
	Partition *store.Partition
	// Subscription says which events are wanted. The zero value is all.
	Subscription store.Subscription
	// Columns are the fields of events that Handle reads. Defaults to all.
	Columns store.Columns
	// BatchEvents is the most events of a batch, or 0 for the setting of the host.
	BatchEvents int
	// OnError is what becomes of an event that Handle fails at, alone in its batch: see [segments.Options].
	OnError store.ErrorPolicy
	// Messages are what Handle may send, by [Send].
	Messages []store.MessageType
	// Handle writes what comes of a batch. A panic is an error. When a batch of several events fails, it is
	// tried again in smaller ones, so that all before the event at fault are applied.
	Handle store.Handler
}

// ByStream divides the events of a [Consumer] by stream.
func ByStream() *store.Partition { return &store.Partition{By: store.PartitionStream} }

// ByJSON divides the events of a [Consumer] by a member of the payload, such as ByJSON("customer", "id").
func ByJSON(path ...string) *store.Partition {
	return &store.Partition{By: store.PartitionJSON, Path: path}
}

// program returns the consumer as a worker runs it.
func (c *Consumer) program() (segments.Program, error) {
	if c.Handle == nil {
		return nil, fmt.Errorf("consumer %s has no Handle", c.Name)
	}
	p := &consumerProgram{consumer: *c, projection: store.Projection{
		Name: c.Name, Version: max(c.Version, 1), Subscription: c.Subscription,
		Order: store.OrderStream, Partition: c.Partition, Messages: slices.Clone(c.Messages),
	}}
	if c.Partition == nil {
		p.projection.Order = store.OrderGlobal
	}
	if c.Partition != nil && c.Partition.ByStream() {
		p.projection.Partition = nil
	}
	if err := errors.Join(p.projection.Validate(), c.OnError.Validate(p.projection.Order)); err != nil {
		return nil, fmt.Errorf("consumer %s: %w", c.Name, err)
	}
	return p, nil
}

// consumerProgram makes a consumer a program of package segments.
type consumerProgram struct {
	consumer   Consumer
	projection store.Projection
}

// Projection returns what the consumer reads. It declares no tables.
func (p *consumerProgram) Projection() *store.Projection { return &p.projection }

// Source names the consumer for logs and errors.
func (p *consumerProgram) Source() string { return "consumer " + p.consumer.Name }

// BatchEvents is the most events of a call, or 0 for the worker's setting.
func (p *consumerProgram) BatchEvents() int { return p.consumer.BatchEvents }

// Transactional reports that the consumer writes while it processes.
func (p *consumerProgram) Transactional() bool { return true }

// Close does nothing: the consumer belongs to the application.
func (p *consumerProgram) Close(context.Context) {}

// OnError is what becomes of an event that the consumer fails at.
func (p *consumerProgram) OnError() store.ErrorPolicy { return p.consumer.OnError }

// Code identifies the running executable.
func (p *consumerProgram) Code() string { return codeOfProcess() }

// NewProcessor returns the same for every segment, which the consumer cannot tell apart.
func (p *consumerProgram) NewProcessor(int) segments.Processor { return consumerProcessor{p} }

// Columns are those that the consumer asks for, or all, and those that its messages are made with.
func (p *consumerProgram) Columns() store.Columns {
	columns := p.consumer.Columns
	if columns == 0 {
		return store.AllColumns
	}
	if len(p.projection.Messages) > 0 {
		division := p.projection.Division()
		columns |= division.Columns() | store.TraceColumns | store.ColumnCreatedAt
	}
	return columns
}

// codeOfProcess identifies the code of consumers: it is the digest of the running executable.
var codeOfProcess = sync.OnceValue(func() string {
	path, err := os.Executable()
	if err != nil {
		return "unknown"
	}
	digest, err := host.FileDigest(path)
	if err != nil {
		return "unknown"
	}
	return digest
})

type consumerProcessor struct{ program *consumerProgram }

// Close does nothing.
func (p consumerProcessor) Close(context.Context) {}

// Process has the consumer write in the transaction, and returns what it sends. There are no mutations besides.
func (p consumerProcessor) Process(
	ctx context.Context, events []store.RecordedEvent, tx store.Tx,
) (output store.Output, err error) {
	if fault := p.unusableKey(events); fault != nil {
		return output, fault
	}
	native, is := tx.(store.NativeTx)
	if !is {
		return output, &segments.Fault{Err: errors.New("the store has no transactions for consumers")}
	}
	handle, err := native.Native(ctx)
	if err != nil {
		return output, err
	}
	sending := &sending{program: p.program, events: events}
	err = p.handle(context.WithValue(ctx, sendingKey{}, sending), handle, events)
	messages := sending.close()
	switch {
	case ctx.Err() != nil && err != nil:
		return output, ctx.Err()
	case errors.Is(err, store.ErrTransient):
		return output, err
	case sending.failure != nil:
		at := sending.position
		return output, &segments.Fault{Position: at, Divide: at == 0, Err: p.reason(sending.failure)}
	case err != nil:
		return output, &segments.Fault{Divide: true, Err: p.reason(err)}
	}
	return store.Output{Messages: messages}, nil
}

// reason is an error with the name of the consumer, in one line.
func (p consumerProcessor) reason(err error) error {
	return fmt.Errorf("%s: %w", p.program.Source(), oneline.Error(err))
}

// unusableKey is the fault of the first event whose partition key cannot be read, or nil.
func (p consumerProcessor) unusableKey(events []store.RecordedEvent) error {
	partition := p.program.projection.Partition
	if partition == nil {
		return nil
	}
	for i := range events {
		if events[i].Key != nil {
			continue
		}
		if _, err := partition.Key(&events[i]); err != nil {
			return &segments.Fault{
				Position: events[i].Position, Err: p.reason(err),
			}
		}
	}
	return nil
}

// handle calls the consumer in a goroutine of its own. It returns a panic as an error, with the place where it
// happened.
func (p consumerProcessor) handle(ctx context.Context, handle any, events []store.RecordedEvent) (err error) {
	err = errors.New("the handler has ended its goroutine, as FailNow of a test does")
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if reason := recover(); reason != nil {
				err = fmt.Errorf("panic: %v%s", reason, panicPlace())
			}
		}()
		err = p.program.consumer.Handle(ctx, handle, events)
	}()
	<-done
	return err
}

// panicPlace is where the panic that is being recovered happened, as " (orders.go:42)".
func panicPlace() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	panicked := false
	for {
		frame, more := frames.Next()
		inRuntime := strings.HasPrefix(frame.Function, "runtime.")
		if panicked && !inRuntime {
			return fmt.Sprintf(" (%s:%d)", filepath.Base(frame.File), frame.Line)
		}
		panicked = panicked || frame.Function == "runtime.gopanic"
		if !more {
			return ""
		}
	}
}
