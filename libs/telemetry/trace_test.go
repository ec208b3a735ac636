package telemetry_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/telemetry"
	"nexus.internal/libs/testkit"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent  = "00-" + traceID + "-00f067aa0ba902b7-01"
)

func TestTraceParentTravels(t *testing.T) {
	t.Parallel()
	ctx := telemetry.WithTraceParent(t.Context(), parent)
	require.Equal(t, traceID, telemetry.TraceID(ctx))
	require.Equal(t, parent, telemetry.TraceParent(ctx))
	require.True(t, trace.SpanContextFromContext(ctx).IsRemote())
	require.True(t, trace.SpanContextFromContext(ctx).IsSampled())

	unsampled := "00-" + traceID + "-00f067aa0ba902b7-00"
	require.Equal(t, unsampled, telemetry.TraceParent(telemetry.WithTraceParent(t.Context(), unsampled)))
}

func TestNoTraceIsNothing(t *testing.T) {
	t.Parallel()
	require.Empty(t, telemetry.TraceID(t.Context()))
	require.Empty(t, telemetry.TraceParent(t.Context()))
	header := nats.Header{}
	telemetry.InjectHeader(t.Context(), header)
	require.Empty(t, header)
}

func TestStrangeTraceParentsAreIgnored(t *testing.T) {
	t.Parallel()
	before := telemetry.WithTraceParent(t.Context(), parent)
	for _, strange := range []string{
		"", "x", "00", "00--", "00-" + traceID, traceID,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-" + traceID + "-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"ff-" + traceID + "-00f067aa0ba902b7-01",
		parent + "-more", parent + "\r\nEvil: 1", "00-" + traceID + "-00f067aa0ba902b7-zz",
	} {
		require.Empty(t, telemetry.TraceID(telemetry.WithTraceParent(t.Context(), strange)), "%q", strange)
		require.Equal(t, traceID, telemetry.TraceID(telemetry.WithTraceParent(before, strange)), "%q", strange)
	}
}

func TestHeadersCarryTheTrace(t *testing.T) {
	t.Parallel()
	ctx := telemetry.WithTraceParent(t.Context(), parent)
	header := nats.Header{"Other": {"1"}}
	telemetry.InjectHeader(ctx, header)
	require.Equal(t, nats.Header{"Other": {"1"}, "Traceparent": {parent}}, header)
	require.Equal(t, parent, telemetry.TraceParent(telemetry.FromHeader(t.Context(), header)))
}

func TestHeaderNamesAreReadInAnyCase(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"traceparent", "Traceparent", "TraceParent", "TRACEPARENT"} {
		ctx := telemetry.FromHeader(t.Context(), nats.Header{name: {parent}})
		require.Equal(t, traceID, telemetry.TraceID(ctx), name)
	}
	for name, header := range map[string]nats.Header{
		"none": nil, "another": {"Trace-Parent": {parent}}, "no value": {"Traceparent": {}}, "garbage": {"Traceparent": {"garbage"}},
	} {
		require.Empty(t, telemetry.TraceID(telemetry.FromHeader(t.Context(), header)), name)
	}
}

func TestWithoutAProcessorNothingIsTraced(t *testing.T) {
	t.Parallel()
	p := telemetry.NewProvider("jobs", "v1", nil)
	ctx, span := p.Tracer("test").Start(telemetry.WithTraceParent(t.Context(), parent), "work")
	require.False(t, span.IsRecording())
	span.End()
	require.Equal(t, parent, telemetry.TraceParent(ctx), "the callers' trace travels on")
	_, orphan := p.Tracer("test").Start(t.Context(), "work")
	require.False(t, orphan.SpanContext().IsValid())
	require.NoError(t, p.Flush(t.Context()))
}

func TestSpansNameTheirService(t *testing.T) {
	t.Parallel()
	exporter := tracetest.NewInMemoryExporter()
	processor := sdktrace.NewBatchSpanProcessor(exporter)
	t.Cleanup(func() { require.NoError(t, processor.Shutdown(context.Background())) })
	for _, service := range []string{"jobs", "audit"} {
		_, span := telemetry.NewProvider(service, "v9", processor).Tracer("test").Start(telemetry.WithTraceParent(t.Context(), parent), "work of "+service)
		span.End()
	}
	last := telemetry.NewProvider("gateway", "v9", processor)
	require.NoError(t, last.Flush(t.Context()))
	spans := exporter.GetSpans()
	require.Len(t, spans, 2)
	for i, service := range []string{"jobs", "audit"} {
		require.Equal(t, "work of "+service, spans[i].Name)
		require.Equal(t, traceID, spans[i].SpanContext.TraceID().String(), "they continue the trace")
		attributes := map[string]string{}
		for _, a := range spans[i].Resource.Attributes() {
			attributes[string(a.Key)] = a.Value.AsString()
		}
		require.Equal(t, map[string]string{"service.namespace": "nexus", "service.name": service, "service.version": "v9"}, attributes)
	}
}

func TestExporterSendsToTheEndpoint(t *testing.T) {
	t.Parallel()
	type request struct {
		path, kind string
		body       []byte
	}
	received := make(chan request, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			received <- request{r.URL.Path, r.Header.Get("Content-Type"), body}
		}
	}))
	t.Cleanup(collector.Close)
	exporter, err := telemetry.NewExporter(t.Context(), collector.URL+"/v1/traces")
	require.NoError(t, err)
	processor := sdktrace.NewSimpleSpanProcessor(exporter)
	_, span := telemetry.NewProvider("jobs", "v9", processor).Tracer("test").Start(t.Context(), "claim batch")
	span.End()
	got := testkit.Receive(t, received)
	require.Equal(t, "/v1/traces", got.path)
	require.Equal(t, "application/x-protobuf", got.kind)
	require.Contains(t, string(got.body), "claim batch")
	require.NoError(t, processor.Shutdown(t.Context()))
}

func TestExporterNeedsALiveContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := telemetry.NewExporter(ctx, "http://127.0.0.1:4318")
	require.ErrorContains(t, err, "open the OTLP exporter")
}
