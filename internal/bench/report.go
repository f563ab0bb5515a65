package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
)

// report is everything that a run of the suite found.
type report struct {
	Full      bool              `json:"full"`
	Rounds    int               `json:"rounds"`
	Machine   string            `json:"machine"`
	Workloads []*workloadResult `json:"workloads"`
	Ratios    []ratio           `json:"ratios"`
	Appends   []appendResult    `json:"appends,omitempty"`
	Latencies []latencyResult   `json:"latencies,omitempty"`
	Taxes     []taxResult       `json:"notify_tax,omitempty"`
}

type workloadResult struct {
	Name       string             `json:"name"`
	Title      string             `json:"title"`
	Events     int64              `json:"events"`
	Source     string             `json:"source"`
	Contenders []*contenderResult `json:"contenders"`
}

type contenderResult struct {
	Name    string   `json:"name"`
	Samples []sample `json:"samples"` // one a round
}

// ratio is the median over rounds of the ratios within a round.
type ratio struct {
	Workload string  `json:"workload"`
	Ours     string  `json:"ours"`
	Theirs   string  `json:"theirs"`
	Want     float64 `json:"want"`
	Got      float64 `json:"got"`
	Least    float64 `json:"least"`
	Most     float64 `json:"most"`
}

func (r *report) addWorkload(w *workload) *workloadResult {
	result := &workloadResult{Name: w.name, Title: w.title, Events: w.log.count, Source: w.log.source}
	r.Workloads = append(r.Workloads, result)
	return result
}

func (w *workloadResult) add(contender string, s sample) {
	c := w.contender(contender)
	if c == nil {
		c = &contenderResult{Name: contender}
		w.Contenders = append(w.Contenders, c)
	}
	c.Samples = append(c.Samples, s)
}

func (w *workloadResult) contender(name string) *contenderResult {
	at := slices.IndexFunc(w.Contenders, func(c *contenderResult) bool { return c.Name == name })
	if at < 0 {
		return nil
	}
	return w.Contenders[at]
}

// of returns median, least and most of a figure.
func (c *contenderResult) of(figure func(sample) float64) (median, least, most float64) {
	values := make([]float64, len(c.Samples))
	for i, s := range c.Samples {
		values[i] = figure(s)
	}
	return spread(values)
}

// spread sorts values and returns their median and ends.
func spread(values []float64) (median, least, most float64) {
	slices.Sort(values)
	return values[len(values)/2], values[0], values[len(values)-1]
}

// judge computes the ratios that are asked for, as far as both sides ran.
func (r *report) judge() {
	r.Machine = fmt.Sprintf("%s, %d processors, %s/%s", runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	for _, b := range bars {
		for _, w := range r.Workloads {
			ours, theirs := w.contender(b.ours), w.contender(b.theirs)
			if w.Name != b.workload || ours == nil || theirs == nil {
				continue
			}
			each := make([]float64, min(len(ours.Samples), len(theirs.Samples)))
			for i := range each {
				each[i] = ours.Samples[i].Rate / theirs.Samples[i].Rate
			}
			got, least, most := spread(each)
			r.Ratios = append(r.Ratios, ratio{b.workload, b.ours, b.theirs, b.want, got, least, most})
		}
	}
}

func (r *report) print(to io.Writer) {
	fmt.Fprintf(to, "%s, PostgreSQL with its default settings, fsync on; medians of %d rounds\n", r.Machine, r.Rounds)
	out := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, w := range r.Workloads {
		if len(w.Contenders) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s, %s: %d events, %s\n", w.Name, w.Title, w.Events, w.Source)
		fmt.Fprint(out, "events/s\tleast\tmost\tclient ns/event\tallocs/event\tbytes/event\tstart ms\t  contender\n")
		for _, c := range w.Contenders {
			rate, least, most := c.of(func(s sample) float64 { return s.Rate })
			cpu, _, _ := c.of(func(s sample) float64 { return s.CPUNanos })
			allocs, _, _ := c.of(func(s sample) float64 { return s.Allocs })
			size, _, _ := c.of(func(s sample) float64 { return s.AllocBytes })
			start, _, _ := c.of(func(s sample) float64 { return s.StartSeconds * 1000 })
			fmt.Fprintf(out, "%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.0f\t%.0f\t  %s\n", rate, least, most, cpu, allocs, size, start, c.Name)
		}
		_ = out.Flush()
	}
	r.printRatios(out)
	r.printAppends(out)
	r.printLatencies(out)
	r.printTaxes(out)
}

func (r *report) printRatios(out *tabwriter.Writer) {
	if len(r.Ratios) == 0 {
		return
	}
	fmt.Fprint(out, "\nratios, medians of each round's\ngot\tleast\tmost\twanted\t  of\n")
	for _, of := range r.Ratios {
		mark := ""
		if of.Got < of.Want {
			mark = "  (below)"
		}
		fmt.Fprintf(out, "%.2f\t%.2f\t%.2f\t%.2f\t  %s: %s / %s%s\n", of.Got, of.Least, of.Most, of.Want, of.Workload, of.Ours, of.Theirs, mark)
	}
	_ = out.Flush()
}

func (r *report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
