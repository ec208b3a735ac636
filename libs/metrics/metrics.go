// Package metrics measures a process: one set of OpenTelemetry instruments with
// three faces, the Prometheus exposition, a JSON snapshot and a push by OTLP. What
// is measured is written down in one catalog, which the documentation is made of.
//
// Everything is bounded: the values of labels in length and number, and with them
// the number of series. Nothing is installed globally, and a nil *Set measures
// nothing, at no cost.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"golang.org/x/sync/singleflight"
)

// seriesOfInstrument bounds the series of one instrument. Label values are bounded
// by themselves; this is for their combinations.
const seriesOfInstrument = 2000

// Options say what a process measures.
type Options struct {
	// Name is that of the process in what is pushed, such as nexus-jobs, Version that
	// of the program.
	Name, Version string
	// Push receives everything now and then; nil pushes nothing.
	Push *Push
	// Spans counts what becomes of the spans of the process; nil where it makes none.
	Spans SpanCounts
}

// SpanCounts counts the spans that were sent and those that were lost. Neither goes
// down.
type SpanCounts interface {
	Sent() int64
	Dropped() int64
}

// Provider is what a process measures. A nil one measures nothing.
type Provider struct {
	sdk      *sdkmetric.MeterProvider
	meter    metric.Meter
	registry *prometheus.Registry
	gather   singleflight.Group
	catalog  map[string]Definition
	values   *values

	mu         sync.Mutex
	counters   map[string]*counter
	histograms map[string]*histogram
	observed   map[string]*observed
	errs       []error
}

// New makes a provider. Shutdown ends it.
func New(opts Options) (*Provider, error) {
	p := &Provider{
		registry: prometheus.NewRegistry(), catalog: map[string]Definition{}, values: newValues(),
		counters: map[string]*counter{}, histograms: map[string]*histogram{}, observed: map[string]*observed{},
	}
	for _, d := range Catalog() {
		p.catalog[d.Name] = d
	}
	exporter, err := otelprom.New(otelprom.WithRegisterer(p.registry), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("make the Prometheus exporter: %w", err)
	}
	options := []sdkmetric.Option{
		sdkmetric.WithReader(exporter), sdkmetric.WithCardinalityLimit(seriesOfInstrument),
		sdkmetric.WithResource(resource.NewSchemaless(
			attribute.String("service.namespace", "nexus"), attribute.String("service.name", opts.Name), attribute.String("service.version", opts.Version))),
	}
	if opts.Push != nil {
		options = append(options, sdkmetric.WithReader(opts.Push.reader()))
	}
	p.sdk = sdkmetric.NewMeterProvider(options...)
	p.meter = p.sdk.Meter("nexus.internal/libs/metrics")
	if err := runtime.Start(runtime.WithMeterProvider(p.sdk)); err != nil {
		return nil, fmt.Errorf("measure the Go runtime: %w", err)
	}
	if err := p.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return nil, fmt.Errorf("measure the process: %w", err)
	}
	own := p.For("")
	own.Observe(BuildInfo, func(say Say) { say(1, opts.Version) })
	if opts.Spans != nil {
		own.Observe(TraceSpans, func(say Say) {
			say(float64(opts.Spans.Sent()), "sent")
			say(float64(opts.Spans.Dropped()), "dropped")
		})
	}
	if opts.Push != nil {
		own.Observe(PushFailures, func(say Say) { say(float64(opts.Push.failures.Load())) })
	}
	return p, p.err()
}

// For is the set of a service, whose name is the label service of what it measures.
func (p *Provider) For(service string) *Set {
	if p == nil {
		return nil
	}
	return &Set{provider: p, service: service}
}

// Shutdown pushes what is not pushed yet, for as long as ctx allows.
func (p *Provider) Shutdown(ctx context.Context) error {
	if p == nil {
		return nil
	}
	if err := p.sdk.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("push the last metrics: %w", err)
	}
	return nil
}

// define looks up what the catalog says of a metric. One that it does not know is an
// error of the process that starts.
func (p *Provider) define(name string, kind Kind) Definition {
	d, ok := p.catalog[name]
	if !ok || d.Kind != kind {
		p.errs = append(p.errs, fmt.Errorf("there is no %s %q in the catalog of metrics", kind, name))
	}
	return d
}

