package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// Worker counts what the worker of this process does. It is safe for concurrent use.
type Worker struct {
	applied, rows, skipped, withheld *prometheus.CounterVec
	commits                          *prometheus.HistogramVec
	stages                           *prometheus.HistogramVec
	read, readBytes                  prometheus.Counter
	fuel                             *prometheus.CounterVec
	memory                           *prometheus.GaugeVec
	faults, retries                  *prometheus.CounterVec
	parked, unparked, failures       *prometheus.CounterVec
	deadlocks, claims                *prometheus.CounterVec
	polls                            prometheus.Observer
	pollErrors                       prometheus.Counter
	lastPoll, listening              prometheus.Gauge
	away, outboxFull                 *prometheus.GaugeVec
	reconnects                       *prometheus.CounterVec
}

// NewWorker makes the metrics of a worker that polls the log at least every pollMax, and registers them. databases are
// the names that outages are told of.
func NewWorker(registry *prometheus.Registry, pollMax time.Duration, databases ...string) *Worker {
	m := maker{registry}
	w := &Worker{
		applied:    m.counters("events_applied_total", "Events applied and committed.", ofProjection...),
		rows:       m.counters("rows_written_total", "Rows written, after changes to one row were folded into one.", ofProjection...),
		skipped:    m.counters("events_skipped_total", "Events left out for good by on_error: skip.", ofProjection...),
		withheld:   m.counters("events_withheld_total", "Events noted for later because their key is parked.", ofProjection...),
		commits:    m.histograms("commit_duration_seconds", "Time of a commit of rows and checkpoint.", ofProjection...),
		stages:     m.histograms("stage_duration_seconds", "Time of a step of a batch: read, guest or commit.", "stage"),
		read:       m.counter("events_read_total", "Events read from the log, from the database or from memory."),
		readBytes:  m.counter("read_bytes_total", "Bytes of payload and metadata of the events read."),
		fuel:       m.counters("guest_fuel_total", "Fuel that modules used, in units.", ofProjection...),
		memory:     m.gauges("guest_memory_bytes", "Memory of the instance that applied the latest batch.", ofProjection...),
		faults:     m.counters("guest_faults_total", "Events that a projection failed at, by what becomes of them.", labelProjection, labelVersion, "policy"),
		parked:     m.counters("keys_parked_total", "Keys parked.", ofProjection...),
		unparked:   m.counters("keys_unparked_total", "Parked keys of which all events were applied.", ofProjection...),
		retries:    m.counters("parked_retries_total", "Retries of parked keys, by their result: applied or failed.", labelProjection, labelVersion, "result"),
		failures:   m.counters("segment_failures_total", "Segments that failed and wait for 'pupwasm retry'.", ofProjection...),
		deadlocks:  m.counters("deadlocks_total", "Commits repeated after a deadlock.", ofProjection...),
		claims:     m.counters("claims_total", "Segments claimed by this host.", ofProjection...),
		polls:      m.histogram("poll_duration_seconds", "Time of a poll of the horizon."),
		pollErrors: m.counter("poll_errors_total", "Polls of the horizon that failed."),
		lastPoll:   m.gauge("last_poll_timestamp_seconds", "Unix time of the latest poll of the horizon that succeeded."),
		listening: m.gauge("notifications_available",
			"1 while notifications of appends arrive; 0 while the host only polls."),
		outboxFull: m.gauges("outbox_full", "1 while the projection waits until messages are sent, since its outbox is full.",
			ofProjection...),
		away:       m.gauges("db_away", "1 while a database does not answer.", "database"),
		reconnects: m.counters("db_reconnects_total", "Outages of a database that have ended.", "database"),
	}
	m.gauge("poll_max_seconds", "The longest interval between two polls of the horizon.").Set(pollMax.Seconds())
	w.lastPoll.Set(unix(clock.Now())) // so that one that never polls is seen
	for _, database := range databases {
		w.away.WithLabelValues(database).Set(0)
		w.reconnects.WithLabelValues(database).Add(0)
	}
	return w
}

// installed makes the counters of a projection 0, so that the first thing that is counted is seen as an increase.
func (w *Worker) installed(p segments.ObservedProgram) {
	of := segments.SegmentID{Projection: p.Projection}
	for _, counters := range []*prometheus.CounterVec{
		w.applied, w.rows, w.skipped, w.withheld, w.fuel, w.parked, w.unparked, w.failures, w.deadlocks, w.claims,
	} {
		add(counters, of, 0)
	}
	w.outboxFull.WithLabelValues(values(of)...).Set(0)
	for _, policy := range []store.ErrorPolicy{store.ErrorPark, store.ErrorSkip} {
		w.faults.WithLabelValues(append(values(of), string(policy))...).Add(0)
	}
	for _, result := range []string{resultApplied, resultFailed} {
		w.retries.WithLabelValues(append(values(of), result)...).Add(0)
	}
}

