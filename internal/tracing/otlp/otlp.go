// Package otlp sends spans to an OpenTelemetry collector, by OTLP over HTTP.
//
// The work never waits for the collector: spans wait in a queue of bounded length, and those that find it full are lost.
package otlp

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/pupwasm/pupwasm/internal/oneline"
)

// Options configures a provider. What they leave open is said by the variables OTEL_… of the specification: headers,
// certificates, compression, time limits, the sampler, the queue and the attributes of the resource.
type Options struct {
	Endpoint string // a URL that [Endpoint] has returned
	Version  string // of the command
	Logger   zerolog.Logger
}

// Provider makes tracers whose spans are sent.
type Provider struct {
	trace.TracerProvider
	sdk *sdktrace.TracerProvider
}

const (
	// flushTime bounds how long Close waits for the collector.
	flushTime = 5 * time.Second
	// Of a request that the collector asks to repeat.
	retryFirst = time.Second
	retryMax   = 5 * time.Second
	retryTime  = 20 * time.Second
	// responseBytesMax bounds what is read of a response, and reasonBytesMax what is logged of an error.
	responseBytesMax = 64 << 10
	reasonBytesMax   = 500
)

// Start makes a provider. It does not wait for the collector, which may come later. There is one in a process: what the
// SDK itself has to say goes to its logger.
//
// # Errors
//
// Of a variable OTEL_… that is malformed.
func Start(ctx context.Context, options Options) (*Provider, error) {
	log := options.Logger
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Debug().Err(err).Msg("tracing") }))
	otel.SetLogger(funcr.New(func(_, args string) { log.Warn().Str("details", args).Msg("tracing") }, funcr.Options{}))
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(
		attribute.String("service.name", "pupwasm"), attribute.String("service.version", options.Version),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	client, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(options.Endpoint),
		otlptracehttp.WithMaxResponseSize(responseBytesMax), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: retryFirst, MaxInterval: retryMax, MaxElapsedTime: retryTime,
		}))
	if err != nil {
		return nil, fmt.Errorf("sending traces to %s: %w", options.Endpoint, err)
	}
	sdk := sdktrace.NewTracerProvider(sdktrace.WithResource(about),
		sdktrace.WithBatcher(&exporter{SpanExporter: client, logger: log, endpoint: options.Endpoint}))
	return &Provider{TracerProvider: sdk, sdk: sdk}, nil
}

// Close sends what is left, for some seconds at most, and ends the provider.
func (p *Provider) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	_ = p.sdk.Shutdown(ctx) // the exporter has logged what is lost
}

// exporter logs when a collector takes no spans, and when it does again: once each.
type exporter struct {
	sdktrace.SpanExporter
	logger   zerolog.Logger
	endpoint string

	mu   sync.Mutex
	away bool
	lost int // spans, since it takes none
}

// ExportSpans sends spans. Those that cannot be sent are lost, which is no error for the caller.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err != nil:
		e.lost += len(spans)
		if !e.away {
			e.away = true
			text := oneline.Of(err)
			text = strings.ToValidUTF8(text[:min(len(text), reasonBytesMax)], "\uFFFD")
			e.logger.Warn().Str("endpoint", e.endpoint).Str("error", text).
				Msg("the collector takes no traces: spans are lost until it does, the work goes on")
		}
	case e.away:
		e.logger.Info().Str("endpoint", e.endpoint).Int("lost", e.lost).Msg("the collector takes traces again")
		e.away, e.lost = false, 0
	}
	return nil
}
