package segments_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/segments/internal/logtest"
	"github.com/pupwasm/pupwasm/store"
)

// native is a program of the host's own language. It notes the batches that it gets.
type native struct {
	transactional bool
	process       func(events []store.RecordedEvent, tx store.Tx) error

	processed [][2]int64 // the first and last position of each batch
	open      int        // processors
	closed    bool
}

func (n *native) Projection() *store.Projection       { return &store.Projection{Name: "native", Version: 1} }
func (n *native) Source() string                      { return "native" }
func (n *native) Columns() store.Columns              { return store.ColumnEventType }
func (n *native) BatchEvents() int                    { return 10 }
func (n *native) Transactional() bool                 { return n.transactional }
func (n *native) Code() string                        { return "native" }
func (n *native) OnError() store.ErrorPolicy          { return "" }
func (n *native) NewProcessor(int) segments.Processor { n.open++; return n.processor() }
func (n *native) Close(context.Context)               { n.closed = true }

func (n *native) processor() segments.Processor { return &nativeProcessor{n} }

type nativeProcessor struct{ *native }

func (p *nativeProcessor) Process(
	_ context.Context, events []store.RecordedEvent, tx store.Tx,
) (store.Output, error) {
	if err := p.process(events, tx); err != nil {
		return store.Output{}, err
	}
	p.processed = append(p.processed, [2]int64{events[0].Position, events[len(events)-1].Position})
	return store.Output{}, nil
}

func (p *nativeProcessor) Close(context.Context) { p.open-- }

// runNative applies what there is.
func runNative(t *testing.T, s store.Store, program *native) error {
	t.Helper()
	options := quick()
	options.Once, options.Segments = true, 1
	worker, err := segments.New(s, s, options)
	if err != nil {
		t.Fatal(err)
	}
	worker.SetProgram(program)
	err = worker.Run(t.Context())
	if program.open != 0 || !program.closed {
		t.Errorf("%d processors are open, the program is closed: %t", program.open, program.closed)
	}
	return err
}

// TestProgram_transactionalBatchesAreCommits has a program that writes with the transaction alone, and commits
// that fail.
func TestProgram_transactionalBatchesAreCommits(t *testing.T) {
	t.Parallel()
	watch := &commitWatch{Store: logtest.New(t)}
	deadlocks := 2
	watch.instead = func(from, _ int64, commit func() error) error {
		if from == 10 && deadlocks > 0 {
			deadlocks--
			return fmt.Errorf("%w: as the test has it", store.ErrDeadlock)
		}
		return commit()
	}
	appendTo(t, watch, manyPayments(25, 3)...)
	program := &native{transactional: true, process: func(_ []store.RecordedEvent, tx store.Tx) error {
		if tx == nil {
			return errors.New("no transaction")
		}
		return nil
	}}
	if err := runNative(t, watch, program); err != nil {
		t.Fatal(err)
	}
	// What was written in a transaction that was undone is written again: the batch is processed once for each try.
	want := [][2]int64{{1, 10}, {11, 20}, {11, 20}, {11, 20}, {21, 25}}
	if !slices.Equal(program.processed, want) {
		t.Errorf("the batches are %v, want %v", program.processed, want)
	}
	if moves, _ := watch.seen(); !slices.Equal(moves, [][2]int64{{0, 10}, {10, 20}, {20, 25}}) {
		t.Errorf("the commits are %v", moves)
	}
}

// TestProgram_aFaultStopsTheSegment has a program name the event at fault.
func TestProgram_aFaultStopsTheSegment(t *testing.T) {
	t.Parallel()
	s := logtest.New(t)
	appendTo(t, s, noted("Fine", "Wrong"))
	program := &native{process: func(events []store.RecordedEvent, tx store.Tx) error {
		if tx != nil {
			return errors.New("a transaction")
		}
		for _, event := range events {
			if event.Type == "Wrong" {
				return &segments.Fault{Position: event.Position, Err: fmt.Errorf("event %d is wrong", event.Position)}
			}
		}
		return nil
	}}
	var failed *segments.FailedError
	if err := runNative(t, s, program); !errors.As(err, &failed) || failed.Reason != "event 2 is wrong" {
		t.Errorf("Run returns %v", err)
	}
}
