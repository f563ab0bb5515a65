package webhook_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/relay/webhook"
	"github.com/pupwasm/pupwasm/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// data has what a decoder of JSON would write in another way.
const data = `{"total": 12345678901234567890.10, "e":1E400 , "note":"<\u00e9>"}`

func message() *store.OutboxMessage {
	return &store.OutboxMessage{Message: store.Message{
		MessageID: store.MessageID{Projection: "shop", Version: 1, Position: 120}, Type: "order_paid",
		Subject: "shop.orders.7.paid", Key: []byte("7"), ContentType: "application/json", Data: []byte(data),
		Time: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
	}}
}

// receiver is a server that remembers requests with their bodies.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	got []received
}

type received struct {
	*http.Request
	body string
}

// serve starts a server that reads each request, and then answers it by a handler.
func serve(t *testing.T, handler http.HandlerFunc) *receiver {
	t.Helper()
	r := unstarted(t, handler)
	r.Start()
	return r
}

func unstarted(t *testing.T, handler http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Errorf("reading a request: %v", err)
		}
		r.mu.Lock()
		r.got = append(r.got, received{request, string(body)})
		r.mu.Unlock()
		handler(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received{}, r.got...)
}

func ok(http.ResponseWriter, *http.Request) {}

func answer(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hang answers nothing for as long as the client waits.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func open(t *testing.T, url string, options webhook.Options) *webhook.Sink {
	t.Helper()
	sink, err := webhook.Open(url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	return sink
}

// secrets has one in each place, all with "hidden" in them.
func secrets() webhook.Options {
	return webhook.Options{Token: "hidden-token", Headers: http.Header{"X-Key": {"Basic hidden-header"}}}
}

const secretPath = "/hooks/hidden-path?key=hidden-query&b=hidden%2Fquery"

// check fails for errors of more than one line, long ones, and those with secrets.
func check(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
		return
	}
	if text := err.Error(); strings.Contains(text, "hidden") || strings.ContainsAny(text, "\n\r\x1b") || len(text) > 1200 {
		t.Errorf("got %q", text)
	}
}

// kind says what a relay does with an error.
func kind(err error) string {
	var refused *relay.RefusedError
	var later *relay.LaterError
	switch {
	case err == nil:
		return "sent"
	case errors.As(err, &refused):
		return "refused"
	case errors.As(err, &later):
		return "after " + later.After.String()
	}
	return "again"
}

func send(t *testing.T, sink *webhook.Sink) error {
	t.Helper()
	return sink.Send(t.Context(), message())
}
