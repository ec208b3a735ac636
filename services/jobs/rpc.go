package jobs

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/outbox"
)

// handle adds the requests of readers and of those who change jobs.
func (s *Service) handle(rpc *bus.RPC) {
	bus.Handle(rpc, contract.RPCJobsGet, s.get)
	bus.Handle(rpc, contract.RPCJobsList, s.list)
	bus.Handle(rpc, contract.RPCJobsCancel, s.cancel)
	bus.Handle(rpc, contract.RPCJobsTypes, s.types)
	bus.Handle(rpc, contract.RPCJobsPayload, s.payload)
	bus.Handle(rpc, contract.RPCJobsOutput, s.output)
	bus.Handle(rpc, contract.RPCJobsCounts, s.counts)
	bus.Handle(rpc, contract.RPCJobsRetry, s.retry)
	bus.Handle(rpc, contract.RPCJobsRetryMany, s.retryMany)
	bus.Handle(rpc, contract.RPCJobsSetType, s.setType)
	bus.Handle(rpc, contract.RPCJobsWorkers, s.workers)
	bus.Handle(rpc, contract.RPCJobsQueues, s.queues)
	bus.Handle(rpc, contract.RPCJobsPause, s.pause)
	bus.Handle(rpc, contract.RPCJobsWebhooks, s.webhooks)
}

// publish sends what a committed change caused.
func (s *Service) publish(ctx context.Context, what string, entry outbox.Entry) {
	if err := s.store.Publish(ctx, entry); err != nil {
		s.deps.Log.Warn().Err(err).Msg("could not publish " + what + "; the relay will")
	}
}

func parseID(id string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return uuid.UUID{}, fault.Unprocessablef("'%s' is not a job id", id)
	}
	return parsed, nil
}

func (s *Service) get(ctx context.Context, req contract.JobRequest) (contract.Job, error) {
	id, err := parseID(req.JobID)
	if err != nil {
		return contract.Job{}, err
	}
	return s.store.Get(ctx, id)
}

func (s *Service) payload(ctx context.Context, req contract.PayloadRequest) (contract.PayloadReply, error) {
	id, err := parseID(req.JobID)
	if err != nil {
		return contract.PayloadReply{}, err
	}
	if req.Offset < 0 || req.Offset > contract.MaxPayload {
		return contract.PayloadReply{}, fault.Unprocessablef("offset is %d: want 0 to %d", req.Offset, contract.MaxPayload)
	}
	part, size, err := s.store.Payload(ctx, id, req.Offset)
	return contract.PayloadReply{Part: part, Size: size}, err
}

func (s *Service) output(ctx context.Context, req contract.OutputRequest) (contract.PayloadReply, error) {
	id, err := parseID(req.JobID)
	if err != nil {
		return contract.PayloadReply{}, err
	}
	if req.Offset < 0 || req.Offset > contract.MaxOutputBytes {
		return contract.PayloadReply{}, fault.Unprocessablef("offset is %d: want 0 to %d", req.Offset, contract.MaxOutputBytes)
	}
	if req.Output < 0 || req.Output > contract.MaxArtifacts {
		return contract.PayloadReply{}, fault.Unprocessablef("output is %d: want 0 to %d", req.Output, contract.MaxArtifacts)
	}
	part, size, err := s.store.Output(ctx, id, req.Output, req.Offset)
	return contract.PayloadReply{Part: part, Size: size}, err
}

// webhooks tells where the events of jobs are to be posted.
func (s *Service) webhooks(ctx context.Context, req contract.JobWebhooksRequest) (contract.JobWebhooksReply, error) {
	if len(req.JobIDs) > contract.MaxJobWebhooks {
		return contract.JobWebhooksReply{}, fault.Unprocessablef("there are %d jobs; the limit is %d", len(req.JobIDs), contract.MaxJobWebhooks)
	}
	ids := make([]uuid.UUID, len(req.JobIDs))
	for i, text := range req.JobIDs {
		var err error
		if ids[i], err = parseID(text); err != nil {
			return contract.JobWebhooksReply{}, err
		}
	}
	hooks, err := s.store.Webhooks(ctx, ids)
	return contract.JobWebhooksReply{Webhooks: hooks}, err
}

func (s *Service) list(ctx context.Context, req contract.ListJobsRequest) (contract.ListJobsReply, error) {
	if req.Limit < 1 || req.Limit > 1000 {
		return contract.ListJobsReply{}, fault.Unprocessablef("limit is %d: want 1 to 1000", req.Limit)
	}
	if req.Offset < 0 {
		return contract.ListJobsReply{}, fault.Unprocessablef("offset is %d: want 0 or more", req.Offset)
	}
	if req.Cursor != "" && req.Offset > 0 {
		return contract.ListJobsReply{}, fault.Unprocessablef("cursor and offset exclude each other")
	}
	if err := checkWords(req.Status, req.JobType, req.CreatedBy, req.Priority, req.Tag); err != nil {
		return contract.ListJobsReply{}, err
	}
	jobs, next, err := s.store.List(ctx, req)
	if err != nil {
		return contract.ListJobsReply{}, err
	}
	return contract.ListJobsReply{Jobs: jobs, Limit: req.Limit, Offset: req.Offset, NextCursor: next}, nil
}

