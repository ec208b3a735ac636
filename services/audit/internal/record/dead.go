package record

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/audit/internal/trail"
)

// DeadKeeper keeps dead letters. Its error wraps trail.ErrRefused when the same
// letter would be refused again.
type DeadKeeper interface {
	KeepDead(ctx context.Context, letter trail.DeadLetter) error
}

// maxHeader bounds what is kept of a header of a dead letter, in bytes.
const maxHeader = 1024

// Dead keeps dead letters.
type Dead struct {
	store   DeadKeeper
	log     zerolog.Logger
	tracer  trace.Tracer
	maxBody int
	kept    *metrics.Counter
}

// NewDead makes a keeper of dead letters; of a body it keeps up to maxBody bytes.
func NewDead(store DeadKeeper, log zerolog.Logger, tracer trace.Tracer, maxBody int) *Dead {
	return &Dead{store: store, log: log, tracer: tracer, maxBody: maxBody}
}

// Measure counts dead letters from now on.
func (d *Dead) Measure(set *metrics.Set) {
	d.kept = set.Counter(metrics.DeadLetters)
	for _, service := range []string{"audit", "gateway", "jobs", "webhooks"} {
		d.kept.Expect(service)
	}
}

// count counts a letter under the service that gave up on its message.
func (d *Dead) count(letter trail.DeadLetter) {
	from := ""
	if words := strings.Split(letter.Subject, "."); len(words) > 2 {
		from = words[2]
	}
	d.kept.Add(1, from)
}

// Handle keeps a dead letter. One that the database refuses has nowhere else
// to go: it is logged and stays in its stream until that forgets it.
func (d *Dead) Handle(msg *message.Message) error {
	err := fault.Guard(func() error { return d.handle(msg) })
	var panicked *fault.Panicked
	if errors.As(err, &panicked) {
		from, _ := wmjs.DeliveryOf(msg.Context())
		d.log.Error().Err(err).Bytes("stack", panicked.Stack).Uint64("sequence", from.Sequence).Msg("a dead letter made us panic; it stays in its stream")
		return nil
	}
	return err
}

func (d *Dead) handle(msg *message.Message) error {
	ctx, span := d.tracer.Start(msg.Context(), "keep dead letter", trace.WithSpanKind(trace.SpanKindConsumer))
	defer span.End()
	letter, err := d.letter(ctx, msg)
	if err == nil {
		err = d.store.KeepDead(ctx, letter)
	}
	if err == nil {
		d.count(letter)
		return nil
	}
	span.SetStatus(codes.Error, err.Error())
	if errors.Is(err, trail.ErrRefused) {
		d.log.Error().Err(err).Str(telemetry.FieldSubject, letter.Subject).Uint64("sequence", letter.Sequence).Msg("a dead letter cannot be kept; it stays in its stream")
		return nil
	}
	return err
}

func (d *Dead) letter(ctx context.Context, msg *message.Message) (trail.DeadLetter, error) {
	from, _ := wmjs.DeliveryOf(ctx)
	headers, err := trail.Headers(from.Header)
	if err != nil {
		return trail.DeadLetter{}, err
	}
	letter := trail.DeadLetter{
		Stream: from.Stream, Sequence: from.Sequence, ReceivedAt: from.Stored, Subject: trail.Text(from.Subject, maxHeader),
		Origin:  trail.Text(msg.Metadata.Get(contract.HeaderOrigin), maxHeader),
		Reason:  trail.Text(msg.Metadata.Get(contract.HeaderReason), maxHeader),
		Headers: headers, Body: msg.Payload, BodySize: len(msg.Payload),
	}
	if letter.Reason == "" {
		letter.Reason = letter.Subject[strings.LastIndexByte(letter.Subject, '.')+1:]
	}
	if whole, err := strconv.Atoi(msg.Metadata.Get(contract.HeaderBodySize)); err == nil {
		letter.BodySize = max(letter.BodySize, whole)
	}
	letter.Body = letter.Body[:min(len(letter.Body), d.maxBody)]
	if letter.Body == nil {
		letter.Body = []byte{}
	}
	return letter, nil
}
