package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

const (
	nameUp = "database_up"
	helpUp = "1 when the databases answered this scrape."
)

// readTimeout bounds what a scrape waits for the databases: less than Prometheus waits for the scrape.
const readTimeout = 5 * time.Second

// Database is what the databases say of the log and the projections, read at each scrape. While they do not answer,
// only database_up is there.
type Database struct {
	read func(ctx context.Context) (*status.Report, error)
	held func() time.Duration

	up, head, horizon, heldSeconds, logFaults, workers *prometheus.Desc

	position, live, left, lagEvents, lagSeconds, paused, refused, segments *prometheus.Desc
	parkedKeys, parkedEvents, parkedExhausted                              *prometheus.Desc

	pending, oldest, failedKeys, exhaustedKeys, unsendable, sending *prometheus.Desc
}

// RegisterDatabase registers the metrics that read gives. held tells for how long the horizon has been
// held back.
func RegisterDatabase(
	registry *prometheus.Registry, read func(ctx context.Context) (*status.Report, error),
	held func() time.Duration,
) {
	of := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	registry.MustRegister(&Database{
		read: read, held: held,
		up:          of(nameUp, helpUp),
		head:        of("log_head_position", "The last position of the log."),
		horizon:     of("log_horizon_position", "Projections apply events up to this position."),
		heldSeconds: of("horizon_held_seconds", "For how long an append that has not ended has kept the horizon where it is."),
		logFaults:   of("log_faults", "What somebody changed in the log so that events may be lost."),
		workers:     of("workers", "Hosts with a live lease."),
		position:    of("projection_position", "The checkpoint of the segment that is furthest behind.", ofProjection...),
		live:        of("projection_live", "1 for the version that readers see, 0 for those beside it.", ofProjection...),
		left: of("projection_left_seconds", "About how long the projection takes to catch up, at its speed of the last reports.",
			ofProjection...),
		lagEvents: of("projection_lag_events",
			"Positions between the end of the log and the checkpoint that is furthest behind.", ofProjection...),
		lagSeconds: of("projection_lag_seconds", "For how long the segment that is furthest behind has been behind.",
			ofProjection...),
		paused:          of("projection_paused", "1 while somebody has paused the projection.", ofProjection...),
		refused:         of("projection_refused", "Hosts that refuse the module of the projection.", ofProjection...),
		segments:        of("segments", "Segments by state.", labelProjection, labelVersion, "state"),
		parkedKeys:      of("parked_keys", "Keys that are parked.", ofProjection...),
		parkedEvents:    of("parked_events", "Events that wait for parked keys.", ofProjection...),
		parkedExhausted: of("parked_exhausted", "Parked keys that are not tried again by themselves.", ofProjection...),

		pending: of("outbox_pending", "Messages to be sent, with those that failed and those behind them.", labelProjection),
		oldest: of("outbox_oldest_seconds", "For how long the oldest message that is to be sent has waited.",
			labelProjection),
		failedKeys: of("outbox_failed_keys", "Keys of which a message could not be sent.", labelProjection),
		exhaustedKeys: of("outbox_exhausted_keys", "Keys of which a message could not be sent and is not tried again by itself.",
			labelProjection),
		unsendable: of("outbox_held", "Messages of versions that are not live.", labelProjection),
		sending:    of("outbox_sending", "1 while a host sends the messages of the projection.", labelProjection),
	})
}

// Describe implements [prometheus.Collector].
func (d *Database) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		d.up, d.head, d.horizon, d.heldSeconds, d.logFaults, d.workers, d.position, d.live, d.left, d.lagEvents,
		d.lagSeconds, d.paused, d.refused, d.segments, d.parkedKeys, d.parkedEvents, d.parkedExhausted, d.pending,
		d.oldest, d.failedKeys, d.exhaustedKeys, d.unsendable, d.sending,
	} {
		to <- desc
	}
}

// Collect implements [prometheus.Collector].
func (d *Database) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	gauge := func(of *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, value, labels...)
	}
	report, err := d.read(ctx)
	if err != nil {
		gauge(d.up, 0)
		return
	}
	gauge(d.up, 1)
	gauge(d.head, float64(report.Head))
	gauge(d.horizon, float64(report.Horizon))
	gauge(d.heldSeconds, d.held().Seconds())
	gauge(d.logFaults, float64(len(report.LogFaults)))
	gauge(d.workers, float64(report.Workers))
	for i := range report.Projections {
		d.projection(&report.Projections[i], report.Head, gauge)
	}
	for i := range report.Outbox {
		o := &report.Outbox[i]
		gauge(d.pending, float64(o.Pending), o.Projection)
		gauge(d.oldest, o.OldestSeconds, o.Projection)
		gauge(d.failedKeys, float64(o.FailedKeys), o.Projection)
		gauge(d.exhaustedKeys, float64(o.ExhaustedKeys), o.Projection)
		gauge(d.unsendable, float64(o.Held), o.Projection)
		gauge(d.sending, number(o.RelayLive), o.Projection)
	}
}

// projection gives what is known of one projection. The lag in seconds is left out where no segment's is known.
func (d *Database) projection(
	p *status.Projection, head int64, gauge func(of *prometheus.Desc, value float64, labels ...string),
) {
	labels := []string{p.Name, p.ID().VersionText()}
	gauge(d.refused, float64(len(p.Refused)), labels...)
	if !p.Installed {
		return
	}
	gauge(d.position, float64(p.Position), labels...)
	gauge(d.live, number(p.Stage == store.StageLive), labels...)
	switch {
	case p.LeftSeconds != nil:
		gauge(d.left, *p.LeftSeconds, labels...)
	case p.Done(head) == 1:
		gauge(d.left, 0, labels...)
	}
	gauge(d.lagEvents, float64(max(head-p.Position, 0)), labels...)
	if lag, known := p.Age(); known {
		gauge(d.lagSeconds, lag.Seconds(), labels...)
	}
	gauge(d.paused, number(p.Paused), labels...)
	states := map[status.State]int{}
	for i := range p.Segments {
		states[p.Segments[i].State]++
	}
	for _, state := range status.States {
		gauge(d.segments, float64(states[state]), append(labels, state.Label())...)
	}
	gauge(d.parkedKeys, float64(p.Parked), labels...)
	gauge(d.parkedEvents, float64(p.ParkedEvents), labels...)
	gauge(d.parkedExhausted, float64(p.ParkedExhausted), labels...)
}

// number is 1 for what is so.
func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
