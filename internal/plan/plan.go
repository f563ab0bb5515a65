// Package plan says what modules would do to a database, before hosts run them. It changes nothing there.
//
//	plan.go     the report, and what becomes of each module
//	load.go     the modules of a folder, or of one file
//	dry_run.go  modules over the last events of the log, in databases of their own
//	tail.go     the last events of the log
package plan

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// Options says with what modules are compared, and how.
type Options struct {
	Runtime *host.Runtime
	Log     store.Log    // from which events are read
	Tables  store.Tables // of which the state is read
	Dialect store.Dialect
	Events  int            // the most events of a dry run, from the end of the log
	Limits  sqlite.Options // of SQL in a dry run
}

// Kind is what a module would do.
type Kind string

// The kinds.
const (
	New       Kind = "new"        // its tables are made, and built from the first event
	Unchanged Kind = "unchanged"  // it is what ran last
	OtherCode Kind = "other-code" // the version goes on with other code
	Additive  Kind = "additive"   // the same, and columns or indexes are made in place
	Rebuild   Kind = "rebuild"    // a later version is built beside the live one
	Candidate Kind = "candidate"  // its version is built already
	Replaced  Kind = "replaced"   // its version was live before
	Refused   Kind = "refused"    // it would not run
)

// Report is what all modules would do, in order of their files.
type Report struct {
	Modules []Module `json:"modules"`
}

// Count returns how many modules are of a kind.
func (r *Report) Count(kind Kind) (n int64) {
	for i := range r.Modules {
		if r.Modules[i].Kind == kind {
			n++
		}
	}
	return n
}

// Attention returns how many modules are not harmless, besides those that are refused.
func (r *Report) Attention() (n int64) {
	for i := range r.Modules {
		if r.Modules[i].Attention {
			n++
		}
	}
	return n
}

// Module is what one module would do.
type Module struct {
	File       string `json:"file"`
	Projection string `json:"projection,omitempty"` // with Version; empty when the module does not load
	Version    int    `json:"version,omitempty"`
	Kind       Kind   `json:"kind"`
	Reason     string `json:"reason,omitempty"` // of Refused, in one line
	// Attention says that rows become others, or may: a rebuild, or other code whose rows differ or were not compared.
	Attention bool `json:"attention"`
	Live      int  `json:"live_version,omitempty"` // the version that readers see; 0 for none
	// Unused says of New that it replaces the live version, of which nothing is applied.
	Unused bool     `json:"replaces_live,omitempty"`
	Tables []string `json:"tables,omitempty"` // of New
	State  *State   `json:"state,omitempty"`  // of Candidate and Replaced
	// Changes are how the declaration differs from that of the live version, of Rebuild.
	Changes    []store.Change       `json:"changes,omitempty"`
	Columns    []store.NewColumn    `json:"columns,omitempty"` // that would be added, with Indexes that would be made, in place
	Indexes    []store.MissingIndex `json:"indexes,omitempty"`
	Build      *Build               `json:"build,omitempty"` // of New and Rebuild
	DryRun     *DryRun              `json:"dry_run,omitempty"`
	Comparison *Comparison          `json:"comparison,omitempty"` // of other code
}

// State is how far an installed version is.
type State struct {
	Behind  int64  `json:"behind"` // positions
	Failure string `json:"failure,omitempty"`
}

// Build is what it takes to build the rows from the first event.
type Build struct {
	Events  int64   `json:"events"` // of the log that the module asks for
	Exact   bool    `json:"exact"`  // otherwise Events is an estimate, by how frequent they are at the end of the log
	Seconds float64 `json:"seconds,omitempty"`
}

// Make says what modules would do. It closes them.
//
// # Errors
//
// [store.ErrTransient], [store.ErrNotMigrated], ctx's, and those of the temporary databases. What is wrong with a module
// is in the report.
func Make(ctx context.Context, modules []Loaded, o Options) (*Report, error) {
	folder, err := os.MkdirTemp("", "pupwasm-plan-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the databases: %w", err)
	}
	defer os.RemoveAll(folder)
	p := &planner{Options: o, folder: folder}
	report := &Report{Modules: []Module{}}
	for i, loaded := range modules {
		m, err := p.plan(ctx, loaded)
		if err != nil {
			Close(modules[i+1:])
			return nil, err
		}
		report.Modules = append(report.Modules, *m)
	}
	return report, nil
}

// planner makes one report.
type planner struct {
	Options
	folder string
	number int // of dry runs
}

