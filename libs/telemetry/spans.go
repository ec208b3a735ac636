package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// spanQueue is how many spans wait to be sent, or are being sent. What comes
	// beyond is dropped: nothing waits for those who receive spans.
	spanQueue = 4096
	// sendBatch is how many spans are sent at once, sendWithin how long that may
	// take.
	sendBatch  = 512
	sendWithin = 10 * time.Second
	// complainEvery is how often the log says that spans cannot be sent.
	complainEvery = time.Minute
)

// Spans sends spans to an exporter, beside whatever makes them. It is the span
// processor of a whole process. An exporter that is away, slow, or refuses what it
// is sent costs spans, which are counted, and nothing else.
type Spans struct {
	next sdktrace.SpanProcessor
	// waiting are the spans that were taken and are not sent yet.
	waiting, sent, dropped atomic.Int64
}

// NewSpans makes a processor on top of an exporter. log hears of one that fails,
// once a minute.
func NewSpans(exporter sdktrace.SpanExporter, log zerolog.Logger) *Spans {
	s := &Spans{}
	s.next = sdktrace.NewBatchSpanProcessor(&sender{SpanExporter: exporter, spans: s, log: log},
		sdktrace.WithMaxQueueSize(spanQueue), sdktrace.WithMaxExportBatchSize(sendBatch), sdktrace.WithExportTimeout(sendWithin))
	return s
}

// Dropped is how many spans were lost, for want of room or because they could not be
// sent. It never goes down.
func (s *Spans) Dropped() int64 { return s.dropped.Load() }

// Sent is how many spans the exporter took. It never goes down.
func (s *Spans) Sent() int64 { return s.sent.Load() }

// OnStart implements sdktrace.SpanProcessor.
func (s *Spans) OnStart(ctx context.Context, span sdktrace.ReadWriteSpan) { s.next.OnStart(ctx, span) }

// OnEnd implements sdktrace.SpanProcessor. It never waits.
func (s *Spans) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	if s.waiting.Add(1) > spanQueue {
		s.waiting.Add(-1)
		s.dropped.Add(1)
		return
	}
	s.next.OnEnd(span)
}

// ForceFlush implements sdktrace.SpanProcessor.
func (s *Spans) ForceFlush(ctx context.Context) error { return s.next.ForceFlush(ctx) }

// Shutdown implements sdktrace.SpanProcessor. What cannot be sent until ctx ends is
// lost.
func (s *Spans) Shutdown(ctx context.Context) error {
	err := s.next.Shutdown(ctx)
	s.dropped.Add(s.waiting.Swap(0))
	return err
}

// sender counts what an exporter takes. Its failures end here: what is lost is
// counted, and nobody can do more about it.
type sender struct {
	sdktrace.SpanExporter
	spans *Spans
	log   zerolog.Logger
	// told is when the log last said that spans are lost; spans are sent one batch
	// at a time.
	told time.Time
}

// ExportSpans implements sdktrace.SpanExporter.
func (s *sender) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := s.SpanExporter.ExportSpans(ctx, spans)
	n := int64(len(spans))
	s.spans.waiting.Add(-n)
	if err == nil {
		s.spans.sent.Add(n)
		return nil
	}
	lost := s.spans.dropped.Add(n)
	if now := time.Now(); now.Sub(s.told) >= complainEvery {
		s.told = now
		s.log.Warn().Err(err).Int64("spans_lost", lost).Msg("spans cannot be sent, and are lost; jobs go on")
	}
	return nil
}
