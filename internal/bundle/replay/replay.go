// Package replay runs a bundle: a module over the events of a parked key, in a SQLite database of its own, by the
// worker that hosts have. Nothing else is needed, and nothing else is touched.
//
//	replay.go    what came of it
//	database.go  the database, with the rows of the bundle
//
// The events of the bundle are a log of package trial.
package replay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/bundle"
	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// Options says how a bundle is replayed.
type Options struct {
	Runtime *host.Runtime
	// Module is tried instead of the bundle's own one, unless it is nil. File is its name.
	Module []byte
	File   string
	Tables sqlite.Options // limits of SQL
}

// Outcome is what came of the events.
type Outcome string

// The outcomes.
const (
	Reproduced Outcome = "reproduced" // the event fails that failed, and as it did
	Differs    Outcome = "differs"    // an event fails, but another one or otherwise
	Passes     Outcome = "passes"     // no event fails
)

// Report is what came of a replay.
type Report struct {
	Outcome Outcome `json:"outcome"`
	Fault   *Fault  `json:"fault,omitempty"` // the first one
	Events  int     `json:"events"`          // of the bundle that the module asks for
	Handled int     `json:"events_handled"`  // of these, before the fault
	// Changes are the differences between the rows of the bundle and those after the replay.
	Changes []Change `json:"changes"`
	Notes   []string `json:"notes,omitempty"` // what to know before one believes the outcome
}

// Fault says which event failed in a replay, and why.
type Fault struct {
	Position int64  `json:"position,omitempty"` // 0 when no single event is at fault
	Error    string `json:"error"`
}

// Run replays a bundle.
//
// # Errors
//
// [*host.LoadError]; one when the module is of another projection, or the rows of the bundle cannot be put into its
// tables; those of the temporary database.
func Run(ctx context.Context, b *bundle.Bundle, options Options) (*Report, error) {
	r := &run{bundle: b, options: options, file: options.File, report: &Report{}}
	wasm := options.Module
	if wasm == nil {
		r.file, wasm = b.Module.File, b.Wasm
	}
	module, err := options.Runtime.Load(ctx, r.file, wasm)
	if err != nil {
		return nil, err
	}
	defer func() {
		if !r.handed {
			module.Close(context.WithoutCancel(ctx))
		}
	}()
	folder, err := os.MkdirTemp("", "pupwasm-replay-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the database: %w", err)
	}
	defer os.RemoveAll(folder)
	if name := module.Description.Name; name != b.Projection.Name {
		return nil, fmt.Errorf("module %s is projection %q, the bundle is of projection %q", r.file, name, b.Projection.Name)
	}
	r.projection = &module.Description.Projection
	db, err := trial.Open(ctx, filepath.Join(folder, "replay.db"), options.Tables)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	r.db, r.log = db, trial.NewLog(b.Events)
	if err := r.run(ctx, module); err != nil {
		return nil, err
	}
	r.judge()
	r.note()
	return r.report, nil
}

// run is one replay.
type run struct {
	bundle     *bundle.Bundle
	options    Options
	file       string
	projection *store.Projection
	db         store.Store
	log        *trial.Log
	handed     bool     // the worker has the module, and closes it
	leftOut    []string // of the rows
	report     *Report
}

