package tracing_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/pupwasm/pupwasm/internal/tracing"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

var segment = segments.SegmentID{Projection: store.ProjectionID{Name: "fines", Version: 2}, Segment: 3}

// record returns an observer, and the spans that it makes.
func record(t *testing.T) (*segments.Observer, func() map[string]sdktrace.ReadOnlySpan) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	return tracing.Observer(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))),
		func() map[string]sdktrace.ReadOnlySpan {
			spans := map[string]sdktrace.ReadOnlySpan{}
			for _, span := range recorder.Ended() {
				if spans[span.Name()] != nil {
					t.Errorf("there are two spans %q", span.Name())
				}
				spans[span.Name()] = span
			}
			return spans
		}
}

// attributes are those of a span as text, in their order.
func attributes(span sdktrace.ReadOnlySpan) string {
	var all []string
	for _, a := range span.Attributes() {
		all = append(all, fmt.Sprintf("%s=%s", strings.TrimPrefix(string(a.Key), "pupwasm."), a.Value.String()))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestObserver_aSpanForEachCommit(t *testing.T) {
	t.Parallel()
	observer, recorded := record(t)
	began := time.Now().Add(-time.Minute)
	cause := store.TraceParent{Trace: [16]byte{1}, Span: [8]byte{2}, Flags: 1}
	observer.Committed(segments.ObservedCommit{
		SegmentID: segment, After: 10, Position: 40, Events: 20, Batches: 2, Rows: 5, Withheld: 3, Skipped: 1,
		Took:    time.Second,
		Read:    segments.ObservedStage{Began: began, Ended: began.Add(time.Second), Busy: 500 * time.Millisecond},
		Applied: segments.ObservedStage{Began: began.Add(time.Second), Ended: began.Add(3 * time.Second), Busy: time.Second},
		Traces:  []store.TraceParent{cause},
	})
	spans := recorded()
	root := spans["apply fines"]
	if len(spans) != 4 || root == nil {
		t.Fatalf("the spans are %v", spans)
	}
	if got := attributes(root); got != "batches=2 events=20 position.after=10 position.through=40 projection=fines "+
		"rows=5 segment=3 skipped=1 version=2 withheld=3" {
		t.Errorf("the attributes are %s", got)
	}
	if root.Parent().IsValid() || root.SpanKind() != trace.SpanKindConsumer || !root.StartTime().Equal(began) ||
		root.Status().Code != codes.Unset {
		t.Errorf("the span is %+v", root)
	}
	if links := root.Links(); len(links) != 1 || links[0].SpanContext.TraceID() != cause.Trace ||
		links[0].SpanContext.SpanID() != cause.Span || !links[0].SpanContext.IsSampled() {
		t.Errorf("the links are %+v", links)
	}
	for name, want := range map[string]struct {
		took time.Duration
		busy string
	}{"read": {time.Second, "0.5"}, "guest": {2 * time.Second, "1"}, "commit": {time.Second, "1"}} {
		stage := spans[name]
		if stage == nil || stage.Parent().SpanID() != root.SpanContext().SpanID() ||
			stage.EndTime().Sub(stage.StartTime()) != want.took || attributes(stage) != "busy_seconds="+want.busy {
			t.Errorf("stage %s is %+v", name, stage)
		}
	}
	if !spans["commit"].EndTime().Equal(root.EndTime()) {
		t.Error("the commit and its span end at two times")
	}
}

func TestObserver_noSpanForACheckpointAlone(t *testing.T) {
	t.Parallel()
	observer, recorded := record(t)
	observer.Committed(segments.ObservedCommit{SegmentID: segment, After: 10, Position: 40})
	if spans := recorded(); len(spans) > 0 {
		t.Errorf("the spans are %v", spans)
	}
	// Events that wait for a parked key are something.
	observer.Committed(segments.ObservedCommit{SegmentID: segment, After: 40, Position: 41, Withheld: 1})
	if spans := recorded(); spans["apply fines"] == nil || spans["guest"] != nil {
		t.Errorf("the spans are %v", spans)
	}
}

func TestObserver_whatFailsIsAnError(t *testing.T) {
	t.Parallel()
	observer, recorded := record(t)
	// What a module says may be any bytes, and any number of them.
	hostile := strings.Repeat("x", 2047) + "\xffä" + strings.Repeat("y", 1<<20)
	cause := store.TraceParent{Trace: [16]byte{1}, Span: [8]byte{2}}
	observer.Faulted(segments.ObservedEvent{
		SegmentID: segment, Key: []byte("ann@example.com"), Position: 41, Policy: store.ErrorPark, Reason: hostile, Trace: cause,
	})
	observer.Failed(segments.ObservedSegment{SegmentID: segment, Position: 40, Err: errors.New(hostile)})
	observer.Retried(segments.ObservedRetry{
		SegmentID: segment, Key: []byte("ann@example.com"), Events: 0, Reason: hostile, Took: time.Second,
		Traces: []store.TraceParent{cause},
	})
	spans := recorded()
	for name, want := range map[string]struct {
		attributes string
		links      int
	}{
		"fault fines": {"policy=park position=41 projection=fines segment=3 version=2", 1},
		"fail fines":  {"position=40 projection=fines segment=3 version=2", 0},
		"retry fines": {"events=0 projection=fines segment=3 version=2", 1},
	} {
		span := spans[name]
		if span == nil {
			t.Fatalf("there is no span %q", name)
		}
		if got := attributes(span); got != want.attributes || len(span.Links()) != want.links {
			t.Errorf("%s has the attributes %s and %d links", name, got, len(span.Links()))
		}
		text := span.Status().Description
		if span.Status().Code != codes.Error || !utf8.ValidString(text) || len(text) > 3000 || !strings.HasPrefix(text, "xxx") {
			t.Errorf("%s has the status %s with a text of %d bytes", name, span.Status().Code, len(text))
		}
		event := span.Events()[0]
		if event.Name != "exception" || !slices.Contains(event.Attributes, attribute.String("exception.message", text)) {
			t.Errorf("%s has the event %+v", name, event)
		}
	}
}

func TestObserver_aRetryThatSucceedsIsNoError(t *testing.T) {
	t.Parallel()
	observer, recorded := record(t)
	observer.Retried(segments.ObservedRetry{SegmentID: segment, Events: 7, Took: time.Second})
	span := recorded()["retry fines"]
	if span.Status().Code != codes.Unset || len(span.Events()) > 0 ||
		span.EndTime().Sub(span.StartTime()) < time.Second {
		t.Errorf("the span is %+v", span)
	}
}

func TestObserver_withoutProviderThereIsNone(t *testing.T) {
	t.Parallel()
	if observer := tracing.Observer(nil); observer != nil {
		t.Errorf("it is %+v", observer)
	}
}
