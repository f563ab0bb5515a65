// Package metrics gives Prometheus what a worker does and what the databases say.
//
//	worker.go    counts what segments.Observer tells: of this process, and to be summed over hosts
//	relay.go     counts what relay.Observer tells, likewise
//	database.go  reads status.Report at each scrape: the same on every host
//
// docs/metrics.md has a line for each metric, and a test compares the two. Labels are the names and versions of
// projections, states and policies; no metric has one for a segment, of which there may be thousands.
package metrics

import "github.com/prometheus/client_golang/prometheus"

const namespace = "pupwasm"

// Labels of metrics.
const (
	labelProjection = "projection"
	labelVersion    = "version"
)

// ofProjection are the labels of what is counted for a projection.
var ofProjection = []string{labelProjection, labelVersion}

// seconds are the buckets of durations: from what a small commit takes to what is noticed at night.
var seconds = prometheus.ExponentialBuckets(0.0005, 2.5, 12)
