package record

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/jobs/internal/store"
)

// retry has a command come again that met an error nobody can wait for, each time
// later, and gives it up after some tries.
func (r *Recorder) retry(ctx context.Context, c *command, err error) {
	if r.tries.Over(c.id()) {
		r.giveUp(ctx, c, err)
		return
	}
	r.log.Error().Err(err).Msg("could not record jobs; their command is tried again")
	delay := nakDelay
	if meta, err := c.msg.Metadata(); err == nil {
		delay <<= min(meta.NumDelivered, maxTries) - 1
	}
	if err := c.msg.NakWithDelay(delay); err != nil {
		r.log.Warn().Err(err).Msg("could not give back a command; it will come again by itself")
	}
}

// id names a command among those that are tried again.
func (c *command) id() string {
	return bus.OriginOf(c.msg).ID()
}

// giveUp keeps a command that cannot be recorded as a dead letter, and tells the
// owners of its jobs: they may have been told that the jobs are accepted.
func (r *Recorder) giveUp(ctx context.Context, c *command, cause error) {
	r.tries.Done(c.id())
	for _, j := range c.jobs {
		if err := r.reject(ctx, j); err != nil {
			telemetry.OfJob(r.log.Error().Err(err), j.JobID, j.JobType, j.RequestID, j.TraceParent).Msg("could not tell an owner that a job came to nothing")
			continue
		}
		telemetry.OfJob(r.log.Error(), j.JobID, j.JobType, j.RequestID, j.TraceParent).Msg("job cannot be recorded; its command becomes a dead letter")
	}
	r.bury(ctx, c.msg, reasonUnrecordable, cause)
}

// reject tells an owner that a job cannot be recorded. Whoever gives it up twice
// says so once: the id of the event is the same.
func (r *Recorder) reject(ctx context.Context, j store.NewJob) error {
	data, err := contract.Encode(contract.Rejection{
		Owner: j.CreatedBy, JobType: j.JobType, JobID: j.JobID, Code: "internal", Detail: "Something went wrong on our side; the job could not be recorded.",
	})
	if err != nil {
		return fmt.Errorf("encode a rejection: %w", err)
	}
	message, err := bus.EventMessage(contract.AreaSubmit, contract.WhatRejected, j.CreatedBy, contract.Event{
		ID: j.JobID + ".rejected", Type: contract.EventType(contract.AreaSubmit, contract.WhatRejected), Time: r.now().UTC(), Source: "nexus.jobs",
		Actor: j.CreatedBy, RequestID: j.RequestID, TraceParent: j.TraceParent, Data: data,
	})
	if err != nil {
		return err
	}
	return r.dead.Publish(ctx, message)
}

// Why a command became a dead letter; the last word of its new subject.
const (
	reasonUndecodable  = "undecodable"
	reasonUnrecordable = "unrecordable"
)

// bury keeps a command that no job can come of, with the reason.
func (r *Recorder) bury(ctx context.Context, msg jetstream.Msg, word string, reason error) {
	err := r.dead.Bury(ctx, bus.DeadLetter{Service: "jobs", Word: word, Reason: reason.Error(), From: bus.OriginOf(msg), Body: msg.Data()})
	if err != nil {
		r.log.Error().Err(err).Msg("could not keep a command as a dead letter; it will come again")
		r.nak(msg)
		return
	}
	// The letter says why; that may repeat what the command holds.
	r.log.Error().Str("reason", word).Str(telemetry.FieldSubject, msg.Subject()).
		Str(telemetry.FieldTraceID, telemetry.TraceID(telemetry.FromHeader(ctx, msg.Headers()))).Msg("a command became a dead letter")
	r.ack(msg)
}
