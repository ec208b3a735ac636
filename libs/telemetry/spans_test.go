package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/telemetry"
	"nexus.internal/libs/testkit"
)

// receiver is where spans are sent to.
type receiver func(ctx context.Context) error

func (r receiver) ExportSpans(ctx context.Context, _ []sdktrace.ReadOnlySpan) error { return r(ctx) }

func (receiver) Shutdown(context.Context) error { return nil }

func spansOf(ctx context.Context, n int, to *telemetry.Spans) {
	tracer := telemetry.NewProvider("jobs", "v1", to).Tracer("test")
	for range n {
		_, span := tracer.Start(ctx, "work")
		span.End()
	}
}

// A receiver that refuses, or never answers, costs spans, which are counted, and no
// time of those who make them.
func TestSpansThatNobodyTakes(t *testing.T) {
	t.Parallel()
	const n = 20_000
	t.Run("Refusing", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		spans := telemetry.NewSpans(receiver(func(context.Context) error { return errors.New("no") }), zerolog.New(&log))
		spansOf(t.Context(), n, spans)
		require.NoError(t, spans.Shutdown(t.Context()))
		require.EqualValues(t, n, spans.Dropped())
		require.Zero(t, spans.Sent())
		require.Equal(t, 1, strings.Count(log.String(), "spans cannot be sent"), "%s", log.String())
	})
	t.Run("Hanging", func(t *testing.T) {
		t.Parallel()
		entered := make(chan struct{}, 1)
		spans := telemetry.NewSpans(receiver(func(ctx context.Context) error {
			select {
			case entered <- struct{}{}:
			default:
			}
			<-ctx.Done()
			return ctx.Err()
		}), zerolog.Nop())
		made := make(chan struct{})
		go func() {
			defer close(made)
			spansOf(t.Context(), n, spans)
		}()
		testkit.Receive(t, entered)
		testkit.Receive(t, made)
		require.Positive(t, spans.Dropped(), "there is no room for all of them")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		require.Error(t, spans.Shutdown(ctx))
		require.LessOrEqual(t, spans.Dropped(), int64(n))
	})
	t.Run("Taking", func(t *testing.T) {
		t.Parallel()
		spans := telemetry.NewSpans(receiver(func(context.Context) error { return nil }), zerolog.Nop())
		spansOf(t.Context(), 1000, spans)
		require.NoError(t, spans.Shutdown(t.Context()))
		require.EqualValues(t, 1000, spans.Sent())
		require.Zero(t, spans.Dropped())
	})
}

func TestShareOfTraces(t *testing.T) {
	t.Parallel()
	const n = 2000
	for ratio, within := range map[float64][2]int{0: {0, 0}, 0.25: {n / 5, n * 3 / 10}, 1: {n, n}} {
		exporter := tracetest.NewInMemoryExporter()
		tracer := telemetry.NewSampledProvider("jobs", "v1", sdktrace.NewSimpleSpanProcessor(exporter), ratio).Tracer("test")
		for range n {
			ctx, parent := tracer.Start(t.Context(), "parent")
			_, child := tracer.Start(ctx, "child")
			require.Equal(t, parent.SpanContext().IsSampled(), child.SpanContext().IsSampled(), "a trace is kept whole or not at all")
			parent.End()
		}
		got := len(exporter.GetSpans())
		require.GreaterOrEqual(t, got, within[0], "%g", ratio)
		require.LessOrEqual(t, got, within[1], "%g", ratio)
		// Who calls decides for what they began.
		for flag, sampled := range map[string]bool{"00": false, "01": true} {
			ctx := telemetry.WithTraceParent(t.Context(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"+flag)
			_, span := tracer.Start(ctx, "called")
			require.Equal(t, sampled, span.SpanContext().IsSampled())
		}
	}
}

func TestRequestIDTravelsAsBaggage(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"r-1", "5b1f2c3d-4e5f", `a,b;c=d"e\f%25`, strings.Repeat("x", 128)} {
		h := nats.Header{}
		telemetry.InjectHeader(telemetry.WithRequestID(t.Context(), id), h)
		require.Equal(t, id, telemetry.RequestID(telemetry.FromHeader(t.Context(), h)), "%v", h)
	}
	for _, id := range []string{"", "a b", "a\nb", "é", strings.Repeat("x", 129)} {
		require.Empty(t, telemetry.RequestID(telemetry.WithRequestID(t.Context(), id)), "%q", id)
	}
	for _, header := range []string{"", "=", "nexus.request_id=a%0Ab", "nexus.request_id=" + strings.Repeat("x", 200), strings.Repeat("a=b,", 4000) + "nexus.request_id=r"} {
		require.Empty(t, telemetry.RequestID(telemetry.FromHeader(t.Context(), nats.Header{"baggage": {header}})), "%.40q", header)
	}
	// What others carry goes no further.
	ctx := telemetry.FromHeader(t.Context(), nats.Header{"baggage": {"secret=swordfish,nexus.request_id=r-1"}})
	h := nats.Header{}
	telemetry.InjectHeader(ctx, h)
	require.Equal(t, "nexus.request_id=r-1", h.Get("Baggage"))
}

func TestLinkedSpansBeginATrace(t *testing.T) {
	t.Parallel()
	exporter := tracetest.NewInMemoryExporter()
	tracer := telemetry.NewProvider("jobs", "v1", sdktrace.NewSimpleSpanProcessor(exporter)).Tracer("test")
	ctx, outer := tracer.Start(t.Context(), "outer")
	const first = "0af7651916cd43dd8448eb211c80319c"
	for _, parent := range []string{"00-" + first + "-b7ad6b7169203331-01", ""} {
		_, span := tracer.Start(ctx, "again", append(telemetry.Linked(ctx, parent), trace.WithSpanKind(trace.SpanKindConsumer))...)
		span.End()
		require.NotEqual(t, outer.SpanContext().TraceID(), span.SpanContext().TraceID())
		require.NotEqual(t, first, span.SpanContext().TraceID().String())
	}
	got := exporter.GetSpans()
	require.Len(t, got[0].Links, 1)
	require.Equal(t, first, got[0].Links[0].SpanContext.TraceID().String())
	require.Empty(t, got[1].Links)
}
