package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

// projections looks at each: at its segments, its parked keys, and at who refuses its module.
func (e *examiner) projections() {
	if len(e.report.Projections) == 0 {
		e.ok("projections", "none is installed: 'pupwasm run' installs them")
	}
	for i := range e.report.Projections {
		p, before := &e.report.Projections[i], len(e.findings)
		for j := range p.Segments {
			e.segment(p, &p.Segments[j])
		}
		e.unowned(p)
		e.paused(p)
		e.parked(p)
		for _, r := range p.Refused {
			e.refused(&r, p.Name)
		}
		if len(e.findings) == before {
			e.ok("projections", "%s works, %s", e.report.Label(p), oneline.Count(int64(len(p.Segments)), "segment"))
		}
	}
}

// refused tells of a module that a host refuses. One that is older than what readers see was left in its folder.
func (e *examiner) refused(r *status.Refusal, name string) {
	severity, remedy := store.SeverityProblem, "give it a module that fits, or put the one before it back"
	if slices.ContainsFunc(e.report.Projections, func(p status.Projection) bool {
		return p.Name == name && p.Stage == store.StageLive && p.Version > r.Version
	}) {
		severity, remedy = store.SeverityWarning, "take its file out of the folder of that host"
	}
	e.add(severity, "refused", fmt.Sprintf("host %s refuses version %s of %s: %s", r.Worker, r.VersionText(), name, r.Reason), remedy)
}

func (e *examiner) segment(p *status.Projection, s *status.Segment) {
	at := fmt.Sprintf("%s, segment %d", e.report.Label(p), s.Number)
	switch s.State {
	case status.Failed:
		e.add(store.SeverityProblem, "failed", at+": "+s.Failure, "remove the cause, then 'pupwasm retry "+p.Name+"'")
	case status.Stalled:
		e.add(store.SeverityProblem, "stalled", at+": "+s.Trouble,
			"remove the cause: the host tries it again by itself (docs/errors.md)")
	case status.OtherLog:
		e.add(store.SeverityProblem, "other log", at+": "+s.LogFault,
			"restore the log that the rows were built from, or delete the rows with 'pupwasm reset "+p.Name+"'")
	case status.Running, status.Waiting, status.Refused, status.Abandoned, status.Merging, status.Held,
		status.Paused:
	}
}

// unowned tells of segments that no host has.
func (e *examiner) unowned(p *status.Projection) {
	var waiting, abandoned int
	for i := range p.Segments {
		switch p.Segments[i].State {
		case status.Waiting:
			waiting++
		case status.Abandoned:
			abandoned++
		case status.Running, status.Refused, status.Stalled, status.Merging, status.Held, status.Failed, status.OtherLog,
			status.Paused:
		}
	}
	if waiting > 0 {
		e.waiting(p, waiting)
	}
	if abandoned > 0 {
		severity, remedy := store.SeverityWarning, "other hosts take them over within seconds"
		if len(e.report.Hosts) == 0 {
			severity, remedy = store.SeverityProblem, "no host works: start 'pupwasm run'"
		}
		e.add(severity, "unowned", fmt.Sprintf("the host of %s of %s is gone", oneline.Count(int64(abandoned), "segment"),
			e.report.Label(p)), remedy)
	}
}

// lockedLong is from when on a transaction that does nothing is named: those of hosts that work are shorter.
const lockedLong = time.Second

// locks names who may keep segments without a host from the hosts that would take them.
func (e *examiner) locks(ctx context.Context) error {
	diagnoser, is := e.tables.(store.LockDiagnoser)
	if !is || !slices.ContainsFunc(e.findings, func(f Finding) bool { return f.Check == "unowned" }) {
		return nil
	}
	process, who, open, err := diagnoser.DescribeLocker(ctx)
	if err != nil || who == "" || open < lockedLong {
		return err
	}
	e.add(store.SeverityWarning, "locks", fmt.Sprintf("process %d does nothing and has locked rows in its transaction, open "+
		"for %s: hosts cannot take segments over whose rows it has: %s", process, open.Round(time.Second), who),
		"let it commit or roll back; if nobody can, run "+diagnoser.EndHolder(process)+", which rolls its work back")
	return nil
}

// waiting tells of segments that wait for a host. Of a version that readers do not see, that may be on purpose.
func (e *examiner) waiting(p *status.Projection, segments int) {
	label, severity, remedy := e.report.Label(p), store.SeverityProblem, "start 'pupwasm run' with a folder that has its module"
	switch {
	case label == p.Name: // it has one version
	case p.Stage == store.StageLive:
		label += ", which readers see,"
		remedy += ", or promote a version that runs"
	default:
		label, severity = label+", which readers do not see,", store.SeverityWarning
		remedy = fmt.Sprintf("put its module into the folder of a host to go on with it, or 'pupwasm retire %s %s' deletes it",
			p.Name, p.ID().VersionText())
	}
	e.add(severity, "unowned", fmt.Sprintf("of %s of %s %d without a host",
		oneline.Count(int64(len(p.Segments)), "segment"), label, segments), remedy)
}

// paused tells of a projection that somebody may have forgotten.
func (e *examiner) paused(p *status.Projection) {
	if slices.ContainsFunc(p.Segments, func(s status.Segment) bool { return s.State == status.Paused }) {
		e.add(store.SeverityWarning, "paused", e.report.Label(p)+" is paused, and its rows stay as they are",
			"'pupwasm resume "+p.Name+"' lets it go on")
	}
}

func (e *examiner) parked(p *status.Projection) {
	switch {
	case p.ParkedExhausted > 0:
		e.add(store.SeverityProblem, "parked", fmt.Sprintf("of %s of %s %d will not be tried again by itself; "+
			"waiting: %s", oneline.Count(int64(p.Parked), "parked key"), e.report.Label(p), p.ParkedExhausted,
			oneline.Count(p.ParkedEvents, "event")),
			fmt.Sprintf("'pupwasm parked list %[1]s' says why; give the host a module without the fault, or 'pupwasm parked retry "+
				"%[1]s --all' once the cause is gone", p.Name))
	case p.Parked > 0:
		e.add(store.SeverityWarning, "parked", fmt.Sprintf("%s has %s, tried again automatically; waiting: %s",
			e.report.Label(p), oneline.Count(int64(p.Parked), "parked key"), oneline.Count(p.ParkedEvents, "event")), "'pupwasm parked list "+p.Name+"' says why")
	}
}
