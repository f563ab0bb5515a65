// Package tracing makes OpenTelemetry spans of what a worker does. It knows the API alone: a program that embeds the
// host brings the provider, and the command makes one (package otlp).
//
//	apply fine_balance     a commit, from the first read of its events; linked to the spans that caused them
//	├─ read                from the log
//	├─ guest               by the module, or the function of the application
//	└─ commit              rows and checkpoint
//	fault fine_balance     an event that the projection fails at; linked to the span that caused it
//	retry fine_balance     a commit of events of a parked key
//	fail fine_balance      a segment that stops
//
// docs/tracing.md has the attributes.
package tracing

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

const (
	// linksMax is the most links of a span: many commits are of events of one request each, and a commit of thousands
	// says enough with some of them.
	linksMax = 32
	// reasonBytesMax bounds the text of an error on a span.
	reasonBytesMax = 2048
)

// Observer returns an observer that makes spans, which a provider takes. Without a provider there is none.
func Observer(provider trace.TracerProvider) *segments.Observer {
	if provider == nil {
		return nil
	}
	t := tracer{provider.Tracer("github.com/pupwasm/pupwasm")}
	return &segments.Observer{
		Traces: linksMax, Committed: t.committed, Faulted: t.faulted, Retried: t.retried, Failed: t.failed,
	}
}

type tracer struct{ trace.Tracer }

// committed makes the span of a commit. One that only moves the checkpoint, past events of others, has none.
func (t tracer) committed(c segments.ObservedCommit) {
	if c.Events == 0 && c.Withheld == 0 && c.Skipped == 0 {
		return
	}
	ended := clock.Now()
	writing := segments.ObservedStage{Began: ended.Add(-c.Took), Ended: ended, Busy: c.Took}
	ctx, span := t.start("apply", c.SegmentID, earliest(c.Read.Began, c.Applied.Began, writing.Began), c.Traces,
		attribute.Int64("pupwasm.position.after", c.After),
		attribute.Int64("pupwasm.position.through", c.Position),
		attribute.Int("pupwasm.events", c.Events),
		attribute.Int("pupwasm.batches", c.Batches),
		attribute.Int("pupwasm.rows", c.Rows),
		attribute.Int("pupwasm.withheld", c.Withheld),
		attribute.Int("pupwasm.skipped", c.Skipped),
	)
	t.stage(ctx, "read", c.Read)
	t.stage(ctx, "guest", c.Applied)
	t.stage(ctx, "commit", writing)
	span.End(trace.WithTimestamp(ended))
}

// stage makes the span of a stage, unless there was nothing to do. Several batches become one commit: the span goes from
// the first to the last, and says for how long there was work in between.
func (t tracer) stage(ctx context.Context, name string, stage segments.ObservedStage) {
	if stage.Began.IsZero() {
		return
	}
	_, span := t.Start(ctx, name, trace.WithTimestamp(stage.Began), trace.WithAttributes(
		attribute.Float64("pupwasm.busy_seconds", stage.Busy.Seconds())))
	span.End(trace.WithTimestamp(stage.Ended))
}

// earliest is the first of some times, of which zero ones count for nothing.
func earliest(times ...time.Time) (first time.Time) {
	for _, at := range times {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// faulted makes the span of an event that is going to be skipped or parked with its key. The key may name a person, and
// stays here as far as the reason does not name it.
func (t tracer) faulted(e segments.ObservedEvent) {
	_, span := t.start("fault", e.SegmentID, clock.Now(), []store.TraceParent{e.Trace},
		attribute.Int64("pupwasm.position", e.Position), attribute.String("pupwasm.policy", string(e.Policy)))
	fail(span, e.Reason)
	span.End()
}

// retried makes the span of events of a parked key that were tried again.
func (t tracer) retried(r segments.ObservedRetry) {
	_, span := t.start("retry", r.SegmentID, clock.Now().Add(-r.Took), r.Traces, attribute.Int("pupwasm.events", r.Events))
	fail(span, r.Reason)
	span.End()
}

// failed makes the span of a segment that has failed.
func (t tracer) failed(s segments.ObservedSegment) {
	_, span := t.start("fail", s.SegmentID, clock.Now(), nil, attribute.Int64("pupwasm.position", s.Position))
	fail(span, s.Err.Error())
	span.End()
}

// start begins a trace of its own: a batch has events of many requests, and belongs to none of them.
func (t tracer) start(
	what string, id segments.SegmentID, at time.Time, causes []store.TraceParent, attributes ...attribute.KeyValue,
) (context.Context, trace.Span) {
	if id.Projection.Build != 0 {
		attributes = append(attributes, attribute.Int("pupwasm.build", id.Projection.Build))
	}
	return t.Start(context.Background(), what+" "+id.Projection.Name,
		trace.WithNewRoot(), trace.WithTimestamp(at), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(links(causes)...), trace.WithAttributes(append(attributes,
			attribute.String("pupwasm.projection", id.Projection.Name),
			attribute.Int("pupwasm.version", id.Projection.Version),
			attribute.Int("pupwasm.segment", id.Segment),
		)...))
}

// links are to the spans that caused events.
func links(causes []store.TraceParent) []trace.Link {
	links := make([]trace.Link, 0, len(causes))
	for _, cause := range causes {
		if cause == (store.TraceParent{}) {
			continue
		}
		links = append(links, trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: cause.Trace, SpanID: cause.Span, TraceFlags: trace.TraceFlags(cause.Flags), Remote: true,
		})})
	}
	return links
}

// fail records why something failed, if it did. A reason may have any bytes of a module in it.
func fail(span trace.Span, reason string) {
	if reason == "" {
		return
	}
	reason = strings.ToValidUTF8(reason[:min(len(reason), reasonBytesMax)], "\uFFFD")
	span.AddEvent("exception", trace.WithAttributes(attribute.String("exception.message", reason)))
	span.SetStatus(codes.Error, reason)
}
