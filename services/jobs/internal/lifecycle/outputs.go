package lifecycle

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/jobs/internal/store"
)

// maxChecking is how many large outputs are held in memory at once.
const maxChecking = 2

// Put keeps a part of an output that is too large for a report.
func (s *Service) Put(ctx context.Context, req contract.PutRequest) (contract.PutReply, error) {
	lease, err := parseLease(contract.LeaseRef{JobID: req.JobID, LeaseToken: req.LeaseToken}, "")
	if err != nil {
		return contract.PutReply{}, err
	}
	switch {
	case req.Total > s.maxOutput:
		return contract.PutReply{}, s.tooLarge(req.Total)
	case req.Output < 0 || req.Output > contract.MaxArtifacts:
		return contract.PutReply{}, fault.Invalidf("bad_output", "The output has the number %d: want 0 to %d.", req.Output, contract.MaxArtifacts)
	case req.Part < 0 || req.Part >= contract.OutputParts(s.maxOutput):
		return contract.PutReply{}, fault.Invalidf("bad_part", "The part has the number %d: want 0 to %d.", req.Part, contract.OutputParts(s.maxOutput)-1)
	case len(req.Body) < 1 || len(req.Body) > contract.MaxOutputPart:
		return contract.PutReply{}, fault.Invalidf("bad_part", "The part has %d bytes: want 1 to %d.", len(req.Body), contract.MaxOutputPart)
	}
	held, room, err := s.store.PutPart(ctx, store.Part{Lease: lease, Output: req.Output, Part: req.Part, Body: req.Body}, s.maxOutput)
	switch {
	case err != nil:
		return contract.PutReply{}, s.trouble(err, 1, "could not keep a part of an output")
	case held && !room:
		return contract.PutReply{}, s.tooLarge(s.maxOutput + 1)
	}
	return contract.PutReply{Accepted: held}, nil
}

func (s *Service) tooLarge(size int) error { return fault.New(fault.TooLarge, "", s.sizeProblem(size)) }

func (s *Service) sizeProblem(size int) string {
	return fmt.Sprintf("The result and the artifacts of the job have %d bytes; the limit is %d.", size, s.maxOutput)
}

// checkLarge looks through the outputs that were put in parts, once they are reported:
// what is incomplete or no JSON makes a failure of the report that claims it.
func (s *Service) checkLarge(ctx context.Context, results []store.Finished) error {
	for i, r := range results {
		if r.Outcome != contract.OutcomeSucceeded {
			continue
		}
		why, permanent, err := s.problemOfLarge(ctx, r)
		if err != nil {
			return s.trouble(err, 1, "could not look through a large output")
		}
		if why != "" {
			results[i].RunResult = failed(r.RunResult, why, permanent)
		}
	}
	return nil
}

func (s *Service) problemOfLarge(ctx context.Context, r store.Finished) (why string, permanent bool, err error) {
	large := map[int]int{}
	total := len(r.Result)
	if r.ResultBytes > 0 {
		large[0] = r.ResultBytes
	}
	for i, a := range r.Artifacts {
		if total += len(a.Payload); a.PayloadBytes > 0 {
			large[i+1] = a.PayloadBytes
		}
	}
	if len(large) == 0 {
		return "", false, nil
	}
	for _, size := range large {
		// A sum that is too large is no longer looked at: sizes are what a worker says.
		if size > s.maxOutput || total > s.maxOutput-size {
			return s.sizeProblem(min(size, contract.MaxOutputBytes) + min(total, contract.MaxOutputBytes)), true, nil
		}
		total += size
	}
	for number, size := range large {
		if why, permanent, err = s.problemOfOutput(ctx, r.Lease, number, size); err != nil || why != "" {
			return why, permanent, err
		}
	}
	return "", false, nil
}

func (s *Service) problemOfOutput(ctx context.Context, lease store.Lease, number, size int) (why string, permanent bool, err error) {
	select {
	case s.checking <- struct{}{}:
		defer func() { <-s.checking }()
	case <-ctx.Done():
		return "", false, fault.Wrap(fault.Unavailable, ctx.Err(), "The results were not recorded in time.")
	}
	data, err := s.store.Staged(ctx, lease, number, size)
	switch {
	case err != nil:
		return "", false, err
	case data == nil:
		return "a part of the result or of an artifact is missing", false, nil
	case !utf8.Valid(data):
		return "the result or an artifact holds characters that cannot be stored", true, nil
	case !json.Valid(data):
		return "the result or an artifact is not JSON", true, nil
	}
	return "", false, nil
}
