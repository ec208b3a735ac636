package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
)

// output is a result, or the payload of an artifact, that is too large for a report.
type output struct {
	number int
	data   json.RawMessage
}

// takeLarge takes the outputs out of a report that are too large for it, and leaves
// their sizes. total is the size of all outputs, with those that stay.
func takeLarge(r *contract.RunResult) (large []output, total int) {
	total = len(r.Result)
	if total > contract.MaxInlineResult {
		large, r.ResultBytes, r.Result = append(large, output{0, r.Result}), len(r.Result), nil
	}
	room, shared := contract.MaxInlineResult, true
	for i, a := range r.Artifacts {
		total += len(a.Payload)
		if len(a.Payload) <= room {
			room -= len(a.Payload)
			continue
		}
		if shared {
			// The artifacts are the handler's own, which may keep them.
			r.Artifacts, shared = slices.Clone(r.Artifacts), false
		}
		large = append(large, output{i + 1, a.Payload})
		r.Artifacts[i].PayloadBytes, r.Artifacts[i].Payload = len(a.Payload), nil
	}
	return large, total
}

// isLarge reports whether outputs of a run were put in parts.
func isLarge(r contract.RunResult) bool {
	return r.ResultBytes > 0 || slices.ContainsFunc(r.Artifacts, func(a contract.Artifact) bool { return a.PayloadBytes > 0 })
}

// put hands large outputs over to the jobs service, which keeps them for the report
// that follows. It goes on until ctx ends.
func (w *Worker) put(ctx context.Context, i *item, large []output, total int) error {
	for _, o := range large {
		for part := range contract.OutputParts(len(o.data)) {
			begin := part * contract.MaxOutputPart
			err := w.putPart(ctx, contract.PutRequest{
				JobID: i.jobID, LeaseToken: i.token, Total: total, Output: o.number, Part: part,
				Body: o.data[begin:min(len(o.data), begin+contract.MaxOutputPart)],
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// put is what came of one part: nothing mends a fault that asking again cannot.
type put struct {
	contract.PutReply
	fault error
}

func (w *Worker) putPart(ctx context.Context, req contract.PutRequest) error {
	answer, err := insist(ctx.Done(), reportTries, func() (put, error) {
		callCtx, cancel := context.WithTimeout(ctx, claimTimeout)
		defer cancel()
		reply, err := bus.Call[contract.PutReply](callCtx, w.deps.NC, contract.RPCJobsPut, req)
		if kind := fault.KindOf(err); kind == fault.TooLarge || kind == fault.Invalid {
			return put{fault: Permanent(err)}, nil
		}
		return put{PutReply: reply}, err
	}, func(err error) {
		w.log.Warn().Err(err).Str(telemetry.FieldJobID, req.JobID).Msg("could not hand over a part of a result; trying again until the jobs service answers")
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("keep the result: %w", err)
	case answer.fault != nil:
		return answer.fault
	case !answer.Accepted:
		return errLeaseLost
	}
	return nil
}

// checkArtifacts reports what no jobs service would keep.
func checkArtifacts(artifacts []contract.Artifact) error {
	if len(artifacts) > contract.MaxArtifacts {
		return Permanent(fmt.Errorf("there are %d artifacts; the limit is %d", len(artifacts), contract.MaxArtifacts))
	}
	names := 0
	for _, a := range artifacts {
		switch {
		case a.Type == "" || len(a.Type) > contract.MaxToken:
			return Permanent(fmt.Errorf("an artifact needs a type of 1 to %d bytes", contract.MaxToken))
		case len(a.Ref) > contract.MaxArtifactRef:
			return Permanent(fmt.Errorf("the reference of artifact %s has %d bytes; the limit is %d", a.Type, len(a.Ref), contract.MaxArtifactRef))
		case len(a.Payload) > 0 && !json.Valid(a.Payload):
			return Permanent(fmt.Errorf("the payload of artifact %s is not JSON", a.Type))
		}
		names += nameWeight(a)
	}
	if names <= contract.MaxArtifactNames {
		return nil
	}
	names, err := encodedNames(artifacts)
	if err == nil && names > contract.MaxArtifactNames {
		err = fmt.Errorf("the types and references of the artifacts take %d bytes; the limit is %d", names, contract.MaxArtifactNames)
	}
	if err != nil {
		return Permanent(err)
	}
	return nil
}

// encodedNames is what artifacts take in a message without their payloads.
func encodedNames(artifacts []contract.Artifact) (int, error) {
	names := make([]contract.Artifact, len(artifacts))
	for i, a := range artifacts {
		names[i] = contract.Artifact{Type: a.Type, Ref: a.Ref}
	}
	encoded, err := contract.Encode(names)
	if err != nil {
		return 0, fmt.Errorf("encode the artifacts: %w", err)
	}
	return len(encoded), nil
}
