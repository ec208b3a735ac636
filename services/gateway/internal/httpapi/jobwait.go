package httpapi

import (
	"context"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/gateway/internal/await"
)

// runSubmissions has jobs recorded, all or none, and waits for the end of the first. It
// returns that job as it is when the wait ends: finished, or not yet. A job that
// has failed is the fault that it failed with.
func (s *Server) runSubmissions(ctx context.Context, subs ...contract.Submission) (contract.Job, error) {
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
		return s.deps.Accepted.Find(ctx, subs[0].JobID)
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
			s.keepAccepted(ctx, subs[0])
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
			s.keepAccepted(ctx, subs[i])
		}
	}
	return verdicts[0], nil
}
