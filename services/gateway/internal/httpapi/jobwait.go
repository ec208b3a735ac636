package httpapi

import (
	"context"
	"fmt"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/gateway/internal/await"
)

// runJob has jobs recorded, all or none, and waits for the end of the first. It
// returns that job as it is when the wait ends: finished, or not yet. A job that
// has failed is the fault that it failed with.
func (s *Server) runJob(ctx context.Context, subs ...contract.Submission) (contract.Job, error) {
	// Listening begins before the job exists, so its end cannot be missed.
	finished, stop, err := s.deps.Watcher.Watch(subs[0].JobID)
	if err != nil {
		return contract.Job{}, fault.Wrap(fault.Unavailable, err, "Waiting for jobs is not possible now.")
	}
	defer stop()
	verdict, err := s.record(ctx, subs)
	if err != nil {
		return contract.Job{}, err
	}
	if !verdict.Status.Finished() {
		waitCtx, cancel := context.WithTimeout(ctx, s.opts.SyncWait)
		defer cancel()
		await.Wait(waitCtx, finished)
	}
	job, err := bus.Call[contract.Job](ctx, s.deps.NC, contract.RPCJobsGet, contract.JobRequest{JobID: subs[0].JobID})
	if fault.KindOf(err) == fault.NotFound {
		// The broker has it, the record is yet to come.
		if job, ok := s.accepted.get(subs[0].JobID); ok {
			return job, nil
		}
	}
	if fault.KindOf(err) == fault.Unavailable {
		// The job is recorded all the same, and can be asked for later.
		return contract.Job{JobSummary: contract.JobSummary{JobID: subs[0].JobID, Status: verdict.Status}}, nil
	}
	if err != nil {
		return contract.Job{}, err
	}
	return job, faultOf(job)
}

// record has jobs recorded, all or none, and returns the verdict on the first.
func (s *Server) record(ctx context.Context, subs []contract.Submission) (contract.SubmitVerdict, error) {
	if len(subs) == 1 {
		verdict, err := s.deps.Submitter.Submit(ctx, subs[0])
		if err == nil && verdict.Status == contract.StatusAccepted {
			s.accepted.add(subs[0])
		}
		return verdict, err
	}
	verdicts, err := s.deps.Submitter.SubmitBatch(ctx, subs)
	if err != nil {
		return contract.SubmitVerdict{}, err
	}
	for i, v := range verdicts {
		if err := refusal(v); err != nil {
			return contract.SubmitVerdict{}, err
		}
		if v.Status == contract.StatusAccepted {
			s.accepted.add(subs[i])
		}
	}
	return verdicts[0], nil
}

// faultOf is what a job failed with, as a caller who waited for it is told; nil
// for a job that has not failed.
func faultOf(job contract.Job) error {
	switch job.Status {
	case contract.StatusCancelled:
		return fault.Conflictf("The job %s was cancelled.", job.JobID)
	case contract.StatusFailed:
	default:
		return nil
	}
	if job.ErrorText != nil {
		if f, ok := fault.Parse(*job.ErrorText); ok {
			return f
		}
	}
	return fault.New(fault.Internal, "job_failed", fmt.Sprintf("The job failed; /api/v1/jobs/%s says more.", job.JobID))
}
