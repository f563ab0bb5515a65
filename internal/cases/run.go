package cases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	Logger   zerolog.Logger // of the first run of a case, in which the guest's lines are
}

// outcome is what a run has made.
type outcome struct {
	projection *store.Projection
	global     bool
	tables     []tableRows
	faults     []fault
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
	key   string
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
		batch := v.batch
		if of := settings.WorkerOptions(module).BatchEvents; of > 0 {
			batch = min(batch, of)
		}
		result, err := trial.Apply(ctx, db, module, log.First(end), trial.Options{
			Segments: v.segments, BatchEvents: batch, ParkAll: !o.global, Logger: zerolog.Nop(),
		})
		var failed *segments.FailedError
		switch {
		case errors.As(err, &failed):
			o.stopped(c, failed)
		case err != nil:
			return nil, err
		default:
			o.parked(c, result.Faults)
		}
		if len(o.faults) > 0 && o.global {
			break // it stays where it stopped
		}
	}
	o.tables, err = tablesOf(ctx, db, o.projection)
	return o, err
}

// stopped notes the event that a projection stopped at.
func (o *outcome) stopped(c *Case, failed *segments.FailedError) {
	f := fault{at: -1, error: oneline.Text(failed.Reason)}
	for i := range c.Events {
		if e := &c.Events[i]; e.Position > failed.Position && o.projection.Subscription.Matches(e.Stream, e.Type) {
			f.at = i
			break
		}
	}
	o.faults = []fault{f}
}

// parked notes the events whose keys were parked.
func (o *outcome) parked(c *Case, faults []trial.Fault) {
	o.faults = nil
	for _, f := range faults {
		at := slices.IndexFunc(c.Events, func(e store.RecordedEvent) bool { return e.Position == f.Position })
		o.faults = append(o.faults, fault{at: at, key: f.Key, error: oneline.Text(f.Error)})
	}
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
