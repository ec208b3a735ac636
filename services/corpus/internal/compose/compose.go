// Package compose mixes the texts of documents and branches: it asks the policy
// about the mix, keeps it, and grows a branch out of it.
//
// How two texts become one is in package remix.
package compose

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/branch"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/evolve"
	"nexus.internal/services/corpus/internal/remix"
)

// ErrNotFound means that there is no such remix.
var ErrNotFound = errors.New("not found")

// Branches are where texts come from and where mixes grow.
type Branches interface {
	Place(ctx context.Context, branchID, documentID string) (branch.Place, error)
	Extend(ctx context.Context, from branch.Place, event contract.EvolveEvent, mode, actor string) (contract.EvolveReply, error)
}

// Decider decides whether a text may go out.
type Decider interface {
	Decide(ctx context.Context, req contract.GovernRequest) (contract.GovernReply, error)
}

// Store keeps remixes.
type Store interface {
	KeepRemix(ctx context.Context, r contract.RemixArtifact) error
	Remix(ctx context.Context, id uuid.UUID) (contract.RemixArtifact, error)
}

// Composer mixes texts.
type Composer struct {
	branches Branches
	decider  Decider
	store    Store
}

// New makes a composer.
func New(branches Branches, decider Decider, store Store) *Composer {
	return &Composer{branches, decider, store}
}

// mix is a request on its way.
type mix struct {
	req            contract.RemixRequest
	source, target branch.Place
	text           string
	refs           []contract.AtomRef
	links          []contract.SourceLink
}

// Remix mixes two texts and grows a branch on the source. With Compose it says all
// there is to say of the mix, and grows a branch and keeps the mix only where
// that is asked for; what the policy blocks is neither shown nor kept.
func (c *Composer) Remix(ctx context.Context, req contract.RemixRequest) (contract.RemixReply, error) {
	m, err := c.mix(ctx, req)
	if err != nil {
		return contract.RemixReply{}, err
	}
	if !req.Compose {
		reply := contract.RemixReply{Strategy: req.Strategy, SourceAtomRefs: []contract.AtomRef{}, GovernanceTrace: json.RawMessage("null")}
		return reply, c.grow(ctx, m, &reply)
	}
	return c.compose(ctx, m)
}

func (c *Composer) compose(ctx context.Context, m *mix) (contract.RemixReply, error) {
	req := m.req
	if len(m.text) > contract.MaxComposed {
		return contract.RemixReply{}, fault.New(fault.TooLarge, "", fmt.Sprintf("The mix has %d bytes; the limit is %d. POST /api/v1/remix makes a branch of it.", len(m.text), contract.MaxComposed))
	}
	if err := m.findAtoms(); err != nil {
		return contract.RemixReply{}, err
	}
	decision, err := c.decider.Decide(ctx, contract.GovernRequest{Asker: req.Asker, CandidateOutput: m.text, Mode: req.Mode})
	if err != nil {
		return contract.RemixReply{}, err
	}
	if !decision.Allow {
		return contract.RemixReply{}, fault.New(fault.Forbidden, "policy_blocked", fmt.Sprintf("The policy blocks this mix; the decision is %s", decision.DecisionID))
	}
	hash, err := payloadHash(req)
	if err != nil {
		return contract.RemixReply{}, err
	}
	reply := contract.RemixReply{
		Strategy: req.Strategy, Seed: req.Seed, Mode: req.Mode, RemixedText: m.text, TextHash: branch.Hash(m.text), PayloadHash: hash,
		SourceAtomRefs: m.refs, GovernanceDecisionID: &decision.DecisionID, GovernanceTrace: decision.DecisionTrace, CreateBranch: req.CreateBranch,
		DiffSummary: json.RawMessage(`{}`),
	}
	if req.CreateBranch {
		if err := c.grow(ctx, m, &reply); err != nil {
			return contract.RemixReply{}, err
		}
	}
	if req.PersistArtifact {
		if err := c.keep(ctx, m, &reply); err != nil {
			return contract.RemixReply{}, err
		}
	}
	return reply, nil
}

func (c *Composer) mix(ctx context.Context, req contract.RemixRequest) (*mix, error) {
	if !slices.Contains(remix.Strategies(), req.Strategy) {
		return nil, fault.Invalidf(contract.CodeInvalid, "Unknown strategy: want one of %v", remix.Strategies())
	}
	if (req.SourceDocumentID == "") == (req.SourceBranchID == "") {
		return nil, fault.Invalidf(contract.CodeInvalid, "Give source_document_id or source_branch_id, one of them")
	}
	if (req.TargetDocumentID == "") == (req.TargetBranchID == "") {
		return nil, fault.Invalidf(contract.CodeInvalid, "Give target_document_id or target_branch_id, one of them")
	}
	source, err := c.branches.Place(ctx, req.SourceBranchID, req.SourceDocumentID)
	if err != nil {
		return nil, err
	}
	target, err := c.branches.Place(ctx, req.TargetBranchID, req.TargetDocumentID)
	if err != nil {
		return nil, err
	}
	text, _ := remix.Texts(source.Text, target.Text, req.Strategy, req.Seed)
	return &mix{req: req, source: source, target: target, text: text}, nil
}

