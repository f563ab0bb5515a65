package otlp_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/internal/tracing/otlp"
	"github.com/pupwasm/pupwasm/internal/tracing/otlp/otlptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines are those of a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func start(t *testing.T, url string) (*otlp.Provider, *lines) {
	t.Helper()
	log := &lines{}
	endpoint, err := otlp.Endpoint(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := otlp.Start(t.Context(), otlp.Options{
		Endpoint: endpoint, Version: "v1.2.3", Logger: zerolog.New(log).Level(zerolog.InfoLevel),
	})
	if err != nil {
		t.Fatal(err)
	}
	return provider, log
}

// spans makes so many of a name.
func spans(provider *otlp.Provider, name string, count int) {
	for range count {
		_, span := provider.Tracer("test").Start(context.Background(), name)
		span.End()
	}
}

func TestStart_sendsSpans(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret")
	collector := otlptest.Start(t, nil)
	provider, log := start(t, collector.URL)
	spans(provider, "one", 3)
	provider.Close()
	if got := len(collector.Spans("one")); got != 3 {
		t.Errorf("%d spans have come, want 3", got)
	}
	for name, want := range map[string]string{
		"service.name": "pupwasm", "service.version": "v1.2.3", "deployment.environment": "test",
	} {
		if got := collector.Resource(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, r := range collector.Requests() {
		if r.URL.Path != "/v1/traces" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("a request goes to %s, with the headers %v", r.URL, r.Header)
		}
	}
	if log.count("\n") > 0 {
		t.Errorf("the log is %s", log.text.String())
	}
	provider.Close() // a second time does nothing
}

func TestStart_theServiceHasANameOfItsOwn(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "shop-projections")
	collector := otlptest.Start(t, nil)
	provider, _ := start(t, collector.URL)
	spans(provider, "one", 1)
	provider.Close()
	if got := collector.Resource("service.name"); got != "shop-projections" {
		t.Errorf("service.name is %q", got)
	}
}

// TestStart_aCollectorThatIsAwayIsToldOnce has it refuse several requests and take the next.
func TestStart_aCollectorThatIsAwayIsToldOnce(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	collector := otlptest.Start(t, nil)
	collector.Away.Store(true)
	provider, log := start(t, collector.URL)
	defer provider.Close()
	spans(provider, "lost", 1)
	testwait.Until(t, "the log says so", func() bool { return log.count("spans are lost until it does") == 1 })
	collector.Away.Store(false)
	testwait.Until(t, "a span comes again", func() bool {
		spans(provider, "sent", 1)
		return len(collector.Spans("sent")) > 0
	})
	testwait.Until(t, "the log says so again", func() bool { return log.count("takes traces again") == 1 })
	if log.count("spans are lost") != 1 || len(collector.Spans("lost")) > 0 || log.count(`"lost":`) != 1 {
		t.Errorf("the log is %s", log.text.String())
	}
}

// TestStart_nothingWaitsForACollectorThatHangs makes far more spans than the queue holds.
func TestStart_nothingWaitsForACollectorThatHangs(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16")
	release := make(chan struct{})
	collector := otlptest.Start(t, func() { <-release })
	provider, _ := start(t, collector.URL)
	spans(provider, "many", 10_000) // a provider that waited would never come to an end here
	close(release)
	provider.Close()
	if got := len(collector.Spans("many")); got == 0 || got > 64+3*16 {
		t.Errorf("%d spans have come, want those of the queue and of what was under way", got)
	}
}

func TestStart_refusesMalformedAttributes(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "no pair")
	_, err := otlp.Start(t.Context(), otlp.Options{Endpoint: "http://localhost:4318/v1/traces"})
	if err == nil || !strings.Contains(err.Error(), "OTEL_RESOURCE_ATTRIBUTES: ") {
		t.Errorf("the error is %v", err)
	}
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	const (
		general  = "OTEL_EXPORTER_OTLP_ENDPOINT"
		specific = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
		protocol = "OTEL_EXPORTER_OTLP_PROTOCOL"
	)
	for _, c := range []struct {
		name, given string
		variables   map[string]string
		want, fault string
	}{
		{name: "nobody asks"},
		{name: "given", given: "http://c:4318", want: "http://c:4318/v1/traces"},
		{name: "given with a slash", given: "https://c/", want: "https://c/v1/traces"},
		{name: "given with a path", given: "https://c/otlp", want: "https://c/otlp/v1/traces"},
		{name: "given as a whole", given: "https://c/v1/traces", want: "https://c/v1/traces"},
		{name: "given wins", given: "http://c:4318", variables: map[string]string{
			general: "http://d", specific: "http://e", "OTEL_SDK_DISABLED": "true", protocol: "grpc",
		}, want: "http://c:4318/v1/traces"},
		{name: "a variable", variables: map[string]string{general: "http://d:1/"}, want: "http://d:1/v1/traces"},
		{
			name: "that for traces is taken as it is", variables: map[string]string{general: "http://d", specific: "http://e/t"},
			want: "http://e/t",
		},
		{name: "disabled", variables: map[string]string{general: "http://d", "OTEL_SDK_DISABLED": "TRUE"}},
		{name: "no exporter", variables: map[string]string{general: "http://d", "OTEL_TRACES_EXPORTER": "none"}},
		{name: "another exporter", variables: map[string]string{general: "http://d", "OTEL_TRACES_EXPORTER": "zipkin"}},
		{
			name: "several exporters", variables: map[string]string{general: "http://d", "OTEL_TRACES_EXPORTER": "console,otlp"},
			want: "http://d/v1/traces",
		},
		{name: "the protocol there is", variables: map[string]string{
			general: "http://d", protocol: "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
		}, want: "http://d/v1/traces"},
		{
			name: "another protocol", variables: map[string]string{general: "http://d:4317", protocol: "grpc"},
			fault: `the variable OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is not supported: set it to http/protobuf and the ` +
				"endpoint to the collector's port for HTTP, usually 4318, or set OTEL_TRACES_EXPORTER=none to send no traces",
		},
		{name: "no URL", given: "collector:4318", fault: "must be a URL such as http://collector:4318"},
		{name: "another scheme", given: "grpc://c:4317", fault: "must be a URL such as http://collector:4318"},
		{name: "no host", given: "http://:4318", fault: "must be a URL such as http://collector:4318"},
		{name: "a password", given: "http://ann:secret@c", fault: "OTEL_EXPORTER_OTLP_HEADERS"},
		{name: "a question", given: "http://c?x=y", fault: "without ? and #"},
		{
			name: "a variable that is no URL", variables: map[string]string{general: "%"},
			fault: "the variable OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL",
		},
	} {
		got, err := otlp.Endpoint(c.given, func(name string) string { return c.variables[name] })
		if c.fault == "" && (err != nil || got != c.want) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		var setting *otlp.SettingError
		if c.fault != "" && (!errors.As(err, &setting) || !strings.Contains(err.Error(), c.fault) ||
			strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
