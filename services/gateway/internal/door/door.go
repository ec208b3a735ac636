// Package door is the NATS door: jobs published straight to JetStream. The
// server lets a client publish under its own name only, so the owner in the
// subject is proven; everything else in the message is checked like a REST
// request.
package door

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/gateway/internal/admission"
)

const (
	// inFlight bounds the messages handled at once.
	inFlight = 256
	// handleWithin bounds the handling of one message.
	handleWithin = 15 * time.Second
	// nakDelay is when a message comes again that could not be handled now.
	nakDelay = 2 * time.Second
	// maxRequestID is the longest request id taken from a client, in bytes.
	maxRequestID = 128
)

// Submitter has jobs recorded.
type Submitter interface {
	Submit(ctx context.Context, sub contract.Submission) (contract.SubmitVerdict, error)
}

// Door is a run.Component.
type Door struct {
	js        jetstream.JetStream
	admission *admission.Admission
	submitter Submitter
	pub       *bus.Publisher
	log       zerolog.Logger
	tracer    trace.Tracer
	now       func() time.Time
}

// New makes the door.
func New(js jetstream.JetStream, admit *admission.Admission, submitter Submitter, pub *bus.Publisher, log zerolog.Logger, tracer trace.TracerProvider, now func() time.Time) *Door {
	return &Door{js: js, admission: admit, submitter: submitter, pub: pub, log: log, tracer: tracer.Tracer("nexus.internal/services/gateway/door"), now: now}
}

// Name implements run.Component.
func (d *Door) Name() string { return "nats door" }

// Run implements run.Component.
func (d *Door) Run(ctx context.Context, ready func()) error {
	slots := make(chan struct{}, inFlight)
	var handling sync.WaitGroup
	base := context.WithoutCancel(ctx)
	err := bus.Consume(ctx, d.js, d.log, contract.StreamSubmit, contract.ConsumerDoor, inFlight, ready, func(msg jetstream.Msg) {
		slots <- struct{}{}
		handling.Go(func() {
			defer func() { <-slots }()
			d.handle(base, msg)
		})
	})
	handling.Wait()
	return err
}

// request is the body of a message: that of a REST submit, without
// execution_mode.
type request struct {
	JobType        string          `json:"job_type"`
	Payload        json.RawMessage `json:"payload"`
	IdempotencyKey string          `json:"idempotency_key"`
	MaxAttempts    int             `json:"max_attempts"`
}

// handle has the job of one message recorded and settles the message: done,
// refused for good, or to come again.
func (d *Door) handle(ctx context.Context, msg jetstream.Msg) {
	ctx, cancel := context.WithTimeout(ctx, handleWithin)
	defer cancel()
	ctx, span := d.tracer.Start(telemetry.FromHeader(ctx, msg.Headers()), "NATS submit", trace.WithSpanKind(trace.SpanKindConsumer))
	defer span.End()
	err := d.submit(ctx, msg)
	kind := fault.KindOf(err)
	switch {
	case err == nil:
	case kind == fault.Unavailable || kind == fault.Internal || kind == fault.RateLimited:
		d.log.Warn().Err(err).Str(telemetry.FieldSubject, msg.Subject()).Msg("a message could not be submitted now; it will come again")
		d.settle(msg.NakWithDelay(nakDelay))
		return
	default:
		if err := d.refuse(ctx, msg, fault.Public(err)); err != nil {
			d.log.Error().Err(err).Msg("a refused message could not be kept; it will come again")
			d.settle(msg.NakWithDelay(nakDelay))
			return
		}
	}
	d.settle(msg.Ack())
}

func (d *Door) settle(err error) {
	if err != nil {
		d.log.Warn().Err(err).Msg("a message could not be settled; it will come again and find its job recorded")
	}
}

