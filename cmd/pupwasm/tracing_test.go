package main_test

import (
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/pupwasm/pupwasm/internal/tracing/otlp/otlptest"
)

// appendRegistrations appends two events of one request, and one of nobody's.
func appendRegistrations(t *testing.T, database string) {
	t.Helper()
	events := filepath.Join(t.TempDir(), "events.jsonl")
	var lines strings.Builder
	for user, more := range map[string]string{
		"u1": `,"metadata":{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}`,
		"u2": `,"trace_id":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"`,
		"u3": `,"metadata":{"traceparent":"'; DROP"}`,
	} {
		lines.WriteString(`{"bounded_context":"Shop","aggregate_type":"User","aggregate_id":"` + user +
			`","event_type":"UserRegistered","payload":{}` + more + "}\n")
	}
	write(t, events, []byte(lines.String()))
	runCommand(t, database, "append", events)
}

// TestRun_sendsTraces has a collector, and one that is not there.
func TestRun_sendsTraces(t *testing.T) {
	t.Parallel()
	database := "sqlite:" + filepath.Join(t.TempDir(), "events.db")
	appendRegistrations(t, database)
	modules := modulesFolder(t, "user_counter")
	collector := otlptest.Start(t, nil)
	if said := runCommand(t, database, "run", "--once", modules, "--segments", "1", "--otlp", collector.URL); !strings.Contains(
		said, `"endpoint":"`+collector.URL+`/v1/traces"`) {
		t.Errorf("the log does not say where traces go: %s", said)
	}
	var links []*tracepb.Span_Link
	for _, span := range collector.Spans("apply user_counter") {
		links = append(links, span.Links...)
	}
	if len(links) != 1 || hex.EncodeToString(links[0].TraceId) != "4bf92f3577b34da6a3ce929d0e0e4736" ||
		hex.EncodeToString(links[0].SpanId) != "00f067aa0ba902b7" {
		t.Errorf("the links are %v", links)
	}
	for _, stage := range []string{"read", "guest", "commit"} {
		if len(collector.Spans(stage)) == 0 {
			t.Errorf("no span of %s has come", stage)
		}
	}

	collector.Away.Store(true)
	again := "sqlite:" + filepath.Join(t.TempDir(), "events.db")
	appendRegistrations(t, again)
	said := runCommand(t, again, "run", "--once", modules, "--otlp", collector.URL)
	if strings.Count(said, "the collector takes no traces") != 1 || !strings.Contains(said, "user_counter: 3 events") {
		t.Errorf("without a collector: %s", said)
	}
}
