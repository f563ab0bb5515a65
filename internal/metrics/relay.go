package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pupwasm/pupwasm/relay"
)

// Relay counts what the relay of this process does. It is safe for concurrent use.
type Relay struct {
	sent, failed, parked *prometheus.CounterVec
	latency              *prometheus.HistogramVec
	away                 *prometheus.GaugeVec
}

// NewRelay makes the metrics of a relay, and registers them. outboxMax is the most messages of a projection that may be in
// the outbox; below 0 there is no limit.
func NewRelay(registry *prometheus.Registry, outboxMax int) *Relay {
	m := maker{registry}
	m.gauge("outbox_max", "The most messages of a projection that may be in the outbox, or 0 for no limit.").
		Set(float64(max(outboxMax, 0)))
	return &Relay{
		sent:   m.counters("messages_sent_total", "Messages that their receiver has.", labelProjection),
		failed: m.counters("messages_failed_total", "Tries to send a message that failed.", labelProjection),
		parked: m.counters("messages_exhausted_total", "Messages that are not tried again by themselves.", labelProjection),
		latency: m.histograms("message_latency_seconds",
			"Time from the commit that put a message into the outbox until its receiver has it.", labelProjection),
		away: m.gauges("relay_away", "1 while no message of the projection arrives, of whatever key.", labelProjection),
	}
}

// Observer tells the metrics.
func (r *Relay) Observer() *relay.Observer {
	return &relay.Observer{
		Claimed: func(of relay.ObservedRelay) {
			// So that the first thing that is counted is seen as an increase.
			for _, counters := range []*prometheus.CounterVec{r.sent, r.failed, r.parked} {
				counters.WithLabelValues(of.Projection).Add(0)
			}
			r.latency.WithLabelValues(of.Projection)
			r.away.WithLabelValues(of.Projection).Set(0)
		},
		Released: func(of relay.ObservedRelay) { r.away.DeleteLabelValues(of.Projection) },
		Sent: func(m relay.ObservedMessage) {
			r.sent.WithLabelValues(m.Projection).Inc()
			r.latency.WithLabelValues(m.Projection).Observe(max(m.Latency.Seconds(), 0))
		},
		Failed: func(m relay.ObservedMessage) { r.failed.WithLabelValues(m.Projection).Inc() },
		Parked: func(m relay.ObservedMessage) {
			r.failed.WithLabelValues(m.Projection).Inc()
			r.parked.WithLabelValues(m.Projection).Inc()
		},
		Away: func(o relay.ObservedOutage) { r.away.WithLabelValues(o.Projection).Set(1) },
		Back: func(o relay.ObservedOutage) { r.away.WithLabelValues(o.Projection).Set(0) },
	}
}
