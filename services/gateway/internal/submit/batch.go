package submit

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

// Sized submits jobs of any size: those with a large payload travel alone, in
// parts.
type Sized struct{ *Submitter }

// Submit has one job recorded; see Submitter.Submit.
func (s Sized) Submit(ctx context.Context, sub contract.Submission) (contract.SubmitVerdict, error) {
	if len(sub.Payload) <= contract.MaxInlinePayload {
		return s.Submitter.Submit(ctx, sub)
	}
	verdicts, err := s.SubmitBatch(ctx, []contract.Submission{sub})
	if err != nil {
		return contract.SubmitVerdict{}, err
	}
	return judge(verdicts[0])
}

// SubmitBatch has jobs recorded all or not at all, and returns a verdict for
// each, in order. Where the record is not confirmed in time all are `accepted`.
func (s *Submitter) SubmitBatch(ctx context.Context, subs []contract.Submission) ([]contract.SubmitVerdict, error) {
	requests := make([]*request, len(subs))
	cmd := contract.SubmitCommand{Atomic: true, Submissions: make([]contract.Submission, len(subs))}
	s.mu.Lock()
	for i, sub := range subs {
		sub.Ref = strconv.FormatUint(s.next.Add(1), 36)
		requests[i] = &request{submission: sub, verdict: make(chan contract.SubmitVerdict, 1)}
		cmd.Submissions[i] = sub
		s.waiting[sub.Ref] = requests[i]
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, r := range requests {
			delete(s.waiting, r.submission.Ref)
		}
	}()
	if err := s.sendWhole(ctx, cmd); err != nil {
		return nil, err
	}
	verdicts := awaitAll(ctx, requests)
	for i, v := range verdicts {
		if v.Code == "" {
			s.write(subs[i], v)
		}
	}
	return verdicts, nil
}

func awaitAll(ctx context.Context, requests []*request) []contract.SubmitVerdict {
	timer := time.NewTimer(confirmWithin)
	defer timer.Stop()
	verdicts := make([]contract.SubmitVerdict, len(requests))
	for i, r := range requests {
		select {
		case verdicts[i] = <-r.verdict:
			continue
		default:
		}
		select {
		case verdicts[i] = <-r.verdict:
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		// One answer comes for all of them, or none.
		for k, r := range requests {
			verdicts[k] = contract.SubmitVerdict{JobID: r.submission.JobID, Status: contract.StatusAccepted}
		}
		return verdicts
	}
	return verdicts
}

// sendWhole sends a command of any size. What is larger than a message goes in
// parts; the recorder acts once it has the last.
func (s *Submitter) sendWhole(ctx context.Context, cmd contract.SubmitCommand) error {
	body, err := contract.Encode(cmd)
	if err != nil {
		return fault.Unprocessablef("The payload is not valid JSON.")
	}
	trace := cmd.Submissions[0].TraceParent
	if len(body) <= contract.MaxMessage-64<<10 {
		return s.publish(ctx, contract.TypeSubmitCommand, trace, body)
	}
	parts := (len(body) + contract.MaxCommandPart - 1) / contract.MaxCommandPart
	if parts > contract.MaxCommandParts {
		return fault.New(fault.TooLarge, "", "The jobs together are too large.")
	}
	bodies := make([][]byte, parts)
	id := uuid.NewString()
	for i := range bodies {
		part := contract.SubmitPart{CommandID: id, Part: i, Parts: parts, Body: body[i*contract.MaxCommandPart : min(len(body), (i+1)*contract.MaxCommandPart)]}
		if bodies[i], err = contract.Encode(part); err != nil {
			return fault.Unprocessablef("The payload is not valid JSON.")
		}
	}
	return s.publish(ctx, contract.TypeSubmitPart, trace, bodies...)
}

// publish sends messages to the recorder and returns once the broker has all of
// them.
func (s *Submitter) publish(ctx context.Context, kind, traceParent string, bodies ...[]byte) error {
	futures := make([]jetstream.PubAckFuture, len(bodies))
	for i, body := range bodies {
		var err error
		futures[i], err = s.pub.Send(bus.Message{Subject: contract.SubjectSubmitJobs, ID: uuid.NewString(), Type: kind, TraceParent: traceParent, Body: body},
			nats.Header{contract.HeaderReplyTo: {s.inbox}})
		if err != nil {
			return err
		}
	}
	timer := time.NewTimer(storeWithin)
	defer timer.Stop()
	for _, future := range futures {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			return bus.PublishFault(contract.SubjectSubmitJobs, err)
		case <-timer.C:
			return fault.Unavailablef("The message broker does not answer now.")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
