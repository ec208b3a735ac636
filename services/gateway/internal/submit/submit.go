// Package submit sends admitted jobs to the recorder and waits for its word.
// Requests that arrive together travel in one command.
package submit

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"nexus.internal/libs/batch"
	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
)

const (
	// confirmWithin is how long a commit is waited for before the answer is
	// `accepted`.
	confirmWithin = 2 * time.Second
	// storeWithin is how long the broker may take to say that it has a command.
	storeWithin = 4 * time.Second
	// maxBytes bounds the payloads of one command.
	maxBytes = contract.MaxMessage - 64<<10
	// writers is how many commands may wait for the broker at once.
	writers = 4
)

// Sender publishes commands.
type Sender interface {
	Send(m bus.Message, header nats.Header) (jetstream.PubAckFuture, error)
}

// Submitter is a run.Component.
type Submitter struct {
	nc    *nats.Conn
	pub   Sender
	log   zerolog.Logger
	inbox string
	next  atomic.Uint64

	requests *batch.Batcher[*request]
	mu       sync.Mutex
	waiting  map[string]*request
}

type request struct {
	submission contract.Submission
	verdict    chan contract.SubmitVerdict
	// stored is closed when the broker has the command, failed gets why not.
	stored chan struct{}
	failed chan error
}

// New makes a submitter.
func New(nc *nats.Conn, pub Sender, log zerolog.Logger) *Submitter {
	s := &Submitter{nc: nc, pub: pub, log: log, inbox: nc.NewInbox(), waiting: map[string]*request{}}
	s.requests = batch.New(batch.Options[*request]{
		Max: contract.MaxSubmissions, MaxWeight: maxBytes, Writers: writers, Flush: s.flush,
		Weigh:   func(r *request) int { return len(r.submission.Payload) + 1024 },
		Spoiled: spoiled,
	})
	return s
}

// Name implements run.Component.
func (s *Submitter) Name() string { return "submitter" }

// Run implements run.Component.
func (s *Submitter) Run(ctx context.Context, ready func()) error {
	sub, err := s.nc.Subscribe(s.inbox, bus.Guarded(s.log, s.receive))
	if err != nil {
		return err
	}
	if err := s.nc.Flush(); err != nil {
		return errors.Join(err, sub.Unsubscribe())
	}
	ready()
	s.requests.Run(ctx)
	return sub.Unsubscribe()
}

// Submit has a job recorded. Its verdict is a status, or `accepted` when the
// broker has the command and the record is not confirmed in time. A refusal is
// a fault, and so is a broker that cannot take the command.
func (s *Submitter) Submit(ctx context.Context, sub contract.Submission) (contract.SubmitVerdict, error) {
	sub.Ref = strconv.FormatUint(s.next.Add(1), 36)
	r := &request{submission: sub, verdict: make(chan contract.SubmitVerdict, 1), stored: make(chan struct{}), failed: make(chan error, 1)}
	s.mu.Lock()
	s.waiting[sub.Ref] = r
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, sub.Ref)
		s.mu.Unlock()
	}()
	if err := s.requests.Add(ctx, r); err != nil {
		return contract.SubmitVerdict{}, fault.Wrap(fault.Unavailable, err, "The gateway is shutting down.")
	}
	v, err := s.await(ctx, r)
	if err == nil {
		s.write(sub, v)
	}
	return v, err
}

// write logs that a job was taken in.
func (s *Submitter) write(sub contract.Submission, v contract.SubmitVerdict) {
	telemetry.OfJob(s.log.Debug(), sub.JobID, sub.JobType, sub.RequestID, sub.TraceParent).Str("status", string(v.Status)).Msg("job taken in")
}

func (s *Submitter) await(ctx context.Context, r *request) (contract.SubmitVerdict, error) {
	timer := time.NewTimer(confirmWithin)
	defer timer.Stop()
	select {
	case v := <-r.verdict:
		return judge(v)
	case err := <-r.failed:
		return contract.SubmitVerdict{}, err
	case <-ctx.Done():
	case <-timer.C:
	}
	last := time.NewTimer(storeWithin - confirmWithin)
	defer last.Stop()
	select {
	case v := <-r.verdict:
		return judge(v)
	case err := <-r.failed:
		return contract.SubmitVerdict{}, err
	case <-r.stored:
		return contract.SubmitVerdict{JobID: r.submission.JobID, Status: contract.StatusAccepted}, nil
	case <-last.C:
		return contract.SubmitVerdict{}, fault.Unavailablef("The message broker did not confirm in time; submit again with the same idempotency key.")
	}
}

// judge turns a refusal into a fault.
func judge(v contract.SubmitVerdict) (contract.SubmitVerdict, error) {
	switch v.Code {
	case "":
		return v, nil
	case contract.CodeConflict:
		return v, fault.Conflictf("%s", v.Detail)
	case contract.CodeUnknownJobType:
		return v, fault.Invalidf(v.Code, "%s", v.Detail)
	default:
		return v, fault.Unprocessablef("%s", v.Detail)
	}
}

// spoiled answers a request whose command could not be made.
func spoiled(_ context.Context, r *request, err error) {
	select {
	case r.failed <- err:
	default:
	}
}

func (s *Submitter) flush(ctx context.Context, group []*request) {
	cmd := contract.SubmitCommand{Submissions: make([]contract.Submission, len(group))}
	for i, r := range group {
		cmd.Submissions[i] = r.submission
	}
	err := s.send(ctx, cmd)
	if fault.KindOf(err) == fault.TooLarge && len(group) > 1 {
		// One of them is larger than it looked; alone it cannot take the others
		// with it.
		for _, r := range group {
			s.flush(ctx, []*request{r})
		}
		return
	}
	if err != nil {
		for _, r := range group {
			r.failed <- err
		}
		return
	}
	for _, r := range group {
		close(r.stored)
	}
}

func (s *Submitter) send(ctx context.Context, cmd contract.SubmitCommand) error {
	body, err := contract.Encode(cmd)
	if err != nil {
		return fault.Unprocessablef("The payload is not valid JSON.")
	}
	future, err := s.pub.Send(bus.Message{
		Subject: contract.SubjectSubmitJobs, ID: uuid.NewString(), Type: contract.TypeSubmitCommand,
		TraceParent: cmd.Submissions[0].TraceParent, Body: body,
	}, nats.Header{contract.HeaderReplyTo: {s.inbox}})
	if err != nil {
		return err
	}
	timer := time.NewTimer(storeWithin)
	defer timer.Stop()
	select {
	case <-future.Ok():
		return nil
	case err := <-future.Err():
		return bus.PublishFault(contract.SubjectSubmitJobs, err)
	case <-timer.C:
		return fault.Unavailablef("The message broker does not answer now.")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// receive hands verdicts to those who wait for them.
func (s *Submitter) receive(msg *nats.Msg) {
	var reply contract.SubmitReply
	if err := contract.Decode(msg.Data, &reply); err != nil {
		s.log.Error().Err(err).Msg("the recorder's answer is unreadable")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range reply.Verdicts {
		if r := s.waiting[v.Ref]; r != nil {
			delete(s.waiting, v.Ref)
			r.verdict <- v
		}
	}
}
