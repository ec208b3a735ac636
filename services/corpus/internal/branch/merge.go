package branch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/evolve"
)

// mergePayload is the payload of a merge's event.
type mergePayload struct {
	Strategy      string  `json:"strategy"`
	RightBranchID string  `json:"right_branch_id"`
	LCABranchID   *string `json:"lca_branch_id"`
}

func strategyOf(merge Branch) (string, error) {
	var p mergePayload
	if err := json.Unmarshal(merge.Payload, &p); err != nil {
		return "", fmt.Errorf("the kept event of branch %s: %w", merge.ID, err)
	}
	return p.Strategy, nil
}

// Merge makes a branch of two that have an ancestor, or at least their root
// document, in common. The left one becomes the parent.
func (b *Branches) Merge(ctx context.Context, req contract.MergeRequest) (contract.MergeReply, error) {
	if req.Strategy == "" {
		req.Strategy = evolve.Interleave
	}
	left, leftText, err := b.Text(ctx, req.LeftBranchID)
	if err != nil {
		return contract.MergeReply{}, err
	}
	right, rightText, err := b.Text(ctx, req.RightBranchID)
	if err != nil {
		return contract.MergeReply{}, err
	}
	lca, err := b.commonAncestor(ctx, left, right)
	if err != nil {
		return contract.MergeReply{}, err
	}
	if lca == uuid.Nil && left.RootDocumentID != right.RootDocumentID {
		return contract.MergeReply{}, fault.Invalidf(contract.CodeInvalid, "The branches have no common ancestor and begin at different documents")
	}
	text, semantics, err := evolve.MergeTexts(leftText, rightText, req.Strategy)
	var invalid *evolve.InvalidError
	if errors.As(err, &invalid) {
		return contract.MergeReply{}, fault.Invalidf(contract.CodeInvalid, "%s", invalid.Reason)
	}
	payload, err := json.Marshal(mergePayload{req.Strategy, right.ID.String(), optional(lca)})
	if err != nil {
		return contract.MergeReply{}, fmt.Errorf("encode a merge: %w", err)
	}
	summary := evolve.Summary(evolve.Merge, leftText, text, map[string]any{
		"strategy": req.Strategy, "left_branch_id": left.ID, "right_branch_id": right.ID, "lca_branch_id": optional(lca),
		"left_text_hash": left.TextHash, "right_text_hash": right.TextHash, "conflict_semantics": semantics,
	})
	made, err := b.next(Place{At: left, Text: leftText}, eventOn{evolve.Merge, payload, text, summary}, req.Mode, req.Actor)
	if err != nil {
		return contract.MergeReply{}, err
	}
	made.At.Merged, made.At.LCA = right.ID, lca
	if err := b.store.Insert(ctx, nil, []Branch{made.At}); err != nil {
		return contract.MergeReply{}, err
	}
	conflicts, err := json.Marshal(semantics)
	if err != nil {
		return contract.MergeReply{}, fmt.Errorf("encode a merge: %w", err)
	}
	return contract.MergeReply{
		NewBranchID: made.At.ID.String(), EventID: made.At.EventID.String(), Strategy: req.Strategy,
		LCABranchID: optional(lca), ConflictSemantics: conflicts, DiffSummary: made.At.Diff,
	}, nil
}

// commonAncestor is the last branch that is in both lineages, by parents;
// uuid.Nil when there is none.
func (b *Branches) commonAncestor(ctx context.Context, left, right Branch) (uuid.UUID, error) {
	a, err := b.store.Lineage(ctx, left.ID)
	if err != nil {
		return uuid.Nil, err
	}
	c, err := b.store.Lineage(ctx, right.ID)
	if err != nil {
		return uuid.Nil, err
	}
	last := uuid.Nil
	for i := range min(len(a), len(c)) {
		if a[i].ID != c[i].ID {
			break
		}
		last = a[i].ID
	}
	return last, nil
}

// optional is the text of an id, nil for none.
func optional(id uuid.UUID) *string {
	if id == uuid.Nil {
		return nil
	}
	text := id.String()
	return &text
}
