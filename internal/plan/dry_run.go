package plan

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/internal/trial"
	"github.com/pupwasm/pupwasm/store"
)

// DryRun is a module over the last events of the log, from empty tables on.
type DryRun struct {
	Events    int     `json:"events"`
	PerSecond float64 `json:"events_per_second,omitempty"` // here, on SQLite
	// Failure says why it ended before the last event, in one line; empty when it did not.
	Failure string       `json:"failure,omitempty"`
	Failing int          `json:"failing_keys,omitempty"` // of which an event failed
	First   *trial.Fault `json:"first_failing,omitempty"`

	refusal error // why SQLite does not accept it
	result  *trial.Result
}

// Comparison is what other code does differently, over the last events of the log that one of the two asks for, from
// empty tables on.
type Comparison struct {
	Unknown string `json:"not_compared,omitempty"` // why there is no comparison; the rest is zero then
	// CodeUnknown says that it may be the same code: nobody knows what ran last.
	CodeUnknown bool               `json:"code_unknown,omitempty"`
	Rows        int64              `json:"rows"`
	Differ      int64              `json:"differ"` // of Rows
	Tables      []trial.Difference `json:"tables,omitempty"`
	// Keys of which an event fails now and did not, and the other way round. Rows of theirs may differ for it.
	Failing int          `json:"failing_keys,omitempty"`
	First   *trial.Fault `json:"first_failing,omitempty"` // of Failing
	Passing int          `json:"passing_keys,omitempty"`
}

// Same reports that the code does the same, as far as that was tried.
func (c *Comparison) Same() bool {
	return c.Unknown == "" && c.Differ == 0 && c.Failing == 0 && c.Passing == 0
}

// tried is a module that may be given to a dry run, which closes it.
type tried struct {
	*host.Module
	given bool
}

func (t *tried) close(ctx context.Context) {
	if !t.given {
		t.Module.Close(context.WithoutCancel(ctx))
	}
}

// dryRun runs a module over events, of which there are some number. It fails only when ctx ends.
func (p *planner) dryRun(ctx context.Context, module *tried, log *trial.Log, events int) (*DryRun, error) {
	p.number++
	module.given = true
	run := &DryRun{Events: events}
	result, err := trial.Run(ctx, module.Module, log, trial.Options{
		Path: filepath.Join(p.folder, fmt.Sprintf("%d.db", p.number)), Limits: p.Limits, ParkAll: true,
		BatchEvents: settings.WorkerOptions(module.Module).BatchEvents,
	})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		if run.refusal = trial.Refused(err); run.refusal != nil {
			err = fmt.Errorf("SQLite, on which it is tried, does not accept it: %w", run.refusal)
		}
		run.Failure = oneline.Of(err)
		return run, nil
	}
	for i := range result.Faults {
		result.Faults[i].Error = oneline.Text(result.Faults[i].Error)
	}
	run.result, run.Failing = result, len(result.Faults)
	if run.Failing > 0 {
		run.First = &result.Faults[0]
	}
	if seconds := result.Took.Seconds(); seconds > 0 {
		run.PerSecond = float64(events) / seconds
	}
	return run, nil
}

// refused makes a module one that is refused when the database would not accept it: dry runs are on SQLite.
func (p *planner) refused(m *Module, run *DryRun) bool {
	if run.refusal == nil || p.Dialect != store.DialectSQLite {
		return false
	}
	m.refuse(run.refusal)
	return true
}

// compare runs what ran a version last and the module over the same events. digest is of the former.
func (p *planner) compare(
	ctx context.Context, m *Module, module *tried, id store.ProjectionID, digest string,
) error {
	m.Comparison, m.Attention = &Comparison{}, true
	before, err := p.before(ctx, m, module, id, digest)
	if err != nil || before == nil {
		return err
	}
	defer before.close(ctx)
	last, err := p.last(ctx, store.UnionOf(&before.Description.Subscription, &module.Description.Subscription))
	if err != nil {
		return err
	}
	log := trial.NewLog(last.events)
	is, err := p.dryRun(ctx, module, log, len(last.events))
	if err != nil || p.refused(m, is) {
		return err
	}
	m.DryRun = is
	was, err := p.dryRun(ctx, before, log, len(last.events))
	switch {
	case err != nil:
		return err
	case is.refusal != nil:
		m.Comparison.Unknown = is.Failure
		return nil
	case is.Failure != "":
		m.Comparison.Unknown = "the module fails: " + is.Failure
		return nil
	case was.Failure != "":
		m.Comparison.Unknown = "what ran it last fails: " + was.Failure
		return nil
	}
	defer os.Remove(was.result.Path)
	defer os.Remove(is.result.Path)
	if err := m.Comparison.of(ctx, was.result, is.result); err != nil {
		return err
	}
	m.Attention = !m.Comparison.Same()
	return nil
}

// of compares what two modules have made of the same events.
func (c *Comparison) of(ctx context.Context, was, is *trial.Result) (err error) {
	if c.Tables, err = trial.Compare(ctx, was, is); err != nil {
		return err
	}
	for _, d := range c.Tables {
		c.Rows, c.Differ = c.Rows+d.Rows, c.Differ+d.Differ
	}
	type fault struct {
		key      string
		position int64
	}
	known := map[fault]bool{}
	for _, f := range was.Faults {
		known[fault{f.Key, f.Position}] = true
	}
	for _, f := range is.Faults {
		if at := (fault{f.Key, f.Position}); known[at] {
			delete(known, at)
			continue
		}
		if c.Failing++; c.First == nil {
			c.First = &f
		}
	}
	c.Passing = len(known)
	return nil
}

// before loads what ran a version last. Where that cannot be, it says why in the comparison and returns nil.
func (p *planner) before(
	ctx context.Context, m *Module, module *tried, id store.ProjectionID, digest string,
) (*tried, error) {
	if digest == "" {
		m.Comparison.CodeUnknown, m.Comparison.Unknown = true, trial.NotKnown
		return nil, nil
	}
	// It was trusted where it ran, and gets the same limits as the one that is compared with it.
	loaded, why, err := trial.Stored(ctx, p.Runtime, p.Tables, id, module.Settings)
	if err != nil || why != "" {
		if err == nil {
			m.Comparison.Unknown = why
		}
		return nil, err
	}
	return &tried{Module: loaded}, nil
}
