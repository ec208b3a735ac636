// Package accepted keeps, at the broker, which jobs the gateways have accepted and
// nobody has recorded yet: whichever gateway is asked for one knows it.
package accepted

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

const (
	// maxPayload is the largest payload kept with an accepted job, in bytes. A
	// larger one is shown once the job is recorded.
	maxPayload = 64 << 10
	// within bounds one question to the broker.
	within = 2 * time.Second
)

// Publisher publishes messages and returns once the broker has them.
type Publisher interface {
	Publish(ctx context.Context, messages ...bus.Message) error
}

// Jobs are the accepted jobs.
type Jobs struct {
	nc  *nats.Conn
	pub Publisher
	now func() time.Time
}

// New makes the accepted jobs.
func New(nc *nats.Conn, pub Publisher, now func() time.Time) *Jobs {
	return &Jobs{nc: nc, pub: pub, now: now}
}

// Keep says of submissions that the broker has them. They are forgotten after
// contract.AcceptedFor.
func (j *Jobs) Keep(ctx context.Context, subs ...contract.Submission) error {
	messages := make([]bus.Message, len(subs))
	for i, sub := range subs {
		subject, err := contract.AcceptedSubject(sub.JobID)
		if err != nil {
			return fmt.Errorf("keep an accepted job: %w", err)
		}
		body, err := contract.Encode(j.job(sub))
		if err != nil {
			return fmt.Errorf("keep an accepted job: %w", err)
		}
		messages[i] = bus.Message{Subject: subject, ID: "accepted." + sub.JobID, Type: contract.TypeAccepted, TraceParent: sub.TraceParent, RequestID: sub.RequestID, Body: body}
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return j.pub.Publish(ctx, messages...)
}

// job is how an accepted job is read.
func (j *Jobs) job(sub contract.Submission) contract.Job {
	at := j.now().UTC()
	job := contract.Job{
		JobSummary: contract.JobSummary{
			JobID: sub.JobID, JobType: sub.JobType, Status: contract.StatusAccepted, ExecutionMode: sub.ExecutionMode,
			MaxAttempts: sub.MaxAttempts, CreatedAt: at, UpdatedAt: at,
		},
		CreatedBy: sub.CreatedBy, Attempts: []contract.Attempt{}, Artifacts: []contract.CreatedArtifact{},
	}
	if len(sub.Payload) <= maxPayload {
		job.Payload = sub.Payload
	}
	if sub.IdempotencyKey != "" {
		job.IdempotencyKey = &sub.IdempotencyKey
	}
	return job
}

func errNotFound() error { return fault.NotFoundf("Job not found") }

// Find returns an accepted job. One that is not there is a fault of kind NotFound.
func (j *Jobs) Find(ctx context.Context, id string) (contract.Job, error) {
	var job contract.Job
	subject, err := contract.AcceptedSubject(id)
	if err != nil {
		return job, errNotFound()
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	msg, err := j.nc.RequestWithContext(ctx, contract.AcceptedGet+subject, nil)
	if errors.Is(err, nats.ErrNoResponders) {
		// The broker has no such stream, or keeps none at all: it can have
		// accepted nothing.
		return job, errNotFound()
	}
	if err != nil {
		return job, fault.Wrap(fault.Unavailable, fmt.Errorf("look for an accepted job: %w", err), "The message broker does not answer now.")
	}
	switch status := msg.Header.Get("Status"); status {
	case "":
	case "404":
		return job, errNotFound()
	default:
		return job, fault.Wrap(fault.Unavailable, fmt.Errorf("look for an accepted job: the broker answered %s %s", status, msg.Header.Get("Description")), "The message broker does not answer now.")
	}
	if err := json.Unmarshal(msg.Data, &job); err != nil {
		return job, fmt.Errorf("decode an accepted job: %w", err)
	}
	if j.now().Sub(job.CreatedAt) > contract.AcceptedFor {
		return contract.Job{}, errNotFound()
	}
	return job, nil
}