// checkWords refuses words to filter by that Postgres cannot read.
func checkWords(words ...string) error {
	for _, w := range words {
		if strings.ContainsRune(w, 0) {
			return fault.Unprocessablef("a filter cannot hold NUL characters")
		}
	}
	return nil
}

func (s *Service) counts(ctx context.Context, _ struct{}) (contract.JobCounts, error) {
	return s.store.Counts(ctx)
}

// cancel ends a job and tells whoever runs it.
func (s *Service) cancel(ctx context.Context, req contract.JobRequest) (contract.Job, error) {
	id, err := parseID(req.JobID)
	if err != nil {
		return contract.Job{}, err
	}
	wasRunning, cancelled, entry, err := s.store.Cancel(ctx, id, req.Actor)
	if err != nil {
		return contract.Job{}, err
	}
	if wasRunning {
		subject, err := contract.CancelSubject(id.String())
		if err == nil {
			err = s.deps.NC.Publish(subject, nil)
		}
		if err != nil {
			s.deps.Log.Warn().Err(err).Str("job_id", id.String()).Msg("could not tell the worker of a cancelled job; it learns it with its next heartbeat")
		}
	}
	if cancelled {
		s.publish(ctx, "a cancellation", entry)
	}
	return s.store.Get(ctx, id)
}

func (s *Service) retry(ctx context.Context, req contract.JobRequest) (contract.Job, error) {
	id, err := parseID(req.JobID)
	if err != nil {
		return contract.Job{}, err
	}
	entry, err := s.store.Requeue(ctx, id, req.Actor, s.catalog.All())
	if err != nil {
		return contract.Job{}, err
	}
	s.publish(ctx, "that a job is tried again", entry)
	return s.store.Get(ctx, id)
}

func (s *Service) retryMany(ctx context.Context, req contract.RetryJobsRequest) (contract.RetryJobsReply, error) {
	if st := contract.Status(req.Status); st != contract.StatusFailed && st != contract.StatusCancelled {
		return contract.RetryJobsReply{}, fault.Unprocessablef("status is '%s': want failed or cancelled", req.Status)
	}
	if req.Limit < 1 || req.Limit > 1000 || req.PerSecond < 1 || req.PerSecond > 1000 {
		return contract.RetryJobsReply{}, fault.Unprocessablef("limit and per_second must be 1 to 1000")
	}
	if err := checkWords(req.JobType, req.CreatedBy, req.Tag); err != nil {
		return contract.RetryJobsReply{}, err
	}
	reply, entry, err := s.store.RequeueMany(ctx, req, s.catalog.All())
	if err != nil {
		return contract.RetryJobsReply{}, err
	}
	s.publish(ctx, "that jobs are tried again", entry)
	s.wake()
	return reply, nil
}

func (s *Service) types(ctx context.Context, _ struct{}) (contract.JobTypesReply, error) {
	types, err := s.store.JobTypes(ctx)
	return contract.JobTypesReply{JobTypes: types}, err
}

// setType makes or changes a job type. The lanes of its queue are there before
// the first job can be.
func (s *Service) setType(ctx context.Context, req contract.SetJobTypeRequest) (contract.JobType, error) {
	if !contract.ValidToken(req.JobType.Name) || !contract.ValidToken(req.JobType.Queue) {
		return contract.JobType{}, fault.Unprocessablef("name and queue must be 1 to %d of a-z A-Z 0-9 _ -", contract.MaxToken)
	}
	if err := bus.Provision(ctx, s.deps.JS, nil, contract.QueueConsumers(req.JobType.Queue, s.deps.Worker.Lease())); err != nil {
		return contract.JobType{}, fault.Wrap(fault.Unavailable, err, "The lanes of the queue could not be made now.")
	}
	entry, err := s.store.SetJobType(ctx, req)
	if err != nil {
		return contract.JobType{}, err
	}
	s.publish(ctx, "the change of a job type", entry)
	if err := s.catalog.Refresh(ctx); err != nil {
		s.deps.Log.Warn().Err(err).Msg("could not read a changed job type; the next refresh will")
	}
	return req.JobType, nil
}

// goneLeases is how many leases a worker may be silent before it counts as
// gone.
const goneLeases = 2

func (s *Service) workers(ctx context.Context, _ struct{}) (contract.WorkersReply, error) {
	workers, err := s.store.Workers(ctx, goneLeases*s.deps.Worker.Lease())
	if workers == nil {
		workers = []contract.Worker{}
	}
	return contract.WorkersReply{Workers: workers}, err
}

func (s *Service) queues(ctx context.Context, _ struct{}) (contract.QueuesReply, error) {
	queues, err := s.store.Queues(ctx)
	return contract.QueuesReply{Queues: queues}, err
}

func (s *Service) pause(ctx context.Context, req contract.PauseQueueRequest) (contract.Queue, error) {
	if !contract.ValidToken(req.Queue) {
		return contract.Queue{}, fault.NotFoundf("Queue not found")
	}
	entry, err := s.store.PauseQueue(ctx, req)
	if err != nil {
		return contract.Queue{}, err
	}
	s.publish(ctx, "that a queue was paused or resumed", entry)
	if !req.Paused {
		s.wake()
	}
	queues, err := s.store.Queues(ctx)
	if err != nil {
		return contract.Queue{}, err
	}
	for _, q := range queues {
		if q.Name == req.Queue {
			return q, nil
		}
	}
	return contract.Queue{}, fault.NotFoundf("Queue not found")
}