func (d *Door) submit(ctx context.Context, msg jetstream.Msg) error {
	owner, jobType, err := contract.ParseSubmitSubject(msg.Subject())
	if err != nil {
		return fault.Unprocessablef("%s", err)
	}
	caller, err := d.admission.Owner(ctx, owner)
	if err != nil {
		return err
	}
	req, err := decode(msg.Data(), jobType)
	if err != nil {
		return err
	}
	sub, err := d.admission.Admit(ctx, caller, admission.Ask{
		JobType: jobType, Payload: req.Payload, ExecutionMode: contract.ModeAsync, IdempotencyKey: req.IdempotencyKey,
		MaxAttempts: req.MaxAttempts, RequestID: requestID(msg.Headers()),
	})
	if err != nil {
		return err
	}
	if req.IdempotencyKey == "" {
		if sub.JobID, err = idOf(msg); err != nil {
			return err
		}
	}
	_, err = d.submitter.Submit(ctx, sub)
	return err
}

func decode(data []byte, jobType string) (request, error) {
	var req request
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		return req, fault.Unprocessablef("The message is not a job: %s", err)
	}
	if dec.More() {
		return req, fault.Unprocessablef("The message holds more than one job.")
	}
	if req.JobType != "" && req.JobType != jobType {
		return req, fault.Unprocessablef("The message says job_type '%s', its subject '%s'", req.JobType, jobType)
	}
	return req, nil
}

// idOf is the id of the job of a message without an idempotency key: the same
// each time the message is delivered, and of no other message.
func idOf(msg jetstream.Msg) (string, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return "", fmt.Errorf("read the metadata of a message: %w", err)
	}
	name := fmt.Sprintf("nexus:door:%s:%d:%d", meta.Stream, meta.Sequence.Stream, meta.Timestamp.UnixNano())
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String(), nil
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
func (d *Door) refuse(ctx context.Context, msg jetstream.Msg, why *fault.Error) error {
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("read the metadata of a message: %w", err)
	}
	owner, jobType, err := contract.ParseSubmitSubject(msg.Subject())
	if err != nil {
		owner, jobType = "unknown", "unknown"
	}
	if err := d.bury(ctx, msg, meta, why); err != nil {
		return err
	}
	data, err := json.Marshal(contract.Rejection{Owner: owner, JobType: jobType, Sequence: meta.Sequence.Stream, Code: why.Code, Detail: why.Detail})
	if err != nil {
		return fmt.Errorf("encode a rejection: %w", err)
	}
	kind, id, parent := contract.EventType(contract.AreaSubmit, contract.WhatRejected), deadID(meta)+".rejected", telemetry.TraceParent(ctx)
	subject, err := contract.EventSubject(contract.AreaSubmit, contract.WhatRejected, owner)
	if err != nil {
		return fmt.Errorf("name a rejection: %w", err)
	}
	body, err := contract.EncodeEvents([]contract.Event{{
		ID: id, Type: kind, Time: d.now().UTC(), Source: "nexus.gateway", Actor: owner, RequestID: requestID(msg.Headers()), TraceParent: parent, Data: data,
	}})
	if err != nil {
		return err
	}
	return d.pub.Publish(ctx, bus.Message{Subject: subject, ID: id, Type: kind, TraceParent: parent, Body: body})
}

func deadID(meta *jetstream.MsgMetadata) string {
	return fmt.Sprintf("%s.%d.%d", meta.Stream, meta.Sequence.Stream, meta.Timestamp.UnixNano())
}

func (d *Door) bury(ctx context.Context, msg jetstream.Msg, meta *jetstream.MsgMetadata, why *fault.Error) error {
	subject, err := contract.DeadSubject("gateway", "refused")
	if err != nil {
		return fmt.Errorf("name a dead letter: %w", err)
	}
	future, err := d.pub.Send(bus.Message{Subject: subject, ID: deadID(meta), Type: "nexus.dead.v1", Body: msg.Data()},
		nats.Header{contract.HeaderReason: {why.Code + ": " + why.Detail}, contract.HeaderOrigin: {msg.Subject()}})
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
