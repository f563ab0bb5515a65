package dev

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// run is a module at work.
type run struct {
	session *Session
	tables  store.Store
	module  *Built
	worker  *segments.Worker
	cancel  context.CancelFunc
	ended   sync.WaitGroup
	rows    *rowWatch
}

// lease is how long a session waits for one before it that was killed.
const lease = 2 * time.Second

// newRun begins to run a module. It closes tables, also when it fails.
func newRun(ctx context.Context, s *Session, tables store.Store, module *Built) (*run, error) {
	r := &run{session: s, tables: tables, module: module, rows: newRowWatch(tables, s.state)}
	err := r.makeWorker()
	if err == nil {
		err = r.replace(ctx, module)
	}
	if err != nil {
		tables.Close()
		return nil, err
	}
	work, cancel := context.WithCancel(ctx)
	r.cancel = cancel
	r.ended.Go(func() {
		if err := r.worker.Run(work); err != nil && work.Err() == nil {
			s.state.refused(oneline.Of(err))
		}
	})
	return r, nil
}

// makeWorker makes a worker that sends messages to the session.
func (r *run) makeWorker() error {
	sender, err := relay.New(r.tables, relay.Sinks{Default: screenSink{r.session.state}}, relay.Options{})
	if err != nil {
		return err
	}
	r.worker, err = segments.New(r.session.Options.Log, r.tables, segments.Options{
		Logger: zerolog.Nop(), Observer: r.observer(), Lease: lease, Rebalance: lease / 20, Relay: sender,
	})
	return err
}

// replace hands the worker another module.
func (r *run) replace(ctx context.Context, module *Built) error {
	loaded, err := r.session.Runtime.Load(ctx, module.File, module.Wasm)
	if err != nil {
		return err
	}
	r.module = module
	r.rows.of(&loaded.Description.Projection)
	r.session.state.named(&loaded.Description.Projection)
	return r.worker.SetWith(loaded, segments.ProjectionOptions{MessagesFrom: segments.MessagesFromBeginning})
}

func (r *run) stop() {
	r.cancel()
	r.ended.Wait()
	r.tables.Close()
}

// observer notes what the worker does.
func (r *run) observer() *segments.Observer {
	state := r.session.state
	return &segments.Observer{
		Installed: func(segments.ObservedProgram) { state.refused("") },
		Refused:   func(p segments.ObservedProgram) { state.refused(oneline.Of(p.Err)) },
		Committed: func(c segments.ObservedCommit) { state.committed(c.Position, c.Events) },
		Polled: func(p segments.ObservedPoll) {
			if p.Err == nil {
				state.polled(p.Head)
			}
		},
		Faulted:  func(e segments.ObservedEvent) { r.fault(e.Position, e.Reason) },
		Failed:   func(e segments.ObservedSegment) { r.failed(e) },
		Unparked: func(segments.ObservedEvent) { state.faulted("", "") },
		Away:     func(o segments.ObservedOutage) { state.refused(o.Database + " does not answer: " + oneline.Of(o.Err)) },
		Back:     func(segments.ObservedOutage) { state.refused("") },
	}
}

func (r *run) failed(e segments.ObservedSegment) {
	reason := "it has failed"
	if e.Err != nil {
		reason = oneline.Of(e.Err)
	}
	r.fault(e.Position+1, reason)
}

// fault notes an event that the projection fails at.
func (r *run) fault(position int64, reason string) {
	r.session.state.faulted(oneline.Text(reason), r.eventAt(position))
}

// eventAt is the text of an event, or "".
func (r *run) eventAt(position int64) string {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	var page store.Page
	err := r.session.Options.Log.Read(ctx, store.ReadRequest{
		After: position - 1, Through: position, Limit: 1, Bytes: 1 << 20, Range: store.FullRange(), Columns: store.AllColumns,
	}, &page)
	if err != nil || len(page.Events) == 0 {
		return fmt.Sprintf("position %d", position)
	}
	return string(eventline.Append(nil, &page.Events[0]))
}

// refresh looks for rows that have changed, and for messages that were sent.
func (r *run) refresh(ctx context.Context) {
	if r.session.state.takeCommits() {
		r.rows.look(ctx)
	}
	r.session.state.tellMessages()
}
