// Package door is the NATS door: jobs published straight to JetStream. The
// server lets a client publish under its own name only, so the owner in the
// subject is proven; everything else in the message is checked like a REST
// request.
package door

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/bus"
	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/gateway/internal/admission"
	"nexus.internal/services/gateway/internal/limit"
)

const (
	// inFlight bounds the messages handled at once, perOwner those of one owner.
	inFlight, perOwner = 256, 32
	// handleWithin bounds the handling of one message.
	handleWithin = 15 * time.Second
	// A message that could not be handled now comes again after firstRetry,
	// later after lastRetry.
	firstRetry, lastRetry = time.Second, 10 * time.Second
	// maxTries is how often a message is tried that meets errors nobody can wait
	// for.
	maxTries = 5
	// maxRequestID is the longest request id taken from a client, in bytes.
	maxRequestID = 128
	// maxDetail bounds what is said of a refused message, in bytes: it is a header
	// of the dead letter, beside a body of any size.
	maxDetail = 1024
)

// Submitter has jobs recorded.
type Submitter interface {
	Submit(ctx context.Context, sub contract.Submission) (contract.SubmitVerdict, error)
}

// Limits counts the messages of callers.
type Limits interface {
	Take(ctx context.Context, caller identity.Caller) limit.Verdict
}

// Reader reads the body of a message: that of a submit over HTTP, which may leave
// out the type of the job.
type Reader interface {
	Read(body []byte, jobType string) (admission.Ask, error)
}

// Door is a run.Component.
type Door struct {
	js        jetstream.JetStream
	reader    Reader
	admission *admission.Admission
	limits    Limits
	submitter Submitter
	pub       *bus.Publisher
	log       zerolog.Logger
	tracer    trace.Tracer
	now       func() time.Time
	slots     chan struct{}
	lines     *lines
	tries     *bus.Tries
	measures  measures
}

// New makes the door.
func New(js jetstream.JetStream, reader Reader, admit *admission.Admission, limits Limits, submitter Submitter, pub *bus.Publisher, log zerolog.Logger, tracer trace.TracerProvider, now func() time.Time) *Door {
	return &Door{
		js: js, reader: reader, admission: admit, limits: limits, submitter: submitter, pub: pub, log: log, tracer: tracer.Tracer("nexus.internal/services/gateway/door"), now: now,
		slots: make(chan struct{}, inFlight), lines: newLines(now), tries: bus.NewTries(maxTries),
	}
}

// Name implements run.Component.
func (d *Door) Name() string { return "nats door" }

// Run implements run.Component.
func (d *Door) Run(ctx context.Context, ready func()) error {
	sub, err := wmjs.NewSubscriber(d.js, d.log, wmjs.SubscriberConfig{
		Resolve: resolve, InFlight: perOwner, RetryDelay: wmjs.Backoff(firstRetry, lastRetry), Grace: handleWithin,
	})
	if err != nil {
		return fmt.Errorf("read the NATS door: %w", err)
	}
	strays, err := sub.Subscribe(ctx, contract.ConsumerDoor)
	if err != nil {
		return errors.Join(fmt.Errorf("read the NATS door: %w", err), sub.Close())
	}
	stream, err := d.js.Stream(ctx, contract.StreamSubmit)
	if err != nil {
		return errors.Join(fmt.Errorf("read the NATS door: %w", err), sub.Close())
	}
	ready()
	var serving sync.WaitGroup
	serving.Go(func() { d.serve(strays) })
	owners := readers{door: d, sub: sub, stream: stream, running: map[string]*reader{}, rested: map[string]time.Time{}}
	owners.follow(ctx)
	serving.Wait()
	return sub.Close()
}

