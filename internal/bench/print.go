package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// print writes the report for a terminal.
func (r *report) print(to io.Writer) {
	out := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, r.headline())
	r.printTables(out)
}

func (r *report) headline() string {
	form := "short form"
	if r.Full {
		form = "full form"
	}
	return fmt.Sprintf("%s, PostgreSQL %s with its default settings, fsync on; %s of %s, medians of %d rounds (least–most)",
		r.Machine, r.PostgreSQL, form, r.Date, r.Rounds)
}

// printTables writes all tables: a title, the heads of the columns, rows. Cells end with a tab, and what follows the last tab names the
// row.
func (r *report) printTables(out *tabwriter.Writer) {
	r.printRatios(out)
	r.printWorkloads(out)
	r.printProjections(out)
	r.printPartitions(out)
	r.printGrowth(out)
	r.printGuests(out)
	r.printColdStarts(out)
	r.printAppends(out)
	r.printLatencies(out)
	r.printNeighbours(out)
	r.printTaxes(out)
}

func (r *report) printRatios(out *tabwriter.Writer) {
	if len(r.Ratios) == 0 {
		return
	}
	fmt.Fprint(out, "\nratios, medians of each round's\ngot\twanted\tmet\t  of\n")
	for _, of := range r.Ratios {
		met, name, bound := "yes", of.Ours+" / "+of.Theirs, "≥"
		if !of.met() {
			met = "no"
		}
		if of.AtMost {
			bound = "≤"
		}
		if of.Workload != "" {
			name = of.Workload + ": " + name
		}
		fmt.Fprintf(out, "%.2f (%.2f–%.2f)\t%s %g\t%s\t  %s\n", of.Got, of.Least, of.Most, bound, of.Want, met, name)
	}
	_ = out.Flush()
	for _, name := range r.Missing {
		fmt.Fprintf(out, "Not measured in this run: %s.\n", name)
	}
	_ = out.Flush()
}

func (r *report) printWorkloads(out *tabwriter.Writer) {
	for _, w := range r.Workloads {
		if len(w.Contenders) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s, %s: %s events, %s\n", w.Name, w.Title, thousands(float64(w.Events), 0), w.Source)
		fmt.Fprint(out, "events/s\tclient CPU ns/event\tallocs/event\tbytes/event\tclient peak MiB\tstart ms\t  contender\n")
		for _, c := range w.Contenders {
			start := "–"
			if c.Samples[0].StartSeconds > 0 {
				start = figure(c.Samples, 0, func(s sample) float64 { return s.StartSeconds * 1000 })
			}
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t  %s\n",
				figures(c.Samples, 0, func(s sample) float64 { return s.Rate }),
				figure(c.Samples, 0, func(s sample) float64 { return s.CPUNanos }),
				figure(c.Samples, 2, func(s sample) float64 { return s.Allocs }),
				figure(c.Samples, 0, func(s sample) float64 { return s.AllocBytes }),
				figure(c.Samples, 0, func(s sample) float64 { return s.PeakBytes / (1 << 20) }), start, c.Name)
		}
		_ = out.Flush()
	}
}
