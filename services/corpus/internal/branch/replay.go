package branch

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/evolve"
)

// Text replays a branch from its last checkpoint.
func (b *Branches) Text(ctx context.Context, branchID string) (Branch, string, error) {
	id, err := uuid.Parse(branchID)
	if err != nil {
		return Branch{}, "", notFound()
	}
	tail, err := b.store.Tail(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Branch{}, "", notFound()
	}
	if err != nil {
		return Branch{}, "", err
	}
	var text string
	rest := tail
	if tail[0].Checkpoint != nil {
		text, rest = *tail[0].Checkpoint, tail[1:]
	} else if text, err = b.store.RootText(ctx, tail[0].RootDocumentID, tail[0].RootChecksum); err != nil {
		return Branch{}, "", err
	}
	for _, step := range rest {
		if text, err = apply(step, text); err != nil {
			return Branch{}, "", err
		}
	}
	last := tail[len(tail)-1]
	return last, text, verify(last, text)
}

// FullText replays a branch from its root document, and every branch that was
// merged on the way from its own. Checkpoints are used for one thing: the text
// that a remix brought.
func (b *Branches) FullText(ctx context.Context, branchID string) (Branch, string, error) {
	at, err := b.find(ctx, branchID)
	if err != nil {
		return Branch{}, "", err
	}
	text, err := b.fullText(ctx, at, map[uuid.UUID]string{})
	return at, text, err
}

// fullText keeps the texts that merges ask for in known, so that no lineage is
// replayed twice.
func (b *Branches) fullText(ctx context.Context, at Branch, known map[uuid.UUID]string) (string, error) {
	lineage, err := b.store.Lineage(ctx, at.ID)
	if err != nil {
		return "", err
	}
	text, err := b.store.RootText(ctx, at.RootDocumentID, at.RootChecksum)
	if err != nil {
		return "", err
	}
	for _, step := range lineage {
		switch step.EventType {
		case evolve.Merge:
			text, err = b.mergeAgain(ctx, step, text, known)
		case evolve.Remix:
			text, err = b.store.Checkpoint(ctx, step.ID)
		default:
			text, err = apply(step, text)
		}
		if err == nil {
			err = verify(step, text)
		}
		if err != nil {
			return "", err
		}
	}
	return text, nil
}

func (b *Branches) mergeAgain(ctx context.Context, merge Branch, left string, known map[uuid.UUID]string) (string, error) {
	right, ok := known[merge.Merged]
	if !ok {
		at, err := b.store.Branch(ctx, merge.Merged)
		if err != nil {
			return "", err
		}
		if right, err = b.fullText(ctx, at, known); err != nil {
			return "", err
		}
		known[merge.Merged] = right
	}
	strategy, err := strategyOf(merge)
	if err != nil {
		return "", err
	}
	text, _, err := evolve.MergeTexts(left, right, strategy)
	return text, err
}

// apply repeats an event that was accepted before.
func apply(at Branch, text string) (string, error) {
	event, _, err := evolve.Parse(at.EventType, at.Payload)
	if err != nil {
		return "", fmt.Errorf("the kept event of branch %s: %w", at.ID, err)
	}
	text, _ = event.Apply(text)
	return text, nil
}

// verify holds a replay against the hash that was written with the branch.
func verify(at Branch, text string) error {
	if got := Hash(text); got != at.TextHash {
		return fmt.Errorf("branch %s replays to a text with hash %s, but was made with %s", at.ID, got, at.TextHash)
	}
	return nil
}

// Replay answers what a branch comes to.
func (b *Branches) Replay(ctx context.Context, req contract.BranchRequest) (contract.Replay, error) {
	replay := b.Text
	if req.FromRoot {
		replay = b.FullText
	}
	at, text, err := replay(ctx, req.BranchID)
	if err != nil {
		return contract.Replay{}, err
	}
	snapshot := snapshotOf(at, text)
	return contract.Replay{
		BranchID: at.ID.String(), EventCount: snapshot.EventCount, TextHash: snapshot.TextHash, Preview: snapshot.Preview, ReplaySnapshot: snapshot,
	}, nil
}

func snapshotOf(at Branch, text string) contract.ReplaySnapshot {
	return contract.ReplaySnapshot{TextHash: Hash(text), Preview: Preview(text), EventCount: at.Index}
}

// Compare sets two branches side by side.
func (b *Branches) Compare(ctx context.Context, req contract.CompareRequest) (contract.Comparison, error) {
	left, leftText, err := b.Text(ctx, req.LeftBranchID)
	if err != nil {
		return contract.Comparison{}, err
	}
	right, rightText, err := b.Text(ctx, req.RightBranchID)
	if err != nil {
		return contract.Comparison{}, err
	}
	c := contract.Comparison{
		LeftBranchID: left.ID.String(), RightBranchID: right.ID.String(), LeftHash: left.TextHash, RightHash: right.TextHash,
		Same: left.TextHash == right.TextHash, PreviewLeft: Preview(leftText), PreviewRight: Preview(rightText),
	}
	c.Distance = distance([]rune(c.PreviewLeft), []rune(c.PreviewRight))
	return c, nil
}

func distance(a, b []rune) int {
	n := max(len(a), len(b)) - min(len(a), len(b))
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// TextPart is a part of a branch's text, as a document's is read.
func (b *Branches) TextPart(ctx context.Context, req contract.BranchTextRequest, cut func(text string, limit int) string) (contract.TextReply, error) {
	at, text, err := b.Text(ctx, req.BranchID)
	if err != nil {
		return contract.TextReply{}, err
	}
	if req.Offset < 0 || req.Offset > int64(len(text)) {
		return contract.TextReply{}, fault.Invalidf(contract.CodeInvalid, "offset is %d; the text has %d bytes", req.Offset, len(text))
	}
	part := cut(text[req.Offset:], req.Limit)
	return contract.TextReply{
		DocumentID: at.ID.String(), Modality: contract.ModalityText, Ingested: true, Checksum: at.TextHash,
		Text: part, Offset: req.Offset, NextOffset: req.Offset + int64(len(part)), TotalBytes: int64(len(text)),
	}, nil
}
