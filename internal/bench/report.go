package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// report is everything that a run of the suite found.
type report struct {
	full       bool
	rounds     int
	date       string
	machine    string
	postgresql string
	ratios     []ratio
	missing    []string // ratios that a whole run has not measured
	tables     []*table
}

// table is what one part of the suite has measured.
type table struct {
	part    string // its name in JSON
	rowName string // what the rows are
	columns []column

	Title string `json:"title"`
	Rows  []*row `json:"rows"`
}

// column shows the samples of one unit.
type column struct {
	title, unit string
	decimals    int
	show        func(values []float64, decimals int) string
}

// row has the samples of one contender by their units, one a round.
type row struct {
	Name    string               `json:"name"`
	Samples map[string][]float64 `json:"samples"`
}

// sample is what one round has measured, by units.
type sample map[string]float64

// ratio is the median over rounds of the ratios within a round.
type ratio struct {
	Of     string  `json:"of"`
	Want   float64 `json:"want,omitempty"`    // 0 for a ratio that no bar is about
	AtMost bool    `json:"at_most,omitempty"` // Want is an upper bound
	Got    float64 `json:"got"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func (r *report) addTable(part, title, rowName string, columns ...column) *table {
	t := &table{part: part, Title: title, rowName: rowName, columns: columns}
	r.tables = append(r.tables, t)
	return t
}

func (t *table) add(name string, s sample) {
	of := t.row(name)
	if of == nil {
		of = &row{Name: name, Samples: map[string][]float64{}}
		t.Rows = append(t.Rows, of)
	}
	for unit, value := range s {
		of.Samples[unit] = append(of.Samples[unit], value)
	}
}

func (t *table) row(name string) *row {
	at := slices.IndexFunc(t.Rows, func(r *row) bool { return r.Name == name })
	if at < 0 {
		return nil
	}
	return t.Rows[at]
}

// row looks in all tables of a part, of which the workloads have several.
func (r *report) row(part, name string) *row {
	for _, t := range r.tables {
		if t.part != part && !strings.HasPrefix(t.Title, part+", ") {
			continue
		}
		if found := t.row(name); found != nil {
			return found
		}
	}
	return nil
}

// judge computes the ratios as far as both sides ran. It names what a whole run has left out.
func (r *report) judge(bars []bar, whole bool) {
	for _, b := range bars {
		each := b.ratios(r)
		switch {
		case len(each) > 0:
			r.addRatio(b, each)
		case whole && b.want > 0:
			r.missing = append(r.missing, b.String())
		}
	}
}

func (r *report) addRatio(b bar, each []float64) {
	got, least, most := spread(each)
	r.ratios = append(r.ratios, ratio{
		Of: b.String(), Want: b.want, AtMost: b.atMost, Got: got, Least: least, Most: most,
	})
}

func (r ratio) met() bool {
	if r.AtMost {
		return r.Got <= r.Want
	}
	return r.Got >= r.Want
}

// describe notes where and when the figures were taken.
func (r *report) describe(ctx context.Context, e *environment) error {
	r.date = clock.Now().UTC().Format("2006-01-02")
	r.machine = fmt.Sprintf("%d cores, %s, %s/%s", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	conn, err := pgx.Connect(ctx, e.server.DSN)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, "SELECT split_part(current_setting('server_version'), ' ', 1)").Scan(&r.postgresql)
}

func (r *report) writeJSON(path string) error {
	parts := map[string]any{
		"full": r.full, "rounds": r.rounds, "date": r.date, "machine": r.machine, "postgresql": r.postgresql,
		"ratios": r.ratios, "ratios_not_measured": r.missing,
	}
	for _, t := range r.tables {
		tables, _ := parts[t.part].([]*table)
		parts[t.part] = append(tables, t)
	}
	text, err := json.MarshalIndent(parts, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// writeBenchstat writes a line a sample in the format of Go's benchmarks.
func (r *report) writeBenchstat(path string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "goos: %s\ngoarch: %s\npostgresql: %s\n", runtime.GOOS, runtime.GOARCH, r.postgresql)
	word := strings.NewReplacer(" ", "_", ",", "")
	for _, t := range r.tables {
		part := t.part
		if part == partWorkloads {
			part, _, _ = strings.Cut(t.Title, ",")
		}
		for _, of := range t.Rows {
			units := slices.Sorted(maps.Keys(of.Samples))
			for round := range of.Samples[units[0]] {
				fmt.Fprintf(&text, "Benchmark_%s/%s 1", word.Replace(part), word.Replace(of.Name))
				for _, unit := range units {
					fmt.Fprintf(&text, " %g %s", of.Samples[unit][round], unit)
				}
				text.WriteString("\n")
			}
		}
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}
