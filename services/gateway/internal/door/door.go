// Package door is the NATS door: jobs published straight to JetStream. The
// server lets a client publish under its own name only, so the owner in the
// subject is proven; everything else in the message is checked like a REST
// request.
package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
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
	// inFlight bounds the messages handled at once.
	inFlight = 256
	// handleWithin bounds the handling of one message.
	handleWithin = 15 * time.Second
	// A message that could not be handled now comes again after firstRetry,
	// later after lastRetry.
	firstRetry, lastRetry = time.Second, 10 * time.Second
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
}

// New makes the door.
func New(js jetstream.JetStream, reader Reader, admit *admission.Admission, limits Limits, submitter Submitter, pub *bus.Publisher, log zerolog.Logger, tracer trace.TracerProvider, now func() time.Time) *Door {
	return &Door{js: js, reader: reader, admission: admit, limits: limits, submitter: submitter, pub: pub, log: log, tracer: tracer.Tracer("nexus.internal/services/gateway/door"), now: now}
}

// Name implements run.Component.
func (d *Door) Name() string { return "nats door" }

// Run implements run.Component.
func (d *Door) Run(ctx context.Context, ready func()) error {
	sub, err := wmjs.NewSubscriber(d.js, d.log, wmjs.SubscriberConfig{
		// The run lease shapes only consumers that are not read here.
		Resolve: wmjs.Durables(contract.Consumers(0)), InFlight: inFlight, RetryDelay: wmjs.Backoff(firstRetry, lastRetry), Grace: handleWithin,
	})
	if err != nil {
		return fmt.Errorf("read the NATS door: %w", err)
	}
	messages, err := sub.Subscribe(ctx, contract.ConsumerDoor)
	if err != nil {
		return errors.Join(fmt.Errorf("read the NATS door: %w", err), sub.Close())
	}
	ready()
	var handling sync.WaitGroup
	for msg := range messages {
		handling.Go(func() { d.handle(msg) })
	}
	handling.Wait()
	return sub.Close()
}

// handle has the job of one message recorded and settles the message: done,
// refused for good, or to come again.
func (d *Door) handle(msg *message.Message) {
	ctx, cancel := context.WithTimeout(msg.Context(), handleWithin)
	defer cancel()
	ctx, span := d.tracer.Start(ctx, "NATS submit", trace.WithSpanKind(trace.SpanKindConsumer))
	defer span.End()
	from, ok := wmjs.DeliveryOf(ctx)
	if !ok {
		d.log.Error().Msg("a message without a delivery cannot be handled")
		msg.Nack()
		return
	}
	err := d.submit(ctx, from, msg.Payload)
	kind := fault.KindOf(err)
	switch {
	case err == nil:
	case kind == fault.Unavailable || kind == fault.Internal || kind == fault.RateLimited:
		d.log.Warn().Err(err).Str(telemetry.FieldSubject, from.Subject).Msg("a message could not be submitted now; it will come again")
		msg.Nack()
		return
	default:
		why := *fault.Public(err)
		// Sentences repeat what the message holds, and it may be long.
		why.Detail = contract.Cut(why.Detail, maxDetail)
		if err := d.refuse(ctx, from, msg.Payload, &why); err != nil {
			d.log.Error().Err(err).Msg("a refused message could not be kept; it will come again")
			msg.Nack()
			return
		}
	}
	msg.Ack()
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
	if v := d.limits.Take(ctx, caller); !v.Allowed {
		// The message waits in the stream; nothing is lost.
		return fault.New(fault.RateLimited, "rate_limited", "Too many messages with this key")
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

// idOf is the id of the job of a message without an idempotency key: the same
// each time the message is delivered, and of no other message.
func idOf(from wmjs.Delivery) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("nexus:door:"+placeOf(from))).String()
}

// placeOf names a message for ever: a stream that was made anew counts from one
// again, but not at the same time.
func placeOf(from wmjs.Delivery) string {
	return fmt.Sprintf("%s.%d.%d", from.Stream, from.Sequence, from.Stored.UnixNano())
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

// refuse keeps a message that will never become a job as a dead letter, and
// tells its sender, who has only the broker's receipt.
func (d *Door) refuse(ctx context.Context, from wmjs.Delivery, body []byte, why *fault.Error) error {
	owner, jobType, err := contract.ParseSubmitSubject(from.Subject)
	if err != nil {
		owner, jobType = "unknown", "unknown"
	}
	if err := d.bury(ctx, from, body, why); err != nil {
		return err
	}
	data, err := json.Marshal(contract.Rejection{Owner: owner, JobType: jobType, Sequence: from.Sequence, Code: why.Code, Detail: why.Detail})
	if err != nil {
		return fmt.Errorf("encode a rejection: %w", err)
	}
	message, err := bus.EventMessage(contract.AreaSubmit, contract.WhatRejected, owner, contract.Event{
		ID: placeOf(from) + ".rejected", Type: contract.EventType(contract.AreaSubmit, contract.WhatRejected), Time: d.now().UTC(), Source: "nexus.gateway",
		Actor: owner, RequestID: requestID(from.Header), TraceParent: telemetry.TraceParent(ctx), Data: data,
	})
	if err != nil {
		return err
	}
	return d.pub.Publish(ctx, message)
}

func (d *Door) bury(ctx context.Context, from wmjs.Delivery, body []byte, why *fault.Error) error {
	subject, err := contract.DeadSubject("gateway", "refused")
	if err != nil {
		return fmt.Errorf("name a dead letter: %w", err)
	}
	header := nats.Header{contract.HeaderReason: {why.Code + ": " + why.Detail}, contract.HeaderOrigin: {from.Subject}}
	if id := requestID(from.Header); id != "" {
		// A replay goes on under it, and in the same trace.
		header.Set(contract.HeaderRequestID, id)
	}
	if len(body) > contract.MaxMessage {
		// A message as large as the broker takes has no room for our headers.
		header.Set(contract.HeaderBodySize, strconv.Itoa(len(body)))
		body = body[:contract.MaxMessage]
	}
	future, err := d.pub.Send(bus.Message{Subject: subject, ID: placeOf(from), Type: "nexus.dead.v1", TraceParent: telemetry.TraceParent(ctx), Body: body}, header)
	if err != nil {
		return err
	}
	select {
	case <-future.Ok():
		return nil
	case err := <-future.Err():
		return bus.PublishFault(subject, err)
	case <-ctx.Done():
		return fmt.Errorf("keep a dead letter: %w", ctx.Err())
	}
}
