package lifecycle

import (
	"context"
	"encoding/json"
	"unicode/utf8"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/pg"
	"nexus.internal/services/jobs/internal/store"
)

type finish struct {
	ctx     context.Context
	results []store.Finished
	reply   chan finishReply
}

type finishReply struct {
	verdicts []store.Verdict
	err      error
}

// Finish records how runs ended.
func (s *Service) Finish(ctx context.Context, req contract.FinishRequest) (contract.FinishReply, error) {
	results, err := parseResults(req)
	if err != nil {
		return contract.FinishReply{}, err
	}
	if len(results) == 0 {
		return contract.FinishReply{}, nil
	}
	if err := s.checkLarge(ctx, results); err != nil {
		return contract.FinishReply{}, err
	}
	f := &finish{ctx: ctx, results: results, reply: make(chan finishReply, 1)}
	if err := s.finishes.Add(ctx, f); err != nil {
		return contract.FinishReply{}, fault.Wrap(fault.Unavailable, err, "The jobs service is shutting down.")
	}
	select {
	case r := <-f.reply:
		if r.err != nil {
			return contract.FinishReply{}, r.err
		}
		out := contract.FinishReply{Verdicts: make([]contract.FinishVerdict, len(results))}
		for i, v := range r.verdicts {
			out.Verdicts[i] = contract.FinishVerdict{JobID: req.Results[i].JobID, Accepted: v.Accepted, Status: v.Status}
		}
		return out, nil
	case <-ctx.Done():
		return contract.FinishReply{}, fault.Wrap(fault.Unavailable, ctx.Err(), "The results were not recorded in time.")
	}
}

func parseResults(req contract.FinishRequest) ([]store.Finished, error) {
	if req.Worker == "" {
		return nil, fault.Invalidf("no_worker", "The request names no worker.")
	}
	if err := checkBatch(len(req.Results)); err != nil {
		return nil, err
	}
	out := make([]store.Finished, len(req.Results))
	for i, r := range req.Results {
		lease, err := parseLease(contract.LeaseRef{JobID: r.JobID, LeaseToken: r.LeaseToken}, req.Worker)
		if err != nil {
			return nil, err
		}
		switch r.Outcome {
		case contract.OutcomeSucceeded, contract.OutcomeFailed, contract.OutcomeReleased, contract.OutcomeSnoozed:
		default:
			return nil, fault.Invalidf("bad_outcome", "Job %s has the unknown outcome %q.", r.JobID, r.Outcome)
		}
		out[i] = store.Finished{Lease: lease, RunResult: storable(r)}
	}
	return out, nil
}

// storable turns a result that Postgres could not keep into a failure that
// says so: it would be refused on every attempt to record it.
func storable(r contract.RunResult) contract.RunResult {
	if problem := problemOf(r); problem != "" {
		return failed(r, problem, true)
	}
	if !fault.Kind(r.ErrorKind).Known() || !contract.ValidToken(r.ErrorCode) {
		// Any worker may say so; what nobody knows tells nobody anything.
		r.ErrorKind, r.ErrorCode = "", ""
	}
	if r.Outcome == contract.OutcomeFailed && r.ErrorText == "" {
		r.ErrorText = "the handler failed without saying why"
	}
	return r
}

// problemOf is why a result could not be kept; empty where it can.
func problemOf(r contract.RunResult) string {
	switch {
	case len(r.Result) > contract.MaxInlineResult:
		return "the result is larger than allowed"
	case !keepable(r.Result):
		return "the result holds characters that cannot be stored"
	case r.ResultBytes < 0 || r.ResultBytes > 0 && len(r.Result) > 0:
		return "the result is reported and put in parts"
	case len(r.Artifacts) > contract.MaxArtifacts:
		return "there are more artifacts than allowed"
	}
	for _, a := range r.Artifacts {
		switch {
		case a.Type == "" || !utf8.ValidString(a.Type) || !utf8.ValidString(a.Ref):
			return "an artifact has no valid type or reference"
		case len(a.Payload) > contract.MaxInlineResult:
			return "an artifact is larger than allowed"
		case !keepable(a.Payload):
			return "an artifact holds characters that cannot be stored"
		case a.PayloadBytes < 0 || a.PayloadBytes > 0 && len(a.Payload) > 0:
			return "an artifact is reported and put in parts"
		}
	}
	return ""
}

// failed is the report of a run that has failed in the place of one that cannot be
// recorded.
func failed(r contract.RunResult, why string, permanent bool) contract.RunResult {
	return contract.RunResult{
		JobID: r.JobID, LeaseToken: r.LeaseToken, Outcome: contract.OutcomeFailed, ErrorText: why, Permanent: permanent,
		StartedAt: r.StartedAt, RuntimeMS: r.RuntimeMS,
	}
}

// keepable reports whether Postgres keeps the text as it is.
func keepable(p json.RawMessage) bool { return utf8.Valid(p) }

func (s *Service) flushFinishes(ctx context.Context, group []*finish) {
	var results []store.Finished
	var requests []context.Context
	for _, f := range group {
		requests = append(requests, f.ctx)
		results = append(results, f.results...)
	}
	ctx, span := s.startSpan(ctx, "record results", requests)
	defer span.End()
	verdicts, entry, err := s.store.Finish(ctx, results, s.types.All(), s.deferFor)
	switch {
	case err == nil:
	case pg.IsBadData(err) && len(group) > 1:
		// One report holds something Postgres refuses; alone it cannot take
		// the others with it.
		for _, f := range group {
			s.flushFinishes(ctx, []*finish{f})
		}
		return
	default:
		err = s.trouble(err, len(results), "could not record results")
	}
	for _, f := range group {
		reply := finishReply{err: err}
		if err == nil {
			reply.verdicts, verdicts = verdicts[:len(f.results)], verdicts[len(f.results):]
		}
		f.reply <- reply
	}
	if err != nil {
		return
	}
	s.publish(ctx, entry)
	if hasFailure(results) {
		s.retried()
	}
}

func hasFailure(results []store.Finished) bool {
	for _, r := range results {
		if r.Outcome != contract.OutcomeSucceeded {
			return true
		}
	}
	return false
}