// grow makes a branch of the mix.
func (c *Composer) grow(ctx context.Context, m *mix, reply *contract.RemixReply) error {
	payload, err := json.Marshal(map[string]any{"strategy": m.req.Strategy, "seed": m.req.Seed, "remixed_text": m.text})
	if err != nil {
		return fmt.Errorf("encode a remix: %w", err)
	}
	made, err := c.branches.Extend(ctx, m.source, contract.EvolveEvent{EventType: evolve.Remix, EventPayload: payload}, m.req.Mode, m.req.Actor)
	if err != nil {
		return err
	}
	reply.NewBranchID, reply.EventID, reply.DiffSummary = &made.FinalBranchID, &made.EventIDs[0], made.LastDiff
	return nil
}

func (c *Composer) keep(ctx context.Context, m *mix, reply *contract.RemixReply) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make a remix id: %w", err)
	}
	text := id.String()
	item := contract.RemixItem{
		ID: text, RemixArtifactID: text, Strategy: reply.Strategy, Seed: reply.Seed, Mode: reply.Mode, TextHash: reply.TextHash,
		PayloadHash: reply.PayloadHash, NewBranchID: reply.NewBranchID, GovernanceDecisionID: reply.GovernanceDecisionID, CreatedBy: m.req.Actor,
		SourceDocumentID: optional(m.req.SourceDocumentID), SourceBranchID: optional(m.req.SourceBranchID),
		TargetDocumentID: optional(m.req.TargetDocumentID), TargetBranchID: optional(m.req.TargetBranchID),
	}
	artifact := contract.RemixArtifact{
		RemixItem: item, RemixedText: m.text, AtomLevels: m.req.AtomLevels, SourceLinks: m.links,
		LineageGraphRefs: []string{graphRef(m.req.SourceDocumentID, m.req.SourceBranchID), graphRef(m.req.TargetDocumentID, m.req.TargetBranchID)},
	}
	if err := c.store.KeepRemix(ctx, artifact); err != nil {
		return err
	}
	reply.RemixArtifactID = &text
	return nil
}

// Artifact answers with a kept remix.
func (c *Composer) Artifact(ctx context.Context, req contract.RemixRef) (contract.RemixArtifact, error) {
	id, err := uuid.Parse(req.RemixID)
	if err != nil {
		return contract.RemixArtifact{}, fault.NotFoundf("Remix not found")
	}
	artifact, err := c.store.Remix(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return contract.RemixArtifact{}, fault.NotFoundf("Remix not found")
	}
	return artifact, err
}

// findAtoms names atoms of both texts.
func (m *mix) findAtoms() error {
	m.refs, m.links = []contract.AtomRef{}, []contract.SourceLink{}
	for _, level := range m.req.AtomLevels {
		if !slices.Contains(atom.Levels(), atom.Level(level)) {
			return fault.Invalidf(contract.CodeInvalid, "Unknown atom level: known levels are %v", atom.Levels())
		}
	}
	for _, side := range []struct {
		role, documentID, branchID, text string
	}{
		{"source", m.req.SourceDocumentID, m.req.SourceBranchID, m.source.Text},
		{"target", m.req.TargetDocumentID, m.req.TargetBranchID, m.target.Text},
	} {
		link := contract.SourceLink{Role: side.role, DocumentID: optional(side.documentID), BranchID: optional(side.branchID), AtomRefs: []contract.AtomRef{}}
		if len(m.req.AtomLevels) == 0 {
			m.links = append(m.links, link)
		}
		for _, level := range m.req.AtomLevels {
			id, err := uuid.Parse(side.documentID + side.branchID)
			if err != nil {
				return fmt.Errorf("read an id that was found before: %w", err)
			}
			of := link
			of.AtomLevel = level
			of.AtomCount, of.AtomRefs = refsOf(side.text, id, atom.Level(level), side.role)
			m.links = append(m.links, of)
			m.refs = append(m.refs, of.AtomRefs...)
		}
	}
	return nil
}

// refsOf counts the atoms of a text and names the first of them. Those of a branch
// are not in the graph; their ids follow from the branch's as a document's do.
func refsOf(text string, id uuid.UUID, level atom.Level, role string) (int, []contract.AtomRef) {
	count, refs := 0, []contract.AtomRef{}
	for a := range atom.Atomize(text, []atom.Level{level}) {
		count++
		if len(refs) < contract.MaxAtomRefs {
			refs = append(refs, contract.AtomRef{
				AtomID: document.AtomID(id, level, a.Ordinal).String(), AtomLevel: string(level), Ordinal: a.Ordinal, Role: role,
			})
		}
	}
	return count, refs
}

// payloadHash stands for what was asked for: the same request has the same hash.
func payloadHash(req contract.RemixRequest) (string, error) {
	req.Asker = contract.Asker{}
	data, err := json.Marshal(req)
	if err != nil {
		return "", fmt.Errorf("encode a remix: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func graphRef(documentID, branchID string) string {
	if documentID != "" {
		return "doc:" + documentID
	}
	return "branch:" + branchID
}
