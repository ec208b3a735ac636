package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

type batchInput struct {
	Body struct {
		Jobs []submitBody `json:"jobs" minItems:"1" maxItems:"1000" doc:"The jobs, each as in a submit, with execution_mode async."`
	}
}

type batchOutput struct {
	Status int
	Body   struct {
		Jobs []submitted `json:"jobs" doc:"The jobs in the order they were given."`
	}
}

// submitJobs admits jobs and has them recorded in one transaction. The first
// that is refused refuses all.
func (s *Server) submitJobs(ctx context.Context, in *batchInput) (*batchOutput, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	subs := make([]contract.Submission, len(in.Body.Jobs))
	for i, b := range in.Body.Jobs {
		ask := b.ask(requestIDOf(ctx))
		if ask.ExecutionMode != contract.ModeAsync {
			return nil, atIndex(i, fault.Unprocessablef("execution_mode is '%s': jobs of a batch are async", ask.ExecutionMode))
		}
		if subs[i], err = s.deps.Admission.Admit(ctx, caller, ask); err != nil {
			return nil, atIndex(i, err)
		}
	}
	verdicts, err := s.deps.Submitter.SubmitBatch(ctx, subs)
	if err != nil {
		return nil, err
	}
	out := &batchOutput{Status: http.StatusOK}
	out.Body.Jobs = make([]submitted, len(subs))
	var accepted []contract.Submission
	for i, v := range verdicts {
		if err := refusal(v); err != nil {
			return nil, atIndex(i, err)
		}
		if v.Status == contract.StatusAccepted {
			accepted = append(accepted, subs[i])
			out.Status = http.StatusAccepted
		}
		out.Body.Jobs[i] = submitted{JobID: subs[i].JobID, Status: v.Status, JobType: subs[i].JobType, ExecutionMode: subs[i].ExecutionMode}
	}
	if len(accepted) > 0 {
		s.keepAccepted(ctx, accepted...)
	}
	return out, nil
}

// refusal turns the verdict on the one job that refuses a batch into a fault.
func refusal(v contract.SubmitVerdict) error {
	switch v.Code {
	case "", contract.CodeNotRecorded:
		return nil
	case contract.CodeConflict:
		return fault.Conflictf("%s", v.Detail)
	case contract.CodeUnknownJobType:
		return fault.Invalidf(v.Code, "%s", v.Detail)
	default:
		return fault.Unprocessablef("%s", v.Detail)
	}
}

// atIndex says which job of a batch an error is about.
func atIndex(i int, err error) error {
	if fault.KindOf(err) == fault.Internal {
		return fmt.Errorf("job %d of a batch: %w", i, err)
	}
	why := fault.Public(err)
	return fault.New(why.Kind, why.Code, fmt.Sprintf("jobs[%d]: %s", i, why.Detail))
}
