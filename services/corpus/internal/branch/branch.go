// Package branch grows branches out of documents: each holds one event, and its
// text is the replay of its lineage. Nothing is ever changed in place.
//
// What an event does to a text is in package evolve; rows are kept by package
// store.
package branch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/evolve"
)

// CheckpointEvery is how many events apart the texts of a lineage are kept.
const CheckpointEvery = 10

// ErrNotFound means that there is no such branch or document.
var ErrNotFound = errors.New("not found")

// Root is a version of a document that branches begin at.
type Root struct {
	DocumentID uuid.UUID
	Checksum   string
	// Ingested and Conflict are the state of the document.
	Ingested bool
	Conflict string
	// Bytes is the length of the text, known also when the text was not loaded.
	Bytes int64
	Text  string
}

// Branch is one event and where it stands.
type Branch struct {
	ID uuid.UUID
	// Parent is uuid.Nil for the first event on a document.
	Parent         uuid.UUID
	RootDocumentID uuid.UUID
	RootChecksum   string
	Mode           string
	// Index counts the events from the root on, from 1.
	Index     int
	EventID   uuid.UUID
	EventType string
	Payload   json.RawMessage
	Diff      json.RawMessage
	// Merged is the other parent of a merge and LCA the ancestor of both.
	Merged, LCA uuid.UUID
	TextHash    string
	CreatedBy   string
	CreatedAt   time.Time
	// Checkpoint is the text, where it is kept and was asked for.
	Checkpoint *string
}

// Store keeps branches.
type Store interface {
	// Root loads the current version of a document; of a text of more than maxBytes
	// only its length.
	Root(ctx context.Context, documentID uuid.UUID, maxBytes int64) (Root, error)
	// RootText loads the text of a version that has branches.
	RootText(ctx context.Context, documentID uuid.UUID, checksum string) (string, error)
	// Insert writes branches, and their root version where it is new.
	Insert(ctx context.Context, root *Root, branches []Branch) error
	// Branch loads one, without its text.
	Branch(ctx context.Context, id uuid.UUID) (Branch, error)
	// Lineage loads a branch and its ancestors, the root's first, without texts.
	Lineage(ctx context.Context, id uuid.UUID) ([]Branch, error)
	// Tail loads the end of a lineage: from the last branch with a checkpoint, which
	// has its text, or from the first.
	Tail(ctx context.Context, id uuid.UUID) ([]Branch, error)
	// Checkpoint loads the kept text of a branch.
	Checkpoint(ctx context.Context, id uuid.UUID) (string, error)
}

// Branches grows and replays branches. It may be used from several goroutines.
type Branches struct {
	store    Store
	maxBytes int64
}

// New makes it. No text may have more than maxBytes.
func New(store Store, maxBytes int64) *Branches { return &Branches{store, maxBytes} }

// Place is where a lineage can go on, and its text.
type Place struct {
	// At is the branch. At a document, where a lineage begins, it has no id.
	At   Branch
	Text string

	root *Root
}

// Place finds the branch or the document with an id; exactly one of them is given.
func (b *Branches) Place(ctx context.Context, branchID, documentID string) (Place, error) {
	if documentID != "" {
		root, err := b.root(ctx, documentID)
		if err != nil {
			return Place{}, err
		}
		at := Branch{RootDocumentID: root.DocumentID, RootChecksum: root.Checksum}
		return Place{At: at, root: &root, Text: root.Text}, nil
	}
	at, text, err := b.Text(ctx, branchID)
	return Place{At: at, Text: text}, err
}

// root loads a document that branches may begin at.
func (b *Branches) root(ctx context.Context, documentID string) (Root, error) {
	id, err := uuid.Parse(documentID)
	if err != nil {
		return Root{}, fault.NotFoundf("Document not found")
	}
	root, err := b.store.Root(ctx, id, b.maxBytes)
	switch {
	case errors.Is(err, ErrNotFound):
		return Root{}, fault.NotFoundf("Document not found")
	case err != nil:
		return Root{}, err
	case root.Conflict != "":
		return Root{}, fault.Conflictf("Document %s is in conflict: %s", id, root.Conflict)
	case !root.Ingested:
		return Root{}, fault.Conflictf("Document %s is not ingested", id)
	}
	return root, b.fits(root.Bytes)
}

