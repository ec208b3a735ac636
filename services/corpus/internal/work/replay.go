package work

import (
	"context"
	"encoding/json"
	"fmt"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/worker"
	"nexus.internal/services/corpus/internal/branch"
)

// BranchReplay returns the handler of branch_replay jobs: it replays every event of
// a branch from the root document on, and fails where the text is not the one that
// was written.
func BranchReplay(branches *branch.Branches) worker.Handler {
	return func(ctx context.Context, job worker.Job) (worker.Result, error) {
		var payload contract.BranchReplayPayload
		if err := json.Unmarshal(job.Payload, &payload); err != nil || payload.BranchID == "" {
			return worker.Result{}, worker.Permanent(fault.Invalidf(contract.CodeInvalid, "payload.branch_id is missing"))
		}
		replay, err := branches.Replay(ctx, contract.BranchRequest{BranchID: payload.BranchID, FromRoot: true})
		if fault.KindOf(err) == fault.NotFound {
			return worker.Result{}, worker.Permanent(err)
		}
		if err != nil {
			return worker.Result{}, err
		}
		artifact, err := json.Marshal(contract.BranchReplayArtifact{BranchID: replay.BranchID, TextHash: replay.TextHash})
		if err != nil {
			return worker.Result{}, fmt.Errorf("encode the artifact: %w", err)
		}
		return worker.Result{Value: replay, Artifacts: []contract.Artifact{{
			Type: contract.ArtifactBranchReplay, Ref: replay.BranchID, Payload: artifact,
		}}}, nil
	}
}
