package metrics_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pupwasm/pupwasm/internal/metrics"
	"github.com/pupwasm/pupwasm/relay"
)

// TestRelay_counts has a relay send, fail, and go away and back.
func TestRelay_counts(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	observer := metrics.NewRelay(registry, -1).Observer()
	of := relay.ObservedRelay{Projection: "shop", Target: "nats://a"}
	message := relay.ObservedMessage{ObservedRelay: of, Latency: time.Second}
	want := func(want map[string]float64) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				got[family.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		for name, value := range want {
			if is, there := got["pupwasm_"+name]; !there || is != value {
				t.Errorf("%s is %v, %t, must be %v", name, is, there, value)
			}
		}
	}
	observer.Claimed(of)
	want(map[string]float64{
		"messages_sent_total": 0, "messages_failed_total": 0, "messages_exhausted_total": 0, "relay_away": 0, "outbox_max": 0,
		"message_latency_seconds": 0,
	})
	observer.Sent(message)
	observer.Sent(message)
	observer.Failed(message)
	observer.Parked(message)
	observer.Away(relay.ObservedOutage{ObservedRelay: of})
	want(map[string]float64{
		"messages_sent_total": 2, "messages_failed_total": 2, "messages_exhausted_total": 1, "relay_away": 1,
		"message_latency_seconds": 2,
	})
	observer.Back(relay.ObservedOutage{ObservedRelay: of})
	want(map[string]float64{"relay_away": 0})
}
