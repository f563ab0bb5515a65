package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// RegisterProcess registers what is known of the process: Go's metrics, the system's, and the build.
func RegisterProcess(registry *prometheus.Registry, version, revision, goVersion string) {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the build of the host.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "go_version": goVersion},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// RegisterStarting registers what is known of the databases before the first of them was reached: that they do not answer.
func RegisterStarting(registry *prometheus.Registry) {
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: nameUp, Help: helpUp,
	}))
}

// RegisterReady registers whether the host is ready.
func RegisterReady(registry *prometheus.Registry, ready func() bool) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: "ready", Help: "1 while the host keeps up with the log, as /readyz says.",
	}, func() float64 { return number(ready()) }))
}
