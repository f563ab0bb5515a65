// Package doctor examines a log, its projections and their hosts, and says what is wrong and what to do about it.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

// Examination is everything that was looked at.
type Examination struct {
	Worst    store.Severity `json:"worst"`
	Findings []Finding      `json:"findings"` // problems first, then warnings
}

// Finding is one thing that was looked at.
type Finding struct {
	Check    string         `json:"check"`
	Severity store.Severity `json:"severity"`
	Finding  string         `json:"finding"`
	Remedy   string         `json:"remedy,omitempty"`
}

// examiner collects findings.
type examiner struct {
	log      store.Log
	tables   store.Tables
	report   *status.Report
	findings []Finding
}

// Examine looks at everything. It returns an error when a database does not answer.
func Examine(ctx context.Context, log store.Log, tables store.Tables) (*Examination, error) {
	e := &examiner{log: log, tables: tables}
	var err error
	if e.report, err = status.Read(ctx, log, tables); err != nil {
		return nil, err
	}
	if err := e.databases(ctx); err != nil {
		return nil, err
	}
	if err := e.horizon(ctx); err != nil {
		return nil, err
	}
	e.logFaults()
	e.projections()
	e.messages()
	if err := e.locks(ctx); err != nil {
		return nil, err
	}
	e.hosts()
	return e.examination(), nil
}

func (e *examiner) examination() *Examination {
	rank := func(s store.Severity) int {
		return slices.Index([]store.Severity{store.SeverityProblem, store.SeverityWarning, store.SeverityOK}, s)
	}
	slices.SortStableFunc(e.findings, func(a, b Finding) int { return rank(a.Severity) - rank(b.Severity) })
	worst := store.SeverityOK
	if len(e.findings) > 0 {
		worst = e.findings[0].Severity
	}
	return &Examination{Worst: worst, Findings: e.findings}
}

func (e *examiner) add(severity store.Severity, check, finding, remedy string) {
	e.findings = append(e.findings, Finding{Check: check, Severity: severity, Finding: finding, Remedy: remedy})
}

func (e *examiner) ok(check, format string, args ...any) {
	e.add(store.SeverityOK, check, fmt.Sprintf(format, args...), "")
}

// databases asks what the drivers know: of the one database, or of both.
func (e *examiner) databases(ctx context.Context) error {
	of := []any{e.tables}
	if any(e.log) != any(e.tables) {
		of = append(of, e.log)
	}
	for i, database := range of {
		diagnoser, is := database.(store.Diagnoser)
		if !is {
			continue
		}
		all, err := diagnoser.Diagnose(ctx)
		if err != nil {
			return err
		}
		which := ""
		if len(of) > 1 {
			which = []string{" of the tables", " of the log"}[i]
		}
		for _, d := range all {
			e.add(d.Severity, d.Check+which, d.Finding, d.Remedy)
		}
	}
	return nil
}

// horizon names what holds it back.
func (e *examiner) horizon(ctx context.Context) error {
	const check = "horizon"
	r := e.report
	missing := r.Head - r.Horizon
	switch {
	case missing == 0:
		e.ok(check, "the log may be read up to its head, %d", r.Head)
	case r.HorizonHolder != 0:
		return e.holder(ctx, missing)
	case r.Prepared != "":
		remedy := "have its transaction manager decide it"
		if diagnoser, is := e.log.(store.Diagnoser); is {
			remedy += ", or run " + diagnoser.EndPrepared()
		}
		e.add(store.SeverityProblem, check, fmt.Sprintf("%s keeps %s from being read", r.Prepared, oneline.Count(missing, "position")),
			remedy)
	default:
		e.add(store.SeverityWarning, check, fmt.Sprintf("an append that has not ended keeps %s from being read",
			oneline.Count(missing, "position")), "wait, and look again")
	}
	return nil
}

// heldLong is from when on an append that holds the horizon back is a problem.
const heldLong = time.Minute

// holder names the process that keeps a number of positions from being read.
func (e *examiner) holder(ctx context.Context, missing int64) error {
	const check = "horizon"
	process, who, open, end := e.report.HorizonHolder, "", time.Duration(0), ""
	if diagnoser, is := e.log.(store.Diagnoser); is {
		var err error
		if who, open, err = diagnoser.DescribeHolder(ctx, process); err != nil {
			return err
		}
		end = diagnoser.EndHolder(process)
	}
	if who == "" {
		e.ok(check, "an append held back %s a moment ago, and has ended", oneline.Count(missing, "position"))
		return nil
	}
	severity := store.SeverityWarning
	if open > heldLong {
		severity = store.SeverityProblem
	}
	since := ""
	if open > 0 {
		since = ", its transaction open for " + open.Round(time.Second).String()
	}
	e.add(severity, check, fmt.Sprintf("process %d keeps %s from being read%s: %s", process,
		oneline.Count(missing, "position"), since, who), fmt.Sprintf("let it commit or roll back; if nobody can, "+
		"run %s, which rolls its append back", end))
	return nil
}

// logFaults tells what somebody changed in the log.
func (e *examiner) logFaults() {
	const check = "log"
	if len(e.report.LogFaults) == 0 {
		e.ok(check, "its sequence, triggers and constraints are as they were made")
	}
	for _, fault := range e.report.LogFaults {
		e.add(store.SeverityProblem, check, fault.Fault, fault.Remedy)
	}
}

// names joins names as a sentence has them.
func names(all []string) string {
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}