// handle has the job of one message recorded and settles the message: done,
// refused for good, or to come again.
func (d *Door) handle(msg *message.Message) {
	ctx, cancel := context.WithTimeout(msg.Context(), handleWithin)
	defer cancel()
	from, ok := wmjs.DeliveryOf(ctx)
	ctx, span := d.tracer.Start(telemetry.WithRequestID(ctx, requestID(from.Header)), "NATS submit", trace.WithSpanKind(trace.SpanKindConsumer))
	defer span.End()
	if !ok {
		d.log.Error().Msg("a message without a delivery cannot be handled")
		msg.Nack()
		return
	}
	err := fault.Guard(func() error { return d.submit(ctx, from, msg.Payload) })
	var over *overLimitError
	switch {
	case err == nil:
		d.measures.settled(accepted)
	case errors.As(err, &over) && over.placed:
		d.measures.limited.Add(1, limitDoor)
		d.measures.settled(putBack)
		wmjs.RetryIn(msg, over.wait)
		msg.Nack()
		return
	case over == nil && d.again(ctx, from, err):
		d.measures.settled(putBack)
		msg.Nack()
		return
	default:
		if err := fault.Guard(func() error { return d.refuse(ctx, from, msg.Payload, err) }); err != nil {
			d.log.Error().Err(err).Msg("a refused message could not be kept; it will come again")
			msg.Nack()
			return
		}
		d.measures.settled(refused)
		if over != nil {
			d.measures.limited.Add(1, limitDoor)
		}
	}
	d.tries.Done(from.Origin().ID())
	msg.Ack()
}

// again reports whether a message is to be tried again after an error: without a
// bound where something is away that will come back, and a few times where
// something is wrong that nobody knows of. A panic comes again with its message.
func (d *Door) again(ctx context.Context, from wmjs.Delivery, err error) bool {
	var panicked *fault.Panicked
	kind := fault.KindOf(err)
	switch {
	case errors.As(err, &panicked):
		d.log.Error().Err(err).Bytes("stack", panicked.Stack).Str(telemetry.FieldSubject, from.Subject).Msg("a message made the door panic")
		return false
	case kind == fault.Unavailable, kind == fault.RateLimited, ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
	case kind == fault.Internal:
		if d.tries.Over(from.Origin().ID()) {
			d.log.Error().Err(err).Str(telemetry.FieldSubject, from.Subject).Msg("a message could not be submitted")
			return false
		}
	default:
		return false
	}
	d.log.Warn().Err(err).Str(telemetry.FieldSubject, from.Subject).Msg("a message could not be submitted now; it will come again")
	return true
}

func (d *Door) submit(ctx context.Context, from wmjs.Delivery, body []byte) error {
	owner, jobType, err := contract.ParseSubmitSubject(from.Subject)
	if err != nil {
		return fault.Unprocessablef("%s", err)
	}
	caller, err := d.admission.Owner(ctx, owner)
	if err != nil {
		return err
	}
	ask, err := d.reader.Read(body, jobType)
	if err != nil {
		return err
	}
	if ask.JobType != jobType {
		return fault.Unprocessablef("The message says job_type '%s', its subject '%s'", ask.JobType, jobType)
	}
	ask.RequestID = requestID(from.Header)
	if err := d.limited(ctx, from, caller); err != nil {
		return err
	}
	sub, err := d.admission.Admit(ctx, caller, ask)
	if err != nil {
		return err
	}
	if ask.IdempotencyKey == "" {
		sub.JobID = idOf(from)
	}
	_, err = d.submitter.Submit(ctx, sub)
	return err
}

// overLimitError says that a message came too early. It waits, where it was placed.
type overLimitError struct {
	wait   time.Duration
	placed bool
}

// Error implements error.
func (*overLimitError) Error() string { return "over the limit" }

// limited counts a message. One over the limit waits with the broker, behind those
// of its owner that came before it, as long as there are not too many.
func (d *Door) limited(ctx context.Context, from wmjs.Delivery, caller identity.Caller) error {
	var v limit.Verdict
	if d.lines.first(caller.Owner, from.Sequence) {
		if v = d.limits.Take(ctx, caller); v.Allowed {
			d.lines.leave(caller.Owner, from.Sequence)
			return nil
		}
	}
	wait, placed := d.lines.wait(caller.Owner, from.Sequence, v)
	return &overLimitError{wait, placed}
}

// idOf is the id of the job of a message without an idempotency key: the same
// each time the message is delivered, and of no other message.
func idOf(from wmjs.Delivery) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("nexus:door:"+from.Origin().ID())).String()
}

func requestID(h nats.Header) string {
	id := h.Get(contract.HeaderRequestID)
	if len(id) > maxRequestID {
		return ""
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return ""
		}
	}
	return id
}
