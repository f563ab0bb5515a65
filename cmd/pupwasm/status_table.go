package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

// printStatus writes a line that sums up, a table, and the reasons for what is not as it should be. The tables fit 80
// columns. Of one projection the segments are shown too, of each of its versions.
func printStatus(to io.Writer, report *status.Report, one bool) error {
	var b strings.Builder
	fmt.Fprintln(&b, summary(report))
	if len(report.Projections) == 0 {
		b.WriteString("no projection is known: 'pupwasm run' installs them\n")
	} else {
		printProjections(&b, report)
	}
	if one {
		printVersions(&b, report)
	}
	printOutbox(&b, report)
	if lines := reasons(report); len(lines) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(lines, "\n"))
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// summary is the status in one line.
func summary(report *status.Report) string {
	line := "head " + strconv.FormatInt(report.Head, 10)
	if report.Horizon != report.Head {
		line += ", horizon " + strconv.FormatInt(report.Horizon, 10)
	}
	counts, all := map[string]int{}, 0
	for i := range report.Projections {
		if p := &report.Projections[i]; p.Stage == store.StageLive || !p.Installed {
			counts[standing(p)]++
			all++
		}
	}
	if all > 0 {
		line += "; " + count(int64(all), "projection")
	}
	var parts []string
	for _, of := range standings {
		if n := counts[of]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, of))
		}
	}
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	return line + "; " + count(int64(report.Workers), "host")
}

// How projections stand, the best first.
const (
	standsUpToDate = "up to date"
	standsBehind   = "behind"
	standsParked   = "with parked keys"
	standsPaused   = "paused"
	standsIdle     = "without a host"
	standsFailed   = "not working"
)

var standings = []string{standsUpToDate, standsBehind, standsParked, standsPaused, standsIdle, standsFailed}

func standing(p *status.Projection) string {
	switch state := stateOf(p); {
	case state == status.Waiting || state == status.Abandoned:
		return standsIdle
	case state == status.Paused && len(p.Refused) == 0:
		return standsPaused
	case state != status.Running && state != status.Merging && state != status.Held || len(p.Refused) > 0:
		return standsFailed
	case p.Parked > 0:
		return standsParked
	}
	for i := range p.Segments {
		if behind := p.Segments[i].Behind; behind == nil || *behind > 0 {
			return standsBehind
		}
	}
	return standsUpToDate
}

// gravity are the states of segments, the worst first.
var gravity = []status.State{
	status.OtherLog, status.Failed, status.Stalled, status.Refused, status.Abandoned, status.Waiting, status.Paused,
	status.Merging, status.Held, status.Running,
}

// stateOf is the worst state of a projection's segments.
func stateOf(p *status.Projection) status.State {
	worst := len(gravity) - 1
	for i := range p.Segments {
		worst = min(worst, max(slices.Index(gravity, p.Segments[i].State), 0))
	}
	if !p.Installed {
		return status.Refused
	}
	return gravity[worst]
}

func printProjections(to io.Writer, report *status.Report) {
	fmt.Fprintln(to)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROJECTION\tVER\tSEGMENTS\tBEHIND\tAGE\tPARKED\tSTATE")
	for i := range report.Projections {
		p := &report.Projections[i]
		if !p.Installed {
			fmt.Fprintf(table, "%s\t%s\t-\t-\t-\t-\t%s\n", printable(p.Name), p.ID().VersionText(), status.Refused)
			continue
		}
		var behind, age string
		if furthest := furthestBehind(p); furthest != nil {
			behind, age = behindText(furthest.Behind), ageOf(p)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%d\t%s\n", printable(p.Name), p.ID().VersionText(), len(p.Segments),
			cmp.Or(behind, "-"), cmp.Or(age, "-"), p.Parked, stateOf(p))
	}
	_ = table.Flush() // into memory
}

// furthestBehind is the segment whose checkpoint is furthest behind, or nil.
func furthestBehind(p *status.Projection) (furthest *status.Segment) {
	for i := range p.Segments {
		s := &p.Segments[i]
		if s.Behind != nil && (furthest == nil || *s.Behind > *furthest.Behind) {
			furthest = s
		}
	}
	return furthest
}

// ageOf is the age of the segment that has been behind for longest.
func ageOf(p *status.Projection) string {
	age, known := p.Age()
	if !known {
		return "-"
	}
	seconds := age.Seconds()
	return ageText(&seconds)
}

