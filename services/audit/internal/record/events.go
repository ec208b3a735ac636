package record

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/batch"
	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/audit/internal/trail"
)

const (
	// flushTimeout bounds one statement.
	flushTimeout = 5 * time.Second
	// flushPause is how long a writer rests after a failure, so that a database
	// that is away costs few attempts and few lines in the log.
	flushPause = 200 * time.Millisecond
	// linger is how long events wait for others to be written with. Nobody waits
	// for the trail, and every commit of its own costs those who wait for theirs.
	linger = 50 * time.Millisecond
	// maxPacks bounds the messages of one statement.
	maxPacks = 1024
)

// Appender keeps entries. Its error wraps trail.ErrRefused when the same
// entries would be refused again.
type Appender interface {
	Append(ctx context.Context, entries []trail.Entry) error
}

// Events keeps packs of events. Handlers run side by side and each waits for
// its own pack; what waits together is written in one statement.
type Events struct {
	store   Appender
	aside   *Aside
	log     zerolog.Logger
	tracer  trace.Tracer
	waiting *batch.Batcher[*pack]
}

// pack is the entries of one message.
type pack struct {
	entries []trail.Entry
	size    int
	// span is what happens to the pack, in the trace of its first event.
	span trace.Span
	kept chan error
}

// NewEvents makes a keeper of events that writes roughly up to batchBytes of them
// at once. The trail is a chain, so nothing is gained by writing side by side.
func NewEvents(store Appender, aside *Aside, log zerolog.Logger, tracer trace.Tracer, batchBytes int) *Events {
	e := &Events{store: store, aside: aside, log: log, tracer: tracer}
	e.waiting = batch.New(batch.Options[*pack]{
		Max: maxPacks, MaxWeight: batchBytes, Weigh: func(p *pack) int { return p.size }, Linger: linger, Flush: e.flush, Spoiled: spoiled,
	})
	return e
}

// Name implements run.Component.
func (e *Events) Name() string { return "audit writer" }

// Run implements run.Component. It has to outlive the handlers: they wait for it.
func (e *Events) Run(ctx context.Context, ready func()) error {
	ready()
	e.waiting.Run(ctx)
	return nil
}

// Handle keeps the events of a message. What can never be kept is set aside.
// What cannot be kept now is nacked here instead of being returned as an error:
// the writer has logged the failure once for all the messages that it met.
func (e *Events) Handle(msg *message.Message) error {
	err := fault.Guard(func() error { return e.handle(msg) })
	var panicked *fault.Panicked
	if errors.As(err, &panicked) {
		e.log.Error().Err(err).Bytes("stack", panicked.Stack).Msg("a message made us panic")
		return e.aside.Put(msg, reasonUnstorable, err)
	}
	return err
}

// spoiled answers a pack that made the writer panic.
func spoiled(_ context.Context, p *pack, err error) {
	select {
	case p.kept <- fmt.Errorf("%w: %w", trail.ErrRefused, err):
	default:
	}
}

func (e *Events) handle(msg *message.Message) error {
	if d, ok := wmjs.DeliveryOf(msg.Context()); ok && strings.HasPrefix(d.Subject, contract.ProgressEvents) {
		// How far a run has come decides nothing, and is not kept.
		return nil
	}
	entries, err := trail.Decode(msg.Context(), msg.Payload)
	if err != nil {
		return e.aside.Put(msg, reasonUndecodable, err)
	}
	// The pack continues the trace of its first event.
	ctx, span := e.tracer.Start(telemetry.WithTraceParent(msg.Context(), entries[0].TraceParent), "keep events",
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(otherTraces(msg.Context(), entries)...),
		trace.WithAttributes(attribute.Int("nexus.events", len(entries)), attribute.String("nexus.action", entries[0].Action)))
	defer span.End()
	err = e.keep(ctx, span, entries)
	if err == nil {
		return nil
	}
	span.SetStatus(codes.Error, err.Error())
	if errors.Is(err, trail.ErrRefused) {
		return e.aside.Put(msg, reasonUnstorable, err)
	}
	msg.Nack()
	return nil
}

// otherTraces links the traces of a pack's events beside the first.
func otherTraces(ctx context.Context, entries []trail.Entry) []trace.Link {
	var links []trace.Link
	for _, other := range entries[1:] {
		if other.TraceParent != "" && other.TraceParent != entries[0].TraceParent {
			links = append(links, trace.LinkFromContext(telemetry.WithTraceParent(ctx, other.TraceParent)))
		}
	}
	return links
}

func (e *Events) keep(ctx context.Context, span trace.Span, entries []trail.Entry) error {
	p := &pack{entries: entries, span: span, kept: make(chan error, 1)}
	for _, entry := range entries {
		p.size += entry.Size()
	}
	if err := e.waiting.Add(ctx, p); err != nil {
		return err
	}
	select {
	case err := <-p.kept:
		return err
	case <-ctx.Done():
		// It may be written all the same; the event then comes again and is
		// known.
		return ctx.Err()
	}
}

// flush writes packs together. When the database refuses them, one of them is
// to blame, and each is tried alone.
func (e *Events) flush(ctx context.Context, packs []*pack) {
	timed, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	err := e.write(timed, packs)
	if errors.Is(err, trail.ErrRefused) && len(packs) > 1 {
		for _, p := range packs {
			p.kept <- e.write(timed, []*pack{p})
		}
		return
	}
	for _, p := range packs {
		p.kept <- err
	}
	if err != nil && !errors.Is(err, trail.ErrRefused) {
		e.log.Warn().Err(err).Int("messages", len(packs)).Msg("events could not be kept now; they come again")
		rest(ctx, flushPause)
	}
}

// write appends the entries of packs in one statement, in the trace of the
// first; the traces of the others are linked. A panic counts as a refusal, so
// that it costs the one pack that causes it and not the process.
func (e *Events) write(ctx context.Context, packs []*pack) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %v", trail.ErrRefused, p)
		}
	}()
	ctx = trace.ContextWithSpan(ctx, packs[0].span)
	entries := packs[0].entries
	if len(packs) > 1 {
		var links []trace.Link
		entries = nil
		for _, p := range packs {
			entries = append(entries, p.entries...)
			links = append(links, trace.Link{SpanContext: p.span.SpanContext()})
		}
		var span trace.Span
		ctx, span = e.tracer.Start(ctx, "append events", trace.WithLinks(links[1:]...), trace.WithAttributes(attribute.Int("nexus.events", len(entries))))
		defer span.End()
	}
	return e.store.Append(ctx, entries)
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
