package segments

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store"
)

// moduleProgram makes a WebAssembly module a program.
type moduleProgram struct{ module *host.Module }

// Projection is what the module declares.
func (p *moduleProgram) Projection() *store.Projection { return &p.module.Description.Projection }

// Source is the module's file.
func (p *moduleProgram) Source() string { return p.module.File }

// Columns are those that the module reads.
func (p *moduleProgram) Columns() store.Columns { return p.module.Columns() }

// BatchEvents is what the module asks for, or 0.
func (p *moduleProgram) BatchEvents() int { return p.module.Description.Limits.BatchEvents }

// Close closes the module, whose guests have ended.
func (p *moduleProgram) Close(ctx context.Context) { p.module.Close(ctx) }

// Code is the digest of the module.
func (p *moduleProgram) Code() string { return hex.EncodeToString(p.module.Hash[:]) }

// Module is the module again, or nil where it is from no file.
func (p *moduleProgram) Module() ([]byte, error) { return p.module.Read() }

// OnError is what the module asks for.
func (p *moduleProgram) OnError() store.ErrorPolicy { return p.module.Description.OnError }

// Transactional reports that the guest may ask for what it has written.
func (p *moduleProgram) Transactional() bool { return len(p.module.Description.Queries) > 0 }

// NewProcessor makes a guest for a segment.
func (p *moduleProgram) NewProcessor(segment int) Processor {
	return &moduleProcessor{guest: p.module.NewGuest(segment)}
}

type moduleProcessor struct{ guest *host.Guest }

// Process has the guest apply a batch. Its queries are answered in tx.
func (p *moduleProcessor) Process(
	ctx context.Context, events []store.RecordedEvent, tx store.Tx,
) (store.Output, error) {
	var query host.Query
	if tx != nil {
		query = func(query int, arguments []store.Value, rows *store.Rows) error {
			return tx.Query(ctx, query, arguments, rows)
		}
	}
	mutations, err := p.guest.Apply(ctx, events, query)
	return store.Output{Mutations: mutations, Messages: p.guest.Messages()}, asFault(err)
}

// Close ends the guest.
func (p *moduleProcessor) Close(ctx context.Context) { p.guest.Close(ctx) }

// asFault tells the pipeline whether an error is the guest's.
func asFault(err error) error {
	var fault *host.Fault
	var slow *host.SlowError
	switch {
	case errors.As(err, &fault):
		return &Fault{Position: fault.Position, Divide: fault.Divide, Err: err}
	case errors.As(err, &slow):
		return &Fault{Limit: true, Err: err}
	}
	return err
}

// misplaced is the fault of an event whose stored hash is not that of its stream.
func misplaced(program Program, event *store.RecordedEvent, hash uint32) error {
	return asFault(&host.Fault{
		Module: program.Source(), Position: event.Position, Stream: event.Stream, Reason: fmt.Sprintf(
			"its stored partition_hash is not that of its stream, %d, "+
				"and segments may have passed it or get it twice: stop all hosts, "+
				"set all events of the stream to that number, and reset every projection that is divided by stream: "+
				"Store.Reset(%q) deletes the rows of one, and the next run applies the log from the first event",
			hash, program.Projection().Name),
	})
}
