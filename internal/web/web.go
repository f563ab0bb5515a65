package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// Options are what a handler serves.
type Options struct {
	Reader   *Reader
	Registry *prometheus.Registry
	// Ready are why the host is not ready; it is when there are none. Details are for those who may read the API.
	Ready func(detailed bool) []string
	// Own are the projections that this host runs, for the lag that /readyz checks.
	Own func() []store.ProjectionID
	// Token is what every request to the API needs. Without one the API has no actions and answers this machine only.
	Token string
	// Version is that of the host.
	Version string
}

// requestTimeout bounds what an answer waits for the databases.
const requestTimeout = 10 * time.Second

type handler struct {
	Options
	token [sha256.Size]byte
	// turn is of the one request to the API that is served: they use connections that leases need too.
	turn chan struct{}
}

// New makes the handler.
func New(options Options) http.Handler {
	h := &handler{
		Options: options, token: sha256.Sum256([]byte(options.Token)), turn: make(chan struct{}, 1),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.index)
	mux.Handle("GET /metrics", h.metrics())
	mux.HandleFunc("GET /healthz", h.health)
	mux.HandleFunc("GET /readyz", h.ready)
	for pattern, serve := range map[string]serve{
		"GET /api/v1/status":                      h.status,
		"GET /api/v1/doctor":                      h.doctor,
		"GET /api/v1/projections/{name}":          h.projection,
		"GET /api/v1/projections/{name}/parked":   h.parked,
		"GET /api/v1/projections/{name}/messages": h.messages,
		"GET /api/v1/projections/{name}/versions": h.versions,
		"GET /api/v1/projections/{name}/diff":     h.diff,
	} {
		mux.HandleFunc(pattern, h.answer(h.mayRead, serve))
	}
	for pattern, serve := range map[string]serve{
		"POST /api/v1/projections/{name}/retry":              h.retry,
		"POST /api/v1/projections/{name}/pause":              h.pause(true),
		"POST /api/v1/projections/{name}/resume":             h.pause(false),
		"POST /api/v1/projections/{name}/promote":            h.promote,
		"POST /api/v1/projections/{name}/rollback":           h.rollback,
		"POST /api/v1/projections/{name}/rebuild":            h.rebuild,
		"POST /api/v1/projections/{name}/retire":             h.retire,
		"POST /api/v1/projections/{name}/parked/{key}/retry": h.order(store.ActionRetry),
		"POST /api/v1/projections/{name}/parked/{key}/skip":  h.order(store.ActionSkip),
		"POST /api/v1/projections/{name}/messages/resend":    h.resendFailed,
		"POST /api/v1/messages/{id}/resend":                  h.resendOne,
		"POST /api/v1/messages/{id}/skip":                    h.skipMessage,
	} {
		mux.HandleFunc(pattern, h.answer(h.mayAct, serve))
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, &statusError{http.StatusNotFound, "there is nothing here: docs/api.md has what there is"})
	})
	return protect(mux)
}

// protect sets what every answer has, and bounds every request.
func protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, bodyBytesMax)
		next.ServeHTTP(w, r)
	})
}

// bodyBytesMax bounds what a request may send.
const bodyBytesMax = 64 << 10

// statusError is an error with the status of its answer.
type statusError struct {
	status int
	text   string
}

// Error returns the text.
func (e *statusError) Error() string { return e.text }

// serve answers a request to the API. ctx bounds what it waits for the databases.
type serve func(ctx context.Context, r *http.Request) (any, error)

// answer serves JSON to those who may.
func (h *handler) answer(may func(*http.Request) error, serve serve) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := may(r); err != nil {
			writeError(w, err)
			return
		}
		ctx, cancel := timeout(r)
		defer cancel()
		select {
		case h.turn <- struct{}{}:
			defer func() { <-h.turn }()
		case <-ctx.Done():
			writeError(w, &statusError{http.StatusServiceUnavailable, "other requests take too long: try again"})
			return
		}
		answer, err := serve(ctx, r)
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, answer)
	}
}

// mayRead lets those in who have the token. Where there is none, everybody on this machine may read. A page of another
// site that a browser on this machine shows is kept out: it gets here by a name of its own. So is who comes through a
// proxy that says so.
func (h *handler) mayRead(r *http.Request) error {
	if h.hasToken(r) || h.Token == "" && isLocal(r.RemoteAddr) && isLocal(r.Host) && !isForwarded(r.Header) {
		return nil
	}
	return h.unauthorized()
}

// isForwarded reports that a proxy has added its headers.
func isForwarded(header http.Header) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if header.Get(name) != "" {
			return true
		}
	}
	return false
}

// mayAct lets those in who have the token. A browser sends it with no request of its own accord.
func (h *handler) mayAct(r *http.Request) error {
	if h.hasToken(r) {
		return nil
	}
	return h.unauthorized()
}

func (h *handler) unauthorized() error {
	if h.Token == "" {
		return &statusError{http.StatusForbidden, "the host has no token, which this needs: start it with --listen-token-file"}
	}
	return &statusError{http.StatusUnauthorized, "this needs the header 'Authorization: Bearer TOKEN' with the host's token"}
}

func (h *handler) hasToken(r *http.Request) bool {
	token, is := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	given := sha256.Sum256([]byte(token))
	return is && h.Token != "" && subtle.ConstantTimeCompare(given[:], h.token[:]) == 1
}

// isLocal reports that an address is one of this machine: localhost or a loopback address, with or without a port.
func isLocal(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value) // the client has gone
}

// writeError answers with an error in one line.
func writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var known *statusError
	var input *store.InputError
	switch {
	case errors.As(err, &known):
		status = known.status
	case errors.As(err, &input):
		status = http.StatusBadRequest
	case errors.Is(err, store.ErrTransient):
		status = http.StatusServiceUnavailable
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="pupwasm"`)
	}
	writeJSON(w, status, map[string]string{"error": oneline.Of(err)})
}
