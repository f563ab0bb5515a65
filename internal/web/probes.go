package web

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pupwasm/pupwasm/internal/metrics"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

const indexText = `pupwasm %s

/metrics         for Prometheus
/healthz         200 while the process lives
/readyz          200 while the host keeps up with the log; /readyz?max-lag=10s also checks the lag of its projections
/api/v1/status   projections and segments as JSON
`

func (h *handler) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, indexText, h.Version)
}

// scrapesMax bounds how many scrapes are served at the same time.
const scrapesMax = 4

func (h *handler) metrics() http.Handler {
	return promhttp.HandlerFor(h.Registry, promhttp.HandlerOpts{
		Registry: h.Registry, MaxRequestsInFlight: scrapesMax, EnableOpenMetrics: true,
	})
}

func (h *handler) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n") // the client has gone
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"` // why not
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	maxLag, err := maxLagOf(r.URL.Query())
	if err != nil {
		writeError(w, err)
		return
	}
	answer := readiness{Reasons: []string{}}
	for _, reason := range h.Ready(h.mayRead(r) == nil) {
		answer.Reasons = append(answer.Reasons, oneline.Text(reason))
	}
	if maxLag > 0 && len(answer.Reasons) == 0 {
		answer.Reasons = append(answer.Reasons, h.lagging(r, maxLag)...)
	}
	answer.Ready = len(answer.Reasons) == 0
	code := http.StatusOK
	if !answer.Ready {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, answer)
}

func maxLagOf(query url.Values) (time.Duration, error) {
	text := query.Get("max-lag")
	if text == "" {
		return 0, nil
	}
	maxLag, err := time.ParseDuration(text)
	if err != nil || maxLag <= 0 {
		return 0, &statusError{http.StatusBadRequest, fmt.Sprintf("max-lag %.40q must be a time above 0, such as 10s", text)}
	}
	return maxLag, nil
}

// lagging are the projections of this host that are further behind than they may be.
func (h *handler) lagging(r *http.Request, maxLag time.Duration) (reasons []string) {
	ctx, cancel := timeout(r)
	defer cancel()
	report, err := h.Reader.Read(ctx)
	if err != nil {
		if h.mayRead(r) != nil {
			return []string{"the lag is not known: the databases do not answer"}
		}
		return []string{"the lag is not known: " + oneline.Of(err)}
	}
	own := h.Own()
	for i := range report.Projections {
		p := &report.Projections[i]
		// A pause is somebody's wish, and readers see the live version only.
		if !slices.Contains(own, p.ID()) || p.Paused || p.Stage != store.StageLive {
			continue
		}
		if reason := behind(p, report.Label(p), maxLag); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return reasons
}

// behind says that a segment of a projection, by its label, is further behind than it may be. One of another log
// counts.
func behind(p *status.Projection, label string, maxLag time.Duration) string {
	for i := range p.Segments {
		switch s := &p.Segments[i]; {
		case s.LogFault != "":
			return fmt.Sprintf("projection %s, segment %d: %s", label, s.Number, s.LogFault)
		case s.AgeSeconds != nil && *s.AgeSeconds > maxLag.Seconds():
			return fmt.Sprintf("projection %s, segment %d has been behind for %s, max-lag is %s", label, s.Number,
				time.Duration(*s.AgeSeconds)*time.Second, maxLag)
		}
	}
	return ""
}

// Starting serves a host that has no database yet: it lives, and is not ready.
func Starting(build Build) http.Handler {
	starting := &handler{Options: Options{
		Ready: func(bool) []string { return []string{"the host starts"} }, Registry: prometheus.NewRegistry(),
	}}
	metrics.RegisterProcess(starting.Registry, build.Version, build.Revision, runtime.Version())
	metrics.RegisterReady(starting.Registry, func() bool { return false })
	metrics.RegisterStarting(starting.Registry)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", starting.health)
	mux.HandleFunc("GET /readyz", starting.ready)
	mux.Handle("GET /metrics", starting.metrics())
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, &statusError{http.StatusServiceUnavailable, "the host starts"})
	})
	return protect(mux)
}
