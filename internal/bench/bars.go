package main

import (
	"fmt"
	"slices"
)

// Units that bars are about.
const (
	unitRate     = "events/s"
	unitByKey    = "by-field-events/s"
	unitReads    = "reads/1000-events"
	unitRows     = "rows/event"
	unitNanos    = "ns/event"
	unitP50      = "p50-ms"
	unitP99      = "p99-ms"
	unitMost     = "most-ms"
	unitGCPause  = "longest-gc-pause-ms"
	unitMegabyte = "MB"
)

// bar compares two rows of a part.
type bar struct {
	part, ours, theirs string // theirs is "" for a limit in the unit
	unit, theirUnit    string // theirUnit is "" for the same
	want               float64
	atMost             bool
}

// workloadBars compares rates of contenders.
var workloadBars = []bar{
	{part: "W1", ours: "pupwasm TinyGo n=1000", theirs: "native n=1000", want: 0.95},
	{part: "W1", ours: "pupwasm TinyGo n=1000", theirs: "one SQL statement n=1000", want: 1.25},
	{part: "W1", ours: "pupwasm TinyGo n=1000", theirs: "handler, tuned", want: 10},
	{part: "W1", ours: "pupwasm TinyGo n=1000", theirs: "handler, defaults", want: 200},
	// Commits of the window grow while a projection is far behind.
	{part: "W1", ours: "pupwasm TinyGo, window", theirs: "native n=1000", want: 2},
	{part: "W1", ours: "pupwasm TinyGo, window", theirs: "bare read", want: 0.5},
	{part: "W1", ours: "pupwasm TinyGo, candidate", theirs: "bare read", want: 0.8},
	{part: "W2", ours: "pupwasm TinyGo, candidate", theirs: "COPY, then the key", want: 0.7},
	{part: "W2", ours: "pupwasm TinyGo, candidate", theirs: "bare read"},
	{part: "W3", ours: "pupwasm TinyGo, candidate", theirs: "pupwasm TinyGo, window", want: 1.5},
	{part: "W2", ours: "pupwasm TinyGo n=1000", theirs: "native n=1000", want: 0.95},
	{part: "W3", ours: "pupwasm TinyGo n=1000", theirs: "native n=1000", want: 0.95},
	{part: "W1", ours: "pupwasm Go n=1000", theirs: "pupwasm TinyGo n=1000", want: 0.85},
	{part: "W1", ours: "pupwasm TinyGo n=1000, 4 segments", theirs: "native n=1000, 4 segments", want: 0.85},
}

// bars are all ratios that the report shows, those without a bar too.
func (c config) bars() []bar {
	many, one := projectionsName(manyProjections, nearTheHead), projectionsName(1, nearTheHead)
	bars := slices.Concat(workloadBars, []bar{
		{part: partProjections, ours: many, theirs: one, unit: unitReads, want: 3, atMost: true},
		{part: partProjections, ours: many, theirs: one, unit: unitRows, want: 3, atMost: true},
	})
	for i, way := range partitionWays {
		b := bar{part: partPartitions, ours: way.name, theirs: way.name, unit: unitByKey, theirUnit: unitRate}
		if i == 0 {
			b.want = 0.9
		}
		bars = append(bars, b)
	}
	bars = append(bars,
		bar{
			part: partGrowth, ours: growthName(c.logs[len(c.logs)-1]), theirs: growthName(c.logs[0]),
			unit: unitNanos, want: 1.15, atMost: true,
		},
		bar{
			part: partLatencies, ours: "from idle, " + notified, theirs: "from idle, " + listenLoop,
			unit: unitP99, want: 2, atMost: true,
		},
		bar{part: partLatencies, ours: "1000/s, " + notified, unit: unitP99, want: 3, atMost: true})
	for _, writers := range []int{1, 4, 16} {
		plain := appendName("insert", 1, writers)
		bars = append(bars,
			bar{part: partAppends, ours: plain, theirs: appendName("insert without fence", 1, writers), want: 0.9},
			bar{part: partAppends, ours: appendName("append", 1, writers), theirs: plain})
	}
	bars = append(bars, databaseBars()...)
	return append(bars, bar{
		part: partAppends, ours: appendName("loop in the server", loopLength, 1),
		theirs: appendName("loop in the server without fence", loopLength, 1),
	})
}

// databaseBars compare the databases, and on MariaDB appends with what one would write without them.
func databaseBars() (bars []bar) {
	for _, w := range []string{"W1", "W2"} {
		for _, way := range databaseRuns {
			bars = append(bars, bar{
				part: partDatabases, ours: databaseRowName(w, way.name, onMariaDB),
				theirs: databaseRowName(w, way.name, onPostgres),
			})
		}
	}
	writers := fmt.Sprintf("%d writers", databaseWriters)
	return append(bars, bar{
		part: partDatabases, ours: databaseRowName(writers, "append", onMariaDB),
		theirs: databaseRowName(writers, "insert", onMariaDB), want: 0.7,
	})
}

// ratios are those of each round, and none unless both sides were measured.
func (b bar) ratios(r *report) (each []float64) {
	ours, theirs := r.row(b.part, b.ours), r.row(b.part, b.theirs)
	if ours == nil || theirs == nil && b.theirs != "" {
		return nil
	}
	unit, theirUnit := b.unit, b.theirUnit
	if unit == "" {
		unit = unitRate
	}
	if theirUnit == "" {
		theirUnit = unit
	}
	for i, value := range ours.Samples[unit] {
		switch {
		case theirs == nil:
			each = append(each, value)
		case i < len(theirs.Samples[theirUnit]):
			each = append(each, value/theirs.Samples[theirUnit][i])
		}
	}
	return each
}

// String describes the bar.
func (b bar) String() string {
	unit := ""
	if b.unit != "" {
		unit = ", " + b.unit
	}
	if b.theirs == "" {
		return fmt.Sprintf("%s: %s%s", b.part, b.ours, unit)
	}
	if b.theirUnit != "" {
		return fmt.Sprintf("%s: %s, by a JSON field / by stream", b.part, b.ours)
	}
	return fmt.Sprintf("%s: %s / %s%s", b.part, b.ours, b.theirs, unit)
}

// judged reports whether a bar is about the contender. The short form runs the others once.
func judged(workload, contender string) bool {
	return slices.ContainsFunc(workloadBars, func(b bar) bool {
		return b.part == workload && (b.ours == contender || b.theirs == contender)
	})
}