func (b *Branches) fits(bytes int64) error {
	if bytes > b.maxBytes {
		return fault.New(fault.TooLarge, "", fmt.Sprintf("The text has %d bytes; the limit for branches is %d.", bytes, b.maxBytes))
	}
	return nil
}

// find loads a branch by the id that somebody sent.
func (b *Branches) find(ctx context.Context, id string) (Branch, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return Branch{}, notFound()
	}
	found, err := b.store.Branch(ctx, parsed)
	if errors.Is(err, ErrNotFound) {
		return Branch{}, notFound()
	}
	return found, err
}

func notFound() error { return fault.NotFoundf("Branch not found") }

// Evolve makes a chain of branches, or none.
func (b *Branches) Evolve(ctx context.Context, req contract.EvolveRequest) (contract.EvolveReply, error) {
	steps, err := parseAll(req.Events)
	if err != nil {
		return contract.EvolveReply{}, err
	}
	if (req.ParentBranchID == "") == (req.RootDocumentID == "") {
		return contract.EvolveReply{}, fault.Invalidf(contract.CodeInvalid, "Give parent_branch_id or root_document_id, one of them")
	}
	from, err := b.Place(ctx, req.ParentBranchID, req.RootDocumentID)
	if err != nil {
		return contract.EvolveReply{}, err
	}
	return b.extend(ctx, from, steps, req.Mode, req.Actor)
}

// Extend puts one event on top of a place.
func (b *Branches) Extend(ctx context.Context, from Place, event contract.EvolveEvent, mode, actor string) (contract.EvolveReply, error) {
	steps, err := parseAll([]contract.EvolveEvent{event})
	if err != nil {
		return contract.EvolveReply{}, err
	}
	return b.extend(ctx, from, steps, mode, actor)
}

func (b *Branches) extend(ctx context.Context, from Place, steps []step, mode, actor string) (contract.EvolveReply, error) {
	made := make([]Branch, 0, len(steps))
	on := from
	for _, s := range steps {
		var err error
		if on, err = b.grow(on, s, mode, actor); err != nil {
			return contract.EvolveReply{}, err
		}
		made = append(made, on.At)
	}
	if err := b.store.Insert(ctx, from.root, made); err != nil {
		return contract.EvolveReply{}, err
	}
	return replyOf(made, on.Text), nil
}

func parseAll(events []contract.EvolveEvent) ([]step, error) {
	if len(events) == 0 {
		return nil, fault.Invalidf(contract.CodeInvalid, "events must not be empty")
	}
	if len(events) > contract.MaxEvents {
		return nil, fault.Invalidf(contract.CodeInvalid, "There are %d events; the limit is %d", len(events), contract.MaxEvents)
	}
	steps := make([]step, len(events))
	for i, e := range events {
		var err error
		if steps[i], err = parse(e); err != nil {
			return nil, err
		}
	}
	return steps, nil
}

func replyOf(made []Branch, text string) contract.EvolveReply {
	last := made[len(made)-1]
	reply := contract.EvolveReply{
		FinalBranchID: last.ID.String(), EventCount: len(made), FinalTextHash: last.TextHash, FinalPreview: Preview(text),
		LastDiff: last.Diff, RootDocumentID: last.RootDocumentID.String(),
	}
	for _, m := range made {
		reply.BranchIDs = append(reply.BranchIDs, m.ID.String())
		reply.EventIDs = append(reply.EventIDs, m.EventID.String())
	}
	return reply
}

// step is an event that was read and can be applied.
type step struct {
	eventType string
	event     evolve.Event
	common    evolve.Common
	payload   json.RawMessage
}

