package cases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// Database makes an empty database with pupwasm's tables. discard closes it and removes it.
type Database func(ctx context.Context) (db store.Store, discard func(), err error)

// SQLite makes databases in a folder.
func SQLite(folder string) Database {
	return func(ctx context.Context) (store.Store, func(), error) {
		own, err := os.MkdirTemp(folder, "case-")
		if err != nil {
			return nil, nil, err
		}
		remove := func() { os.RemoveAll(own) }
		db, err := trial.Open(ctx, filepath.Join(own, "case.db"), sqlite.Options{})
		if err != nil {
			remove()
			return nil, nil, err
		}
		return db, func() { db.Close(); remove() }, nil
	}
}

// Runtimes are those in which the runs of cases are.
type Runtimes struct {
	First *host.Runtime // of the first run of a case, whose logger has the lines of the guest
	Again *host.Runtime // of other runs
	// Elsewhere is for runs in which guests find other random numbers and another time, so that rows which depend on them
	// are found.
	Elsewhere *host.Runtime
}

// NewRuntimes starts them.
//
// # Errors
//
// Those of [host.NewRuntime].
func NewRuntimes(ctx context.Context, options host.Options) (r Runtimes, err error) {
	defer func() {
		if err != nil {
			r.Close(ctx)
		}
	}()
	if r.First, err = host.NewRuntime(ctx, options); err != nil {
		return r, err
	}
	options.Logger = zerolog.Nop()
	if r.Again, err = host.NewRuntime(ctx, options); err != nil {
		return r, err
	}
	options.Environment = host.Environment{Random: elsewhereRandom, Wall: elsewhereWall}
	r.Elsewhere, err = host.NewRuntime(ctx, options)
	return r, err
}

// What guests find elsewhere.
const (
	elsewhereRandom = 0x9e3779b97f4a7c15
	elsewhereWall   = 54 * 365 * 24 * time.Hour
)

// Close closes those that have been started.
func (r *Runtimes) Close(ctx context.Context) {
	for _, runtime := range []*host.Runtime{r.First, r.Again, r.Elsewhere} {
		if runtime != nil {
			runtime.Close(ctx)
		}
	}
}

// of is the runtime of a run.
func (r *Runtimes) of(v variation) *host.Runtime {
	switch {
	case v.reference:
		return r.First
	case v.elsewhere:
		return r.Elsewhere
	}
	return r.Again
}

// Module is the module that cases are for.
type Module struct {
	Runtimes Runtimes
	File     string // its name
	Wasm     []byte
	Settings host.Settings
	Database Database
}

// outcome is what a run has made.
type outcome struct {
	projection *store.Projection
	global     bool // all events are in one order, which one segment has
	// stopped says that the projection stopped at a fault. Nothing of the batch with the fault is applied then, and other
	// segments are wherever they are: only with one event in a batch and one segment there are the same rows each time.
	stopped bool
	tables  []tableRows
	sent    trial.Sent

	mu     sync.Mutex
	faults []fault // by event
}

// tableRows is the rows of a table or a view.
type tableRows struct {
	table store.Table
	view  bool
	rows  [][]store.Value
}

// fault is an event that failed.
type fault struct {
	at    int // index of the event; -1 where it is not known
	error string
}

// run runs the module over the events of a case.
func (m *Module) run(ctx context.Context, c *Case, v variation) (o *outcome, err error) {
	db, discard, err := m.Database(ctx)
	if err != nil {
		return nil, fmt.Errorf("making a database for the case: %w", err)
	}
	defer discard()
	o = &outcome{}
	log := trial.NewLog(c.Events)
	for _, end := range append(slices.Clone(v.ends), len(c.Events)) {
		own := m.Settings
		own.Instances = v.instances
		module, err := m.Runtimes.of(v).LoadWith(ctx, m.File, m.Wasm, own)
		if err != nil {
			return nil, err
		}
		o.projection, o.global = &module.Description.Projection, module.Description.Order == store.OrderGlobal
		beside := settings.WorkerOptions(module)
		batch := v.batch
		if beside.BatchEvents > 0 {
			batch = min(batch, beside.BatchEvents)
		}
		_, err = trial.Apply(ctx, db, module, log.First(end), trial.Options{
			Segments: v.segments, BatchEvents: batch, Logger: zerolog.Nop(), Faulted: o.faulted(c), OnError: beside.OnError,
			Sent: &o.sent,
		})
		var failed *segments.FailedError
		if errors.As(err, &failed) {
			o.stop(c, failed)
			break // it stays where it stopped
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(o.faults, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
	o.tables, err = tablesOf(ctx, db, o.projection)
	return o, err
}

// faulted notes the events that are skipped, or parked with their keys.
func (o *outcome) faulted(c *Case) func(segments.ObservedEvent) {
	return func(e segments.ObservedEvent) {
		at := slices.IndexFunc(c.Events, func(of store.RecordedEvent) bool { return of.Position == e.Position })
		o.mu.Lock()
		defer o.mu.Unlock()
		if !slices.ContainsFunc(o.faults, func(f fault) bool { return f.at == at }) {
			o.faults = append(o.faults, fault{at: at, error: oneline.Text(e.Reason)})
		}
	}
}

// stop notes the event that a projection stopped at.
func (o *outcome) stop(c *Case, failed *segments.FailedError) {
	f := fault{at: -1, error: oneline.Text(failed.Reason)}
	for i := range c.Events {
		if e := &c.Events[i]; e.Position > failed.Position && o.projection.Subscription.Matches(e.Stream, e.Type) {
			f.at = i
			break
		}
	}
	o.faults, o.stopped = append(o.faults, f), true
}

// tablesOf reads all tables and views, as readers see them.
func tablesOf(ctx context.Context, db store.Store, p *store.Projection) ([]tableRows, error) {
	published, err := db.Published(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	var all []tableRows
	for i := range published.Tables {
		table := &published.Tables[i]
		of := tableRows{table: *table}
		of.view = slices.ContainsFunc(p.Views, func(v store.View) bool { return v.Name == table.Name })
		var rows store.Rows
		if err := db.ReadRows(ctx, store.RowsRequest{Projection: published, Table: table.Name, Ordered: true}, &rows); err != nil {
			return nil, fmt.Errorf("reading %s: %w", table.Name, err)
		}
		for values := range slices.Chunk(rows.Values, max(rows.Width, 1)) {
			of.rows = append(of.rows, values)
		}
		all = append(all, of)
	}
	return all, nil
}
