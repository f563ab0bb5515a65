// Package otlptest has a collector for tests, which keeps the spans that it is sent.
package otlptest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector takes spans by OTLP over HTTP.
type Collector struct {
	URL  string
	Away atomic.Bool // it answers with an error that is not worth a repetition

	mu       sync.Mutex
	requests []*http.Request
	spans    []*tracepb.Span
	resource map[string]string // attributes of the last request's resource
}

// Start begins to serve. Before it takes a request it calls hold, unless that is nil.
func Start(t testing.TB, hold func()) *Collector {
	t.Helper()
	c := &Collector{resource: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hold != nil {
			hold()
		}
		if c.Away.Load() {
			http.Error(w, "as the test has it", http.StatusBadRequest)
			return
		}
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil {
			t.Errorf("the collector cannot read a request: %v", err)
		}
		c.take(r, &request)
	}))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *Collector) take(r *http.Request, request *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	for _, resource := range request.ResourceSpans {
		for _, attribute := range resource.Resource.Attributes {
			c.resource[attribute.Key] = attribute.Value.GetStringValue()
		}
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// Spans returns the spans of a name that have come.
func (c *Collector) Spans(name string) (found []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, span := range c.spans {
		if span.Name == name {
			found = append(found, span)
		}
	}
	return found
}

// Resource returns an attribute of whose spans they are.
func (c *Collector) Resource(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resource[name]
}

// Requests returns those that were taken, without their bodies.
func (c *Collector) Requests() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*http.Request(nil), c.requests...)
}
