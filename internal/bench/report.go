package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// report is everything that a run of the suite found.
type report struct {
	Full        bool                 `json:"full"`
	Rounds      int                  `json:"rounds"`
	Date        string               `json:"date"`
	Machine     string               `json:"machine"`
	PostgreSQL  string               `json:"postgresql"`
	Ratios      []ratio              `json:"ratios"`
	Missing     []string             `json:"ratios_not_measured,omitempty"`
	Workloads   []*workloadResult    `json:"workloads"`
	Appends     []appendResult       `json:"appends,omitempty"`
	Latencies   []latencyResult      `json:"latencies,omitempty"`
	Neighbours  []*neighbourResult   `json:"neighbours,omitempty"`
	Taxes       []taxResult          `json:"notify_tax,omitempty"`
	Projections []*projectionsResult `json:"projections,omitempty"`
	Partitions  []*partitionResult   `json:"partitions,omitempty"`
	Growth      []*growthResult      `json:"growth,omitempty"`
	Guests      []*guestResult       `json:"guests,omitempty"`
	GuestMemory []*guestMemoryResult `json:"guest_memory,omitempty"`
	ColdStarts  []*coldResult        `json:"cold_starts,omitempty"`
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
	AtMost   bool    `json:"at_most,omitempty"` // what is wanted is the most, and not the least
	Got      float64 `json:"got"`
	Least    float64 `json:"least"`
	Most     float64 `json:"most"`
}

// over takes the ratios of each round.
func (r ratio) over(each []float64) ratio {
	r.Got, r.Least, r.Most = spread(each)
	return r
}

func (r ratio) met() bool {
	if r.AtMost {
		return r.Got <= r.Want
	}
	return r.Got >= r.Want
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

// judge computes the ratios that are asked for, as far as both sides ran. What a whole run has left out is named.
func (r *report) judge(whole bool) {
	for _, b := range bars {
		if !r.judgeBar(b) && whole {
			r.Missing = append(r.Missing, fmt.Sprintf("%s: %s / %s", b.workload, b.ours, b.theirs))
		}
	}
	r.judgeProjections()
	r.judgePartitions()
	r.judgeGrowth()
	r.judgeLatencies()
	r.judgeNeighbours()
	r.judgeAppends()
}

func (r *report) judgeBar(b bar) bool {
	for _, w := range r.Workloads {
		ours, theirs := w.contender(b.ours), w.contender(b.theirs)
		if w.Name != b.workload || ours == nil || theirs == nil {
			continue
		}
		each := make([]float64, min(len(ours.Samples), len(theirs.Samples)))
		for i := range each {
			each[i] = ours.Samples[i].Rate / theirs.Samples[i].Rate
		}
		r.Ratios = append(r.Ratios, ratio{Workload: b.workload, Ours: b.ours, Theirs: b.theirs, Want: b.want}.over(each))
		return true
	}
	return false
}

// describe notes where and when the figures were taken.
func (r *report) describe(ctx context.Context, e *environment) error {
	r.Date = clock.Now().UTC().Format("2006-01-02")
	r.Machine = fmt.Sprintf("%d cores, %s, %s/%s", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	conn, err := pgx.Connect(ctx, e.server.DSN)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, "SELECT split_part(current_setting('server_version'), ' ', 1)").Scan(&r.PostgreSQL)
}

func (r *report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