// plan says what a module would do, and closes it.
func (p *planner) plan(ctx context.Context, loaded Loaded) (*Module, error) {
	m := &Module{File: loaded.File}
	if loaded.Err != nil {
		var settings *host.SettingsError
		var unusable *host.LoadError
		switch {
		case errors.As(loaded.Err, &settings):
			m.Projection, m.Version = settings.Projection.Name, settings.Projection.Version
		case errors.As(loaded.Err, &unusable):
			return m.refuse(errors.New(unusable.Reason)), nil
		}
		return m.refuse(loaded.Err), nil
	}
	module := &tried{Module: loaded.Module}
	defer module.close(ctx)
	id := module.Description.ID()
	m.Projection, m.Version = id.Name, id.Version
	versions, err := p.Tables.Installed(ctx, id.Name)
	if err != nil {
		return nil, err
	}
	status, err := p.Tables.Status(ctx, id.Name)
	if err != nil {
		return nil, err
	}
	outlook, err := versions.Outlook(&module.Description.Projection, p.Dialect, status)
	var misfit *store.CatalogueError
	if errors.As(err, &misfit) {
		return m.refuse(misfit), nil
	}
	if err != nil {
		return nil, err
	}
	if outlook.Live != nil {
		m.Live = outlook.Live.Version
	}
	if outlook.Fate == store.FateKept {
		return m, p.keep(ctx, m, module, outlook, status)
	}
	return m, p.build(ctx, m, module, outlook)
}

// refuse forgets what else was found.
func (m *Module) refuse(reason error) *Module {
	*m = Module{
		File: m.File, Projection: m.Projection, Version: m.Version, Live: m.Live, Kind: Refused, Reason: oneline.Of(reason),
	}
	return m
}

// build says what it takes to build a version.
func (p *planner) build(ctx context.Context, m *Module, module *tried, outlook *store.Outlook) error {
	m.Kind, m.Unused = New, outlook.Fate == store.FateRenewed
	if outlook.Fate == store.FateCandidate {
		m.Kind, m.Changes, m.Attention = Rebuild, outlook.Changes, true
	} else {
		m.Tables = tableNames(&module.Description.Projection)
	}
	last, err := p.last(ctx, &module.Description.Subscription)
	if err != nil {
		return err
	}
	m.Build = &Build{Events: last.inLog, Exact: last.all}
	run, err := p.dryRun(ctx, module, trial.NewLog(last.events), len(last.events))
	if err != nil || p.refused(m, run) {
		return err
	}
	m.DryRun = run
	if run.PerSecond > 0 {
		m.Build.Seconds = float64(last.inLog) / run.PerSecond
	}
	return nil
}

// keep says what other code does with a version that is installed.
func (p *planner) keep(
	ctx context.Context, m *Module, module *tried, outlook *store.Outlook, status []store.ProjectionStatus,
) error {
	m.Kind, m.Columns, m.Indexes = Unchanged, outlook.Columns, outlook.Indexes
	digest, id := "", module.Description.ID()
	if found := store.FindVersion(status, id); found != nil {
		digest, id = found.Code, found.ProjectionID
		if err := p.state(ctx, m, found, store.Stages(status)[found.ProjectionID]); err != nil {
			return err
		}
	}
	if digest != hex.EncodeToString(module.Hash[:]) {
		if m.Kind == Unchanged {
			m.Kind = OtherCode
		}
		if err := p.compare(ctx, m, module, id, digest); err != nil {
			return err
		}
	}
	if len(m.Columns)+len(m.Indexes) > 0 && (m.Kind == Unchanged || m.Kind == OtherCode) {
		m.Kind = Additive
	}
	return nil
}

// state tells a version that readers do not see.
func (p *planner) state(ctx context.Context, m *Module, status *store.ProjectionStatus, stage store.Stage) error {
	switch stage {
	case store.StageCandidate:
		m.Kind = Candidate
	case store.StageReplaced:
		m.Kind = Replaced
	default:
		return nil
	}
	horizon, err := p.Log.Horizon(ctx)
	if err != nil {
		return err
	}
	m.State = &State{}
	for _, s := range status.Segments {
		m.State.Behind = max(m.State.Behind, horizon.Position-s.Position)
		if s.Failure != "" && m.State.Failure == "" {
			m.State.Failure = oneline.Text(s.Failure)
		}
	}
	return nil
}

func tableNames(p *store.Projection) []string {
	names := make([]string, len(p.Tables))
	for i := range p.Tables {
		names[i] = p.Tables[i].Name
	}
	return names
}
