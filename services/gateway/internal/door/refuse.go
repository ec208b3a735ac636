package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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
		ID: from.Origin().ID() + ".rejected", Type: contract.EventType(contract.AreaSubmit, contract.WhatRejected), Time: d.now().UTC(), Source: "nexus.gateway",
		Actor: owner, RequestID: requestID(from.Header), TraceParent: telemetry.TraceParent(ctx), Data: data,
	})
	if err != nil {
		return err
	}
	return d.pub.Publish(ctx, message)
}

func (d *Door) bury(ctx context.Context, from wmjs.Delivery, body []byte, why *fault.Error) error {
	// A replay goes on under the request id, and in the same trace.
	return d.pub.Bury(ctx, bus.DeadLetter{
		Service: "gateway", Word: "refused", Reason: why.Code + ": " + why.Detail, From: from.Origin(),
		RequestID: requestID(from.Header), TraceParent: telemetry.TraceParent(ctx), Body: body,
	})
}
