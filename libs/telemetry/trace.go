package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

const headerTraceParent = "Traceparent"

// tracesPath is where OTLP over HTTP takes traces; see the OTLP specification.
const tracesPath = "/v1/traces"

// ParseEndpoint reads the URL of whoever takes OTLP over HTTP.
func ParseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("OTLP endpoint %q: want a URL such as http://127.0.0.1:4318", endpoint)
	}
	return u, nil
}

// NewExporter makes an exporter that sends spans by OTLP over HTTP to
// endpoint, a URL such as http://127.0.0.1:4318. Without a path of its own it is
// completed with /v1/traces.
func NewExporter(ctx context.Context, endpoint string) (sdktrace.SpanExporter, error) {
	u, err := ParseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = tracesPath
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()))
	if err != nil {
		return nil, fmt.Errorf("open the OTLP exporter: %w", err)
	}
	return exporter, nil
}

// Provider gives tracers to one service.
type Provider struct {
	trace.TracerProvider
	stop func(context.Context) error
}

// NewProvider makes the tracer provider of a service on top of a shared span
// processor. Without a processor nothing is traced, at no cost; the trace
// context of callers still travels on. All traces are kept.
func NewProvider(service, version string, processor sdktrace.SpanProcessor) *Provider {
	return NewSampledProvider(service, version, processor, 1)
}

// NewSampledProvider is NewProvider for a share of the traces that begin here, from 0
// to 1, chosen by their ids: every process chooses the same ones. Those that began
// elsewhere are kept where their caller keeps them.
func NewSampledProvider(service, version string, processor sdktrace.SpanProcessor, ratio float64) *Provider {
	if processor == nil {
		return &Provider{TracerProvider: noop.NewTracerProvider(), stop: func(context.Context) error { return nil }}
	}
	res := resource.NewSchemaless(
		attribute.String("service.namespace", "nexus"),
		attribute.String("service.name", service),
		attribute.String("service.version", version),
	)
	p := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(processor), sdktrace.WithResource(res),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))))
	return &Provider{TracerProvider: p, stop: p.ForceFlush}
}

// Flush sends what is still buffered. The shared processor is shut down by
// whoever made it.
func (p *Provider) Flush(ctx context.Context) error { return p.stop(ctx) }

// TraceParent is the W3C trace context of ctx, or empty when there is none.
func TraceParent(ctx context.Context) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// WithTraceParent continues the trace that parent, a W3C traceparent, names.
// Anything else leaves ctx as it is.
func WithTraceParent(ctx context.Context, parent string) context.Context {
	if parent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
}

// InjectHeader writes the trace context of ctx, and the request id as baggage, into
// message headers.
func InjectHeader(ctx context.Context, h nats.Header) {
	injectBaggage(ctx, h)
	if tp := TraceParent(ctx); tp != "" {
		h.Set(headerTraceParent, tp)
	}
}

// FromHeader continues the trace of a message, for its request. Header names are
// matched in any case: clients in other languages write `traceparent`.
func FromHeader(ctx context.Context, h nats.Header) context.Context {
	var parent, baggage string
	for name, values := range h {
		switch {
		case len(values) == 0:
		case strings.EqualFold(name, headerTraceParent):
			parent = values[0]
		case strings.EqualFold(name, headerBaggage):
			baggage = values[0]
		}
	}
	return fromBaggage(WithTraceParent(ctx, parent), baggage)
}

// Linked are the options of a span that begins a trace of its own, linked to the one
// that parent, a W3C traceparent, names: what is done again, maybe much later, would
// otherwise make traces without an end.
func Linked(ctx context.Context, parent string) []trace.SpanStartOption {
	options := []trace.SpanStartOption{trace.WithNewRoot()}
	alone := trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	if sc := trace.SpanContextFromContext(WithTraceParent(alone, parent)); sc.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: sc}))
	}
	return options
}
