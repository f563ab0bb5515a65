package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/plan"
	"github.com/pupwasm/pupwasm/internal/trial"
)

// planPrinter prints a report: a line for each module, and the details of it below, set in.
type planPrinter struct {
	out    io.Writer
	folder string // of the modules
	err    error
}

func (p *planPrinter) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.out, printable(fmt.Sprintf(format, args...)))
	}
}

func (p *planPrinter) detail(format string, args ...any) { p.line("  "+format, args...) }

func (p *planPrinter) print(m *plan.Module) {
	if m.Projection == "" {
		p.line("%s: refused: %s", m.File, m.Reason)
		return
	}
	p.line("%s: %s %d %s", m.File, m.Projection, m.Version, planHeadline(m))
	if m.State != nil && m.State.Failure != "" {
		p.detail("it has failed: %s", m.State.Failure)
	}
	for _, change := range m.Changes {
		p.detail("%s", change)
	}
	if m.Kind == plan.Rebuild && len(m.Changes) == 0 {
		p.detail("its tables are declared as those of version %d", m.Live)
	}
	for _, column := range m.Columns {
		p.detail("column %s is added in place, and is NULL in the rows that are there", column)
	}
	for _, index := range m.Indexes {
		p.detail("index %s is made in place", index)
	}
	if m.Build != nil {
		p.build(m)
	}
	if m.Comparison != nil {
		p.comparison(m)
	}
	if m.Kind == plan.Rebuild {
		p.detail("next: 'pupwasm run %s' builds it, 'pupwasm versions %s' shows how far it is, and 'pupwasm promote %[2]s' "+
			"shows it to readers", p.folder, m.Projection)
	}
}

// planHeadline says what a module would do, behind its name and version.
func planHeadline(m *plan.Module) string {
	otherCode, also := "has other code than what ran it last", ""
	if m.Comparison != nil {
		if m.Comparison.CodeUnknown {
			otherCode = "may have other code than what ran it last"
		}
		also = ", and " + otherCode
	}
	switch m.Kind {
	case plan.New:
		return planNew(m)
	case plan.OtherCode:
		return otherCode
	case plan.Additive:
		return "is additive: only " + planAdded(m) + " new in the database" + also
	case plan.Rebuild:
		return fmt.Sprintf("needs a rebuild: it is built beside version %d, which readers go on to see", m.Live)
	case plan.Candidate:
		return fmt.Sprintf("is a candidate beside version %d, %s%s", m.Live, lagText(m.State.Behind), also)
	case plan.Replaced:
		return fmt.Sprintf("was replaced by version %d, %s%s", m.Live, lagText(m.State.Behind), also)
	case plan.Refused:
		return "is refused: " + m.Reason
	}
	return "is unchanged"
}

// planAdded says what is made in place.
func planAdded(m *plan.Module) string {
	switch {
	case len(m.Indexes) == 0:
		return "columns are"
	case len(m.Columns) == 0:
		return "indexes are"
	}
	return "columns and indexes are"
}

func planNew(m *plan.Module) string {
	made := "it has no tables"
	switch {
	case len(m.Tables) == 1:
		made = "table " + m.Tables[0] + " is made, and built from the first event"
	case len(m.Tables) > 1:
		made = "tables " + strings.Join(m.Tables, ", ") + " are made, and built from the first event"
	}
	if m.Unused {
		made += fmt.Sprintf("; it replaces version %d, of which nothing is applied", m.Live)
	}
	return "is new: " + made
}

func lagText(positions int64) string {
	if positions == 0 {
		return "up to date"
	}
	return count(positions, "position") + " behind"
}

// build tells how much there is to build, and how the dry run went.
func (p *planPrinter) build(m *plan.Module) {
	text := count(m.Build.Events, "event")
	if !m.Build.Exact {
		text = "about " + text
	}
	if m.Build.Seconds > 0 {
		text += fmt.Sprintf("; building takes %s, an estimate by the %s events/s of a dry run over the last %d on this machine",
			aboutText(m.Build.Seconds), twoDigits(m.DryRun.PerSecond), m.DryRun.Events)
	}
	p.detail("%s", text)
	p.failing(m.DryRun.Failing, "in the dry run, which begins with empty tables", m.DryRun.First)
	if m.DryRun.Failure != "" {
		p.detail("the dry run ended early: %s", m.DryRun.Failure)
	}
}

// failing tells of keys of which an event failed, with the first of these events.
func (p *planPrinter) failing(keys int, where string, first *trial.Fault) {
	if keys > 0 {
		p.detail("%s %s: event %d: %s", agree(int64(keys), "key", "fails", "fail"), where, first.Position, first.Error)
	}
}

// agree counts things that do something.
func agree(n int64, noun, does, do string) string {
	if n == 1 {
		return count(n, noun) + " " + does
	}
	return count(n, noun) + " " + do
}

// comparison tells how rows differ.
func (p *planPrinter) comparison(m *plan.Module) {
	c := m.Comparison
	if c.Unknown != "" {
		p.detail("not compared: %s", c.Unknown)
		return
	}
	if m.DryRun.Events == 0 {
		p.detail("nothing to compare: the log has no event that they ask for")
		return
	}
	p.detail("%d of %s: both were run over the last %s, from empty tables on", c.Differ,
		agree(c.Rows, "row", "differs", "differ"), count(int64(m.DryRun.Events), "event"))
	for _, d := range c.Tables {
		if d.Differ > 0 {
			p.detail("table %s: %d of %d differ, such as %s", d.Table, d.Differ, d.Rows, exampleText(d))
		}
	}
	if c.Differ > 0 && (m.Kind == plan.OtherCode || m.Kind == plan.Additive) {
		p.detail("rows that are there stay as they are: 'pupwasm rebuild %s' has all built by this code, beside them", m.Projection)
	}
	p.failing(c.Failing, "that did not", c.First)
	if c.Passing > 0 {
		p.detail("%s no longer", agree(int64(c.Passing), "key", "fails", "fail"))
	}
	p.failing(m.DryRun.Failing-c.Failing, "as before", m.DryRun.First)
}

func exampleText(d trial.Difference) string {
	switch {
	case d.Is == "":
		return shortened(d.Was) + ", which is gone"
	case d.Was == "":
		return shortened(d.Is) + ", which is new"
	}
	return shortened(d.Was) + ", which becomes " + shortened(d.Is)
}

// aboutText is a time as exact as an estimate is.
func aboutText(seconds float64) string {
	switch {
	case seconds < 1:
		return "less than a second"
	case seconds < 2*time.Minute.Seconds():
		return fmt.Sprintf("about %.0f s", seconds)
	case seconds < 2*time.Hour.Seconds():
		return fmt.Sprintf("about %.0f min", seconds/60)
	default:
		return fmt.Sprintf("about %.0f h", seconds/3600)
	}
}

// twoDigits writes a number with two digits that are not 0.
func twoDigits(n float64) string {
	unit := math.Pow(10, max(0, math.Floor(math.Log10(n))-1))
	return fmt.Sprintf("%.0f", math.Round(n/unit)*unit)
}