// ownerWidth is how much of a worker's name fits beside the rest.
const ownerWidth = 30

// printVersions prints the segments of a projection, or of each of its versions.
func printVersions(to io.Writer, report *status.Report) {
	for i := range report.Projections {
		p := &report.Projections[i]
		if len(p.Segments) == 0 {
			continue
		}
		if label := report.Label(p); label != p.Name {
			fmt.Fprintf(to, "\n%s", printable(label))
		}
		printSegments(to, p)
	}
}

func printSegments(to io.Writer, p *status.Projection) {
	fmt.Fprintln(to)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SEGMENT\tPOSITION\tBEHIND\tAGE\tSTATE\tOWNER")
	for i := range p.Segments {
		s := &p.Segments[i]
		fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\t%s\n", s.Number, s.Position, behindText(s.Behind),
			ageText(s.AgeSeconds), s.State, cmp.Or(shorten(printable(s.Owner), ownerWidth), "-"))
	}
	_ = table.Flush() // into memory
}

// shorten leaves out the middle of a text that is too long.
func shorten(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	end := (width - 1) / 2
	return string(runes[:width-1-end]) + "…" + string(runes[len(runes)-end:])
}

// reasons say what is not as it should be, each in one line.
func reasons(report *status.Report) (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, fault := range report.LogFaults {
		add("log is not safe: %s", printable(fault.String()))
	}
	switch {
	case report.Head == report.Horizon:
	case report.HorizonHolder != 0:
		add("horizon: process %d of the database holds it back by an append that has not ended", report.HorizonHolder)
	case report.Prepared != "":
		add("horizon: held back by %s", printable(report.Prepared))
	default:
		add("horizon: an append has not ended")
	}
	for i := range report.Projections {
		p := &report.Projections[i]
		name, label := printable(p.Name), printable(report.Label(p))
		if p.LeftSeconds != nil {
			add("%s is catching up, about %s left", label, ageText(p.LeftSeconds))
		}
		switch p.Stage {
		case store.StageLive:
			if p.Rebuild != 0 {
				asked := store.ProjectionID{Version: p.Version, Build: p.Rebuild}
				add("%s: a rebuild is asked for, as version %s, and no host has begun it", label, asked.VersionText())
			}
		case store.StageCandidate:
			add("%s is a candidate, which readers do not see: 'pupwasm versions %s' shows how far it is", label, name)
		case store.StageReplaced:
			add("%s was replaced, and follows in case of a rollback: 'pupwasm retire %s %s' ends that", label, name, p.ID().VersionText())
		}
		for i := range p.Segments {
			switch s := &p.Segments[i]; {
			case s.LogFault != "":
				add("%s, segment %d: %s", label, s.Number, printable(s.LogFault))
			case s.Failure != "":
				add("%s, segment %d failed: %s", label, s.Number, printable(s.Failure))
			case s.Trouble != "":
				add("%s, segment %d makes no progress: %s", label, s.Number, printable(s.Trouble))
			}
		}
		if p.Paused {
			add("%s is paused: 'pupwasm resume %s'", label, name)
		}
		if p.Parked > 0 {
			add("%s has %s: 'pupwasm parked list %s'", label, count(int64(p.Parked), "parked key"), name)
		}
		for _, r := range p.Refused {
			add("%s, version %s is refused by worker %s: %s", name, r.VersionText(), printable(r.Worker), printable(r.Reason))
		}
	}
	for i := range report.Outbox {
		lines = append(lines, outboxReasons(&report.Outbox[i])...)
	}
	return lines
}

func behindText(behind *int64) string {
	if behind == nil {
		return "-"
	}
	return strconv.FormatInt(*behind, 10)
}

// ageText shows a span in its two largest units.
func ageText(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	const day = 24 * time.Hour
	age := time.Duration(min(*seconds, 1e9)) * time.Second
	switch {
	case age >= 100*day:
		return strconv.Itoa(int(age/day)) + "d"
	case age >= day:
		return fmt.Sprintf("%dd%dh", age/day, age%day/time.Hour)
	case age >= time.Hour:
		return fmt.Sprintf("%dh%dm", age/time.Hour, age%time.Hour/time.Minute)
	}
	return age.String()
}
