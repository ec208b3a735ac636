package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
)

// unknown stands for what a subject does not tell.
const unknown = "unknown"

// reason is what is said of a refused message, and when it may be sent again, in
// seconds; zero where waiting does not help.
func reason(cause error) (why *fault.Error, retryAfter int) {
	var over *overLimitError
	if errors.As(cause, &over) {
		retryAfter = max(1, int((over.wait+time.Second-1)/time.Second))
		return fault.New(fault.RateLimited, "rate_limited", fmt.Sprintf(
			"Too many messages with this key, and too many of them wait already; send it again after %d seconds", retryAfter)), retryAfter
	}
	why = fault.Public(cause)
	// Sentences repeat what the message holds, and it may be long.
	why.Detail = contract.Cut(why.Detail, maxDetail)
	return why, 0
}

// refuse keeps a message that will never become a job as a dead letter, and
// tells its sender, who has only the broker's receipt.
func (d *Door) refuse(ctx context.Context, from wmjs.Delivery, body []byte, cause error) error {
	why, retryAfter := reason(cause)
	owner, jobType, err := contract.ParseSubmitSubject(from.Subject)
	if err != nil {
		jobType = unknown
		// The server has checked the owner, whatever comes behind.
		var known bool
		if owner, known = contract.SubmitOwner(from.Subject); !known {
			owner = unknown
		}
	}
	kept := *why
	if why.Kind == fault.Internal {
		// Those who read dead letters are those who can mend it.
		kept.Detail = contract.Cut(cause.Error(), maxDetail)
	}
	if err := d.bury(ctx, from, body, &kept); err != nil {
		return err
	}
	d.log.Warn().Str("code", why.Code).Str("actor", owner).Str(telemetry.FieldSubject, from.Subject).Uint64("sequence", from.Sequence).
		Str(telemetry.FieldRequestID, requestID(from.Header)).Str(telemetry.FieldTraceID, telemetry.TraceID(ctx)).Msg("a message was refused and became a dead letter")
	data, err := json.Marshal(contract.Rejection{Owner: owner, JobType: jobType, Sequence: from.Sequence, Code: why.Code, Detail: why.Detail, RetryAfterSeconds: retryAfter})
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