func (p *Provider) note(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

func (p *Provider) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.errs...)
}

// Err tells of metrics that could not be made, which are mistakes of the program.
func (p *Provider) Err() error {
	if p == nil {
		return nil
	}
	return p.err()
}

// Set measures for one service.
type Set struct {
	provider *Provider
	service  string
}

// Counter counts what happens.
type Counter struct {
	of      *counter
	service string
}

// Counter finds or makes a counter of the catalog.
func (s *Set) Counter(name string) *Counter {
	if s == nil {
		return nil
	}
	p := s.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counters[name]
	if c == nil {
		d := p.define(name, KindCounter)
		inst, err := p.meter.Int64Counter(d.Name, metric.WithDescription(d.Help), metric.WithUnit(d.unit()))
		p.note(err)
		c = &counter{inst: inst, series: newSeries(d, p.values)}
		p.counters[name] = c
	}
	return &Counter{of: c, service: s.service}
}

// Add counts n more under the values of the labels, in the order of the catalog; the
// label service is known.
func (c *Counter) Add(n int, labels ...string) {
	if c == nil || n <= 0 {
		return
	}
	e := c.of.series.find(c.service, labels)
	e.total.Add(int64(n))
	c.of.inst.Add(uncancelled{}, int64(n), e.add...)
}

// Expect begins the series of label values at zero, so that the first of what seldom
// happens is a difference.
func (c *Counter) Expect(labels ...string) {
	if c != nil {
		c.of.inst.Add(uncancelled{}, 0, c.of.series.find(c.service, labels).add...)
	}
}

// Histogram tells how observations are distributed.
type Histogram struct {
	of      *histogram
	service string
}

// Histogram finds or makes a histogram of the catalog.
func (s *Set) Histogram(name string) *Histogram {
	if s == nil {
		return nil
	}
	p := s.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.histograms[name]
	if h == nil {
		d := p.define(name, KindHistogram)
		inst, err := p.meter.Float64Histogram(d.Name, metric.WithDescription(d.Help), metric.WithUnit(d.unit()),
			metric.WithExplicitBucketBoundaries(d.Buckets...))
		p.note(err)
		h = &histogram{inst: inst, series: newSeries(d, p.values)}
		if d.Snapshot != "" {
			h.recent = &recent{}
		}
		p.histograms[name] = h
	}
	return &Histogram{of: h, service: s.service}
}

// Record observes a value.
func (h *Histogram) Record(value float64, labels ...string) {
	if h == nil {
		return
	}
	value = max(0, value)
	e := h.of.series.find(h.service, labels)
	h.of.inst.Record(uncancelled{}, value, e.record...)
	if h.of.recent != nil {
		h.of.recent.add(value)
	}
}

// Since observes the time since start, in seconds.
func (h *Histogram) Since(start time.Time, labels ...string) {
	if h != nil {
		h.Record(time.Since(start).Seconds(), labels...)
	}
}

// Say tells a value under the values of the labels.
type Say func(value float64, labels ...string)

// Observe has a gauge, or a counter whose total somebody else keeps, read whenever
// somebody looks. read must be quick: it looks at what is known and asks nobody.
func (s *Set) Observe(name string, read func(say Say)) {
	if s == nil {
		return
	}
	p := s.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.observed[name]
	if o == nil {
		o = p.observe(name)
		p.observed[name] = o
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reads = append(o.reads, reading{s.service, read})
}

func (p *Provider) observe(name string) *observed {
	kind := KindGauge
	if p.catalog[name].Kind == KindObservedCounter {
		kind = KindObservedCounter
	}
	d := p.define(name, kind)
	o := &observed{series: newSeries(d, p.values)}
	var inst metric.Float64Observable
	var err error
	if kind == KindObservedCounter {
		inst, err = p.meter.Float64ObservableCounter(d.Name, metric.WithDescription(d.Help), metric.WithUnit(d.unit()))
	} else {
		inst, err = p.meter.Float64ObservableGauge(d.Name, metric.WithDescription(d.Help), metric.WithUnit(d.unit()))
	}
	p.note(err)
	_, err = p.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		o.each(func(e *entry, value float64) { to.ObserveFloat64(inst, value, e.observe...) })
		return nil
	}, inst)
	p.note(err)
	return o
}
