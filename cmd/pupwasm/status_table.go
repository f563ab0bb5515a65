package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/pupwasm/pupwasm/internal/status"
)

func (o *statusOptions) print(report *status.Report) error {
	o.printHead(report)
	if len(report.Projections) == 0 {
		_, err := fmt.Fprintln(o.out, "no projection is known: 'pupwasm run' installs them")
		return err
	}
	fmt.Fprintln(o.out)
	table := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROJECTION\tVERSION\tSEGMENT\tPOSITION\tBEHIND\tAGE\tSTATE\tOWNER")
	for i := range report.Projections {
		p := &report.Projections[i]
		if !p.Installed {
			fmt.Fprintf(table, "%s\t%d\t-\t-\t-\t-\t%s\t-\n", printable(p.Name), p.Version, status.Refused)
		}
		for i := range p.Segments {
			s := &p.Segments[i]
			owner := printable(s.Owner)
			if owner == "" {
				owner = "-"
			}
			fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n",
				printable(p.Name), p.Version, s.Number, s.Position, behindText(s.Behind), ageText(s.AgeSeconds), s.State, owner)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return o.printReasons(report)
}

func (o *statusOptions) printHead(report *status.Report) {
	switch {
	case report.Head == report.Horizon:
		fmt.Fprintf(o.out, "head %d\n", report.Head)
	case report.HorizonHolder != 0:
		fmt.Fprintf(o.out, "head %d, horizon %d: process %d of the database holds it back by an append that has not ended\n",
			report.Head, report.Horizon, report.HorizonHolder)
	case report.Prepared != "":
		fmt.Fprintf(o.out, "head %d, horizon %d, held back by %s\n", report.Head, report.Horizon, printable(report.Prepared))
	default:
		fmt.Fprintf(o.out, "head %d, horizon %d: an append has not ended\n", report.Head, report.Horizon)
	}
	for _, fault := range report.LogFaults {
		fmt.Fprintf(o.out, "log is not safe: %s\n", printable(fault))
	}
}

// printReasons writes the reasons below the table.
func (o *statusOptions) printReasons(report *status.Report) error {
	var reasons []string
	for i := range report.Projections {
		p := &report.Projections[i]
		for i := range p.Segments {
			s := &p.Segments[i]
			switch {
			case s.LogFault != "":
				reasons = append(reasons, fmt.Sprintf("%s, segment %d: %s", printable(p.Name), s.Number, printable(s.LogFault)))
			case s.Failure != "":
				reasons = append(reasons, fmt.Sprintf("%s, segment %d failed: %s", printable(p.Name), s.Number,
					printable(s.Failure)))
			case s.Trouble != "":
				reasons = append(reasons, fmt.Sprintf("%s, segment %d makes no progress: %s", printable(p.Name), s.Number,
					printable(s.Trouble)))
			}
		}
		if p.Parked > 0 {
			reasons = append(reasons, fmt.Sprintf("%[1]s has %[2]s: 'pupwasm parked list %[1]s'", printable(p.Name),
				count(int64(p.Parked), "parked key")))
		}
		for _, r := range p.Refused {
			reasons = append(reasons, fmt.Sprintf("%s, version %d is refused by worker %s: %s",
				printable(p.Name), r.Version, printable(r.Worker), printable(r.Reason)))
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	fmt.Fprintln(o.out)
	for _, reason := range reasons {
		if _, err := fmt.Fprintln(o.out, reason); err != nil {
			return err
		}
	}
	return nil
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
