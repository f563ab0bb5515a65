package main

import (
	"time"

	"github.com/pupwasm/pupwasm/segments"
)

// onceReport is the JSON form of what 'run --once' has applied of a projection.
type onceReport struct {
	Projection string  `json:"projection"`
	Version    int     `json:"version"`
	Build      int     `json:"build,omitempty"`
	Events     int64   `json:"events"`
	Seconds    float64 `json:"seconds"` // of the whole run
}

// printApplied prints what a run has applied of each projection.
func (o *globalOptions) printApplied(all []segments.Progress, took time.Duration) error {
	reports := make([]onceReport, len(all))
	for i, p := range all {
		id := p.Projection
		reports[i] = onceReport{
			Projection: id.Name, Version: id.Version, Build: id.Build, Events: p.Events, Seconds: took.Seconds(),
		}
		if err := o.say("%s: %s %s", labelOf(p, all), count(p.Events, "event"), rate(p.Events, took)); err != nil {
			return err
		}
	}
	return o.result(reports)
}