func parse(e contract.EvolveEvent) (step, error) {
	event, common, err := evolve.Parse(e.EventType, e.EventPayload)
	var invalid *evolve.InvalidError
	if errors.As(err, &invalid) {
		return step{}, fault.Invalidf(contract.CodeInvalid, "%s", invalid.Reason)
	}
	if err != nil {
		return step{}, err
	}
	payload, err := keptPayload(e.EventPayload)
	return step{eventType: e.EventType, event: event, common: common, payload: payload}, err
}

// keptPayload checks a payload and returns it as it is kept: whole, unless it is large because of the
// text that a remix brings, which is the branch's text anyway.
func keptPayload(sent json.RawMessage) (json.RawMessage, error) {
	if len(sent) == 0 || string(sent) == "null" {
		return json.RawMessage(`{}`), nil
	}
	if err := contract.CheckPayload(sent); err != nil {
		return nil, fault.Invalidf(contract.CodeInvalid, "event_%s", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, sent); err != nil {
		return nil, fmt.Errorf("compact a payload: %w", err)
	}
	if sent = compact.Bytes(); len(sent) <= contract.MaxEventPayload {
		return sent, nil
	}
	var fields map[string]json.RawMessage
	var text string
	if json.Unmarshal(sent, &fields) != nil || json.Unmarshal(fields["remixed_text"], &text) != nil {
		return nil, fault.Invalidf(contract.CodeInvalid, "event_payload has more than %d bytes", contract.MaxEventPayload)
	}
	head, err := json.Marshal(Preview(text))
	if err != nil {
		return nil, fmt.Errorf("encode the beginning of a text: %w", err)
	}
	fields["remixed_text"], fields["remixed_text_truncated"] = head, json.RawMessage("true")
	kept, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("encode a payload: %w", err)
	}
	return kept, nil
}

// grow puts an event on top of a lineage.
func (b *Branches) grow(on Place, s step, mode, actor string) (Place, error) {
	if want := s.common.ExpectedParentIndex; want != nil && *want != on.At.Index {
		return Place{}, fault.Conflictf("expected_parent_event_index is %d, but the parent's event_index is %d", *want, on.At.Index)
	}
	text, facts := s.event.Apply(on.Text)
	return b.next(on, eventOn{s.eventType, s.payload, text, evolve.Summary(s.eventType, on.Text, text, facts)}, mode, actor)
}

// eventOn is an event with what it made of a text.
type eventOn struct {
	eventType string
	payload   json.RawMessage
	text      string
	summary   map[string]any
}

// next makes the branch of an event.
func (b *Branches) next(on Place, e eventOn, mode, actor string) (Place, error) {
	if on.At.Index >= contract.MaxLineage {
		return Place{}, fault.Conflictf("The lineage has %d events, which is the limit", on.At.Index)
	}
	if err := b.fits(int64(len(e.text))); err != nil {
		return Place{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Place{}, fmt.Errorf("make a branch id: %w", err)
	}
	diff, err := json.Marshal(e.summary)
	if err != nil {
		return Place{}, fmt.Errorf("encode a summary: %w", err)
	}
	made := Branch{
		ID: id, Parent: on.At.ID, RootDocumentID: on.At.RootDocumentID, RootChecksum: on.At.RootChecksum, Mode: mode, Index: on.At.Index + 1,
		EventID: uuid.New(), EventType: e.eventType, Payload: e.payload, Diff: diff, TextHash: Hash(e.text), CreatedBy: actor,
	}
	if made.Index%CheckpointEvery == 0 || takesText(e.eventType) {
		made.Checkpoint = &e.text
	}
	return Place{At: made, Text: e.text}, nil
}

// takesText tells the events whose text is not made of the parent's alone.
func takesText(eventType string) bool { return eventType == evolve.Remix || eventType == evolve.Merge }

// Hash is the SHA-256 of a text, in hex.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Preview is the beginning of a text.
func Preview(text string) string {
	n := 0
	for i := range text {
		if n == contract.PreviewChars {
			return text[:i]
		}
		n++
	}
	return text
}