// Results of retries.
const (
	resultApplied = "applied"
	resultFailed  = "failed"
)

// Observer tells the metrics.
func (w *Worker) Observer() *segments.Observer {
	return &segments.Observer{
		Installed: w.installed,
		Claimed:   func(s segments.ObservedSegment) { one(w.claims, s.SegmentID) },
		Failed:    func(s segments.ObservedSegment) { one(w.failures, s.SegmentID) },
		Read: func(r segments.ObservedRead) {
			w.read.Add(float64(r.Events))
			w.readBytes.Add(float64(r.Bytes))
			w.stage("read", r.Took)
		},
		Applied:    w.batch,
		Committed:  w.committed,
		Deadlocked: func(s segments.ObservedSegment) { one(w.deadlocks, s.SegmentID) },
		Faulted: func(e segments.ObservedEvent) {
			w.faults.WithLabelValues(append(values(e.SegmentID), string(e.Policy))...).Inc()
		},
		Parked:     func(e segments.ObservedEvent) { one(w.parked, e.SegmentID) },
		Retried:    w.retried,
		OutboxFull: func(o segments.ObservedOutbox) { w.outbox(o, 1) },
		OutboxRoom: func(o segments.ObservedOutbox) { w.outbox(o, 0) },
		Unparked:   func(e segments.ObservedEvent) { one(w.unparked, e.SegmentID) },
		Polled:     w.polled,
		Listening: func(l segments.ObservedListening) {
			w.listening.Set(0)
			if l.Err == nil {
				w.listening.Set(1)
			}
		},
		Away: func(o segments.ObservedOutage) { w.away.WithLabelValues(o.Database).Set(1) },
		Back: func(o segments.ObservedOutage) {
			w.away.WithLabelValues(o.Database).Set(0)
			w.reconnects.WithLabelValues(o.Database).Inc()
		},
	}
}

func (w *Worker) outbox(o segments.ObservedOutbox, full float64) {
	w.outboxFull.WithLabelValues(values(segments.SegmentID{Projection: o.Projection})...).Set(full)
}

func (w *Worker) batch(b segments.ObservedBatch) {
	add(w.fuel, b.SegmentID, b.Fuel)
	if b.MemoryBytes > 0 {
		w.memory.WithLabelValues(values(b.SegmentID)...).Set(float64(b.MemoryBytes))
	}
	w.stage("guest", b.Took)
}

func (w *Worker) committed(c segments.ObservedCommit) {
	add(w.applied, c.SegmentID, int64(c.Events))
	add(w.rows, c.SegmentID, int64(c.Rows))
	add(w.withheld, c.SegmentID, int64(c.Withheld))
	add(w.skipped, c.SegmentID, int64(c.Skipped))
	w.commits.WithLabelValues(values(c.SegmentID)...).Observe(c.Took.Seconds())
	w.stage("commit", c.Took)
}

// retried counts a retry. One that only leaves out an event, as somebody has ordered, tries nothing.
func (w *Worker) retried(r segments.ObservedRetry) {
	add(w.skipped, r.SegmentID, int64(r.Skipped))
	result := resultApplied
	switch {
	case r.Reason != "":
		result = resultFailed
	case r.Events == 0:
		return
	}
	w.retries.WithLabelValues(append(values(r.SegmentID), result)...).Inc()
}

func (w *Worker) polled(p segments.ObservedPoll) {
	if p.Err != nil {
		w.pollErrors.Inc()
		return
	}
	w.polls.Observe(p.Took.Seconds())
	w.lastPoll.Set(unix(clock.Now()))
}

func unix(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

func (w *Worker) stage(stage string, took time.Duration) {
	w.stages.WithLabelValues(stage).Observe(took.Seconds())
}

// values are those of ofProjection.
func values(s segments.SegmentID) []string {
	return []string{s.Projection.Name, s.Projection.VersionText()}
}

func one(counters *prometheus.CounterVec, s segments.SegmentID) { add(counters, s, 1) }

func add(counters *prometheus.CounterVec, s segments.SegmentID, n int64) {
	counters.WithLabelValues(values(s)...).Add(float64(n))
}

// maker makes metrics of the namespace and registers them.
type maker struct{ registry *prometheus.Registry }

func (m maker) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m maker) counter(name, help string) prometheus.Counter {
	return m.counters(name, help).WithLabelValues()
}

func (m maker) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

func (m maker) gauge(name, help string) prometheus.Gauge {
	return m.gauges(name, help).WithLabelValues()
}

func (m maker) histograms(name, help string, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: seconds,
	}, labels)
	m.registry.MustRegister(h)
	return h
}

func (m maker) histogram(name, help string) prometheus.Observer {
	return m.histograms(name, help).WithLabelValues()
}
