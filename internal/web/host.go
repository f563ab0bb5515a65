package web

import (
	"cmp"
	"context"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pupwasm/pupwasm/internal/health"
	"github.com/pupwasm/pupwasm/internal/metrics"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// Build is what the program says of itself.
type Build struct{ Version, Revision string }

// Host is one host as it is seen from outside: what its worker does, whether it keeps up, and what the databases say.
type Host struct {
	reader   *Reader
	registry *prometheus.Registry
	worker   *metrics.Worker
	relay    *metrics.Relay
	monitor  *health.Monitor
	build    Build
}

// NewHost prepares a host that reads a log and writes tables, and polls the log as options say.
func NewHost(log store.Log, tables store.Tables, options segments.Options, build Build) *Host {
	pollMax := cmp.Or(options.PollMax, segments.Defaults().PollMax)
	h := &Host{
		reader: NewReader(log, tables), registry: prometheus.NewRegistry(),
		monitor: health.New(log, pollMax), build: build,
	}
	databases := []string{"database"}
	if any(log) != any(tables) {
		databases = []string{"database of the tables", "database of the log"}
	}
	h.worker = metrics.NewWorker(h.registry, pollMax, databases...)
	h.relay = metrics.NewRelay(h.registry, cmp.Or(options.OutboxMax, segments.Defaults().OutboxMax))
	metrics.RegisterProcess(h.registry, build.Version, build.Revision, runtime.Version())
	metrics.RegisterReady(h.registry, func() bool { return len(h.monitor.Reasons(false)) == 0 })
	metrics.RegisterDatabase(h.registry, h.reader.Read, h.monitor.Held)
	return h
}

// Observer is to be told what the worker does.
func (h *Host) Observer() *segments.Observer {
	return segments.JoinObservers(h.worker.Observer(), h.monitor.Observer())
}

// RelayObserver is to be told what its relay does.
func (h *Host) RelayObserver() *relay.Observer { return h.relay.Observer() }

// Handler serves the host. progress is that of its worker, whose projections are the host's. Without a token there are
// no actions.
func (h *Host) Handler(token string, progress func() []segments.Progress) http.Handler {
	own := func() (ids []store.ProjectionID) {
		for _, p := range progress() {
			ids = append(ids, p.Projection)
		}
		return ids
	}
	return New(Options{
		Reader: h.reader, Registry: h.registry, Ready: h.monitor.Reasons, Own: own, Token: token, Version: h.build.Version,
	})
}

// Run watches the host until ctx ends; from then on it is not ready.
func (h *Host) Run(ctx context.Context) {
	h.monitor.Run(ctx)
	h.monitor.Stop()
}
