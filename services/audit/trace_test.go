package audit_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/contract"
)

const (
	oneTrace     = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	anotherTrace = "00-11111111111111111111111111111111-2222222222222222-01"
)

func traced(id, parent string) contract.Event {
	e := event(id)
	e.TraceParent = parent
	return e
}

// spansOf are the names of the spans in the trace that parent names.
func spansOf(spans []sdktrace.ReadOnlySpan, parent string) map[string]sdktrace.ReadOnlySpan {
	out := map[string]sdktrace.ReadOnlySpan{}
	for _, s := range spans {
		if s.SpanContext().TraceID().String() == parent[3:35] {
			out[s.Name()] = s
		}
	}
	return out
}

func TestOneTrace(t *testing.T) {
	t.Parallel()
	h := servers(t)
	spans := tracetest.NewSpanRecorder()
	h.service(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))

	h.publish("single", traced("1", oneTrace))
	h.quiet()
	got := spansOf(spans.Ended(), oneTrace)
	require.Contains(t, got, "keep events")
	require.Equal(t, trace.SpanKindConsumer, got["keep events"].SpanKind())
	require.Contains(t, got, "INSERT", "the statement is in the trace of the request that caused it")

	h.publish("mixed", traced("2", anotherTrace), traced("3", oneTrace), traced("4", ""))
	h.quiet()
	pack := spansOf(spans.Ended(), anotherTrace)["keep events"]
	require.NotNil(t, pack)
	require.Equal(t, oneTrace[3:35], pack.Links()[0].SpanContext.TraceID().String())

	var kept string
	require.NoError(t, h.db.Pool.QueryRow(t.Context(), `SELECT encode(trace_id, 'hex') FROM audit.audit_logs WHERE event_id = '2'`).Scan(&kept))
	require.Equal(t, anotherTrace[3:35], kept)
}