// run puts the rows back and applies the events.
func (r *run) run(ctx context.Context, module *host.Module) (err error) {
	tables := r.db.Apart()
	if r.leftOut, err = restore(ctx, tables, r.log, r.bundle, r.projection); err != nil {
		return err
	}
	worker, err := segments.New(r.log, r.db, segments.Options{
		Once: true, FailRefused: true, Logger: zerolog.Nop(), Segments: 1, OnError: store.ErrorPark, ParkedMax: -1,
		ParkedRetries: -1, Rebalance: 10 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	var before []tableRow
	if len(r.bundle.Rows) > 0 {
		if before, err = rowsOf(ctx, tables, r.projection); err != nil {
			return err
		}
	}
	worker.Set(module)
	r.handed = true
	if err := r.apply(ctx, worker, tables); err != nil {
		return err
	}
	after, err := rowsOf(ctx, tables, r.projection)
	r.report.Changes = changes(before, after)
	return err
}

// apply runs the worker, and finds the first event that failed.
func (r *run) apply(ctx context.Context, worker *segments.Worker, tables store.Tables) error {
	err := worker.Run(ctx)
	var failed *segments.FailedError
	if err != nil && (ctx.Err() != nil || !errors.As(err, &failed)) {
		return err
	}
	parked, asked := tables.Parked(ctx, store.ParkedRequest{Projection: r.projection.ID(), Range: store.FullRange()})
	if asked != nil {
		return asked
	}
	for i := range parked {
		if r.report.Fault == nil || parked[i].First < r.report.Fault.Position {
			r.report.Fault = &Fault{Position: parked[i].First, Error: parked[i].Error}
		}
	}
	if r.report.Fault == nil && failed != nil {
		r.report.Fault = &Fault{Error: failed.Error()}
	}
	return nil
}

// judge compares what came of it with what the bundle says.
func (r *run) judge() {
	fault := r.report.Fault
	for i := range r.bundle.Events {
		e := &r.bundle.Events[i]
		if !r.projection.Subscription.Matches(e.Stream, e.Type) {
			continue
		}
		r.report.Events++
		if fault == nil || e.Position < fault.Position {
			r.report.Handled++
		}
	}
	switch {
	case fault == nil:
		r.report.Outcome = Passes
	case fault.Position == r.bundle.Fault.Position && r.alike(fault.Error):
		r.report.Outcome = Reproduced
	default:
		r.report.Outcome = Differs
	}
}

// alike reports whether an error is that of the bundle. What a module says is the same on every host, except for the
// name of its file, and for how much of the stream's name the host knew. What a database says of a row that it refuses
// is not the same in every database.
func (r *run) alike(text string) bool {
	stream := r.bundle.Events[0].Stream
	was, is := withoutStream(r.bundle.Fault.Error, stream), withoutStream(text, stream)
	if strings.Replace(is, "module "+r.file, "module "+r.bundle.Module.File, 1) == was {
		return true
	}
	statement, refused := refusedStatement(text)
	before, refusedBefore := refusedStatement(was)
	return refused && refusedBefore && statement == before && r.bundle.Database != store.DialectSQLite
}

// withoutStream returns an error without the name of a stream, in each form that the name may have.
func withoutStream(text string, s store.Stream) string {
	for _, parts := range [][]string{
		{s.BoundedContext, s.AggregateType, s.AggregateID},
		{s.BoundedContext, s.AggregateID},
		{s.AggregateType, s.AggregateID},
		{s.AggregateID},
	} {
		name := strings.Join(parts, "/")
		for _, form := range []string{name, strconv.Quote(name)} {
			text = strings.Replace(text, " of stream "+form+": ", ": ", 1)
		}
	}
	return text
}

// refusedStatement returns which statement the database refused, by the text of the error.
func refusedStatement(text string) (statement string, refused bool) {
	const mark = "\x00"
	begin, end, _ := strings.Cut((&store.RejectedError{Statement: mark}).Error(), mark)
	_, rest, found := strings.Cut(text, begin)
	if !found {
		return "", false
	}
	statement, _, found = strings.Cut(rest, end)
	return statement, found
}

// note says what the bundle does not have, and what the outcome may come from.
func (r *run) note() {
	b, add := r.bundle, func(format string, args ...any) {
		r.report.Notes = append(r.report.Notes, fmt.Sprintf(format, args...))
	}
	if _, refused := refusedStatement(b.Fault.Error); refused && r.report.Outcome != Reproduced {
		add("the database refused it: replay knows only the tables as the module declares them, on SQLite, and nothing " +
			"that was added by hand, such as a constraint, nor what only another database refuses")
	}
	if b.Cut() {
		add("the bundle has the first %d of %d events that waited", len(b.Events), b.Waiting)
	}
	if r.options.Module == nil && !b.Module.Tried {
		add("the module of the bundle is not one that the key was tried with")
	}
	if len(b.Redacted) > 0 {
		add("values were redacted: %s", strings.Join(b.Redacted, ", "))
	}
	if len(r.leftOut) > 0 {
		add("rows were left out, since the module does not declare %s", strings.Join(r.leftOut, ", "))
	}
	if r.report.Events < len(b.Events) {
		add("the module asks for %d of the %d events", r.report.Events, len(b.Events))
	}
	if len(r.projection.Queries) == 0 {
		return
	}
	for i := range r.projection.Tables {
		if t := &r.projection.Tables[i]; t.Ownership() != store.Owned {
			add("table %s begins empty: a bundle has no rows of a table that is %s", t.Name, t.Ownership())
		}
	}
}
