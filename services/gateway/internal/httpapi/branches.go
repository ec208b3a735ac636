package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
)

// Mode is the mode of a request that makes texts. It is exported because huma
// passes over embedded structs that are not.
type Mode struct {
	Mode string `json:"mode,omitempty" enum:"PUBLIC,RAW" default:"PUBLIC" doc:"PUBLIC, or RAW where the key may use it."`
}

// From is what an evolution begins at.
type From struct {
	ParentBranchID string `json:"parent_branch_id,omitempty" maxLength:"64" doc:"The branch to go on from. This or root_document_id."`
	RootDocumentID string `json:"root_document_id,omitempty" maxLength:"64" doc:"The document to begin at. This or parent_branch_id."`
}

// Event is one step of an evolution.
type Event struct {
	EventType    string          `json:"event_type" maxLength:"64" doc:"natural_drift, reverse_drift, synthetic_mutation, phase_shift, glyph_fusion or remix." example:"natural_drift"`
	EventPayload json.RawMessage `json:"event_payload,omitempty" doc:"What the event needs: an object, which may carry seed and expected_parent_event_index." example:"{\"seed\":7}"`
}

type evolveInput struct {
	Body struct {
		From
		Event
		Mode
	}
}

type evolved struct {
	NewBranchID string          `json:"new_branch_id" doc:"The branch that the event made."`
	EventID     string          `json:"event_id" doc:"The event."`
	DiffSummary json.RawMessage `json:"diff_summary" doc:"What the event did: its name, before_chars, after_chars, and facts of its own."`
}

// maker is the caller of a route that makes texts in a mode.
func (s *Server) maker(ctx context.Context, mode string) (contract.Asker, error) {
	by, err := askerOf(ctx)
	if err != nil {
		return by, err
	}
	caller, err := callerOf(ctx)
	if err != nil {
		return by, err
	}
	return by, s.deps.Admission.CheckMode(ctx, caller, identity.Mode(mode))
}

func (s *Server) evolve(ctx context.Context, in *evolveInput) (*body[evolved], error) {
	b := in.Body
	reply, err := s.evolveAll(ctx, b.From, []Event{b.Event}, b.Mode.Mode)
	if err != nil {
		return nil, err
	}
	return &body[evolved]{Body: evolved{NewBranchID: reply.FinalBranchID, EventID: reply.EventIDs[0], DiffSummary: reply.LastDiff}}, nil
}

func (s *Server) evolveAll(ctx context.Context, from From, events []Event, mode string) (contract.EvolveReply, error) {
	by, err := s.maker(ctx, mode)
	if err != nil {
		return contract.EvolveReply{}, err
	}
	req := contract.EvolveRequest{
		ParentBranchID: from.ParentBranchID, RootDocumentID: from.RootDocumentID, Mode: mode, Actor: by.Actor, Events: make([]contract.EvolveEvent, len(events)),
	}
	for i, e := range events {
		req.Events[i] = contract.EvolveEvent{EventType: e.EventType, EventPayload: e.EventPayload}
	}
	return bus.Call[contract.EvolveReply](ctx, s.deps.NC, contract.RPCCorpusEvolve, req)
}

type evolveMultiInput struct {
	Body struct {
		From
		Events []Event `json:"events" maxItems:"100" doc:"The events, each on top of the one before. All of them happen, or none."`
		Mode
	}
}

type evolvedMulti struct {
	BranchIDs     []string `json:"branch_ids" doc:"The branches made, in order."`
	EventIDs      []string `json:"event_ids" doc:"Their events."`
	FinalBranchID string   `json:"final_branch_id" doc:"The last branch."`
	EventCount    int      `json:"event_count" doc:"How many events there were."`
	FinalTextHash string   `json:"final_text_hash" doc:"SHA-256 of the last branch's text, in hex."`
	FinalPreview  string   `json:"final_preview" doc:"The first 500 characters of that text."`
}

func (s *Server) evolveMulti(ctx context.Context, in *evolveMultiInput) (*body[evolvedMulti], error) {
	r, err := s.evolveAll(ctx, in.Body.From, in.Body.Events, in.Body.Mode.Mode)
	if err != nil {
		return nil, err
	}
	return &body[evolvedMulti]{Body: evolvedMulti{
		BranchIDs: r.BranchIDs, EventIDs: r.EventIDs, FinalBranchID: r.FinalBranchID, EventCount: r.EventCount,
		FinalTextHash: r.FinalTextHash, FinalPreview: r.FinalPreview,
	}}, nil
}

// timeline puts the pages of a timeline together.
func (s *Server) timeline(ctx context.Context, in *byID) (*body[contract.Timeline], error) {
	var whole contract.Timeline
	for after := 0; ; {
		page, err := bus.Call[contract.Timeline](ctx, s.deps.NC, contract.RPCCorpusTimeline, contract.BranchRequest{BranchID: in.ID, After: after})
		if err != nil {
			return nil, err
		}
		page.Events = append(whole.Events, page.Events...)
		whole = page
		if after = page.Next; after == 0 {
			return &body[contract.Timeline]{Body: whole}, nil
		}
	}
}

// visualize puts the pages of a graph together.
func (s *Server) visualize(ctx context.Context, in *byID) (*body[contract.Visualization], error) {
	var whole contract.Visualization
	for after := 0; ; {
		page, err := bus.Call[contract.Visualization](ctx, s.deps.NC, contract.RPCCorpusVisualization, contract.BranchRequest{BranchID: in.ID, After: after})
		if err != nil {
			return nil, err
		}
		page.Nodes, page.Edges = append(whole.Nodes, page.Nodes...), append(whole.Edges, page.Edges...)
		whole = page
		if after = page.Next; after == 0 {
			return &body[contract.Visualization]{Body: whole}, nil
		}
	}
}

type replayBranchInput struct {
	ID       string `path:"id" format:"uuid" doc:"The id of the branch."`
	FromRoot bool   `query:"from_root" doc:"Replay every event from the root document on, instead of beginning at the last checkpoint."`
}

type compareInput struct {
	ID    string `path:"id" format:"uuid" doc:"The id of the left branch."`
	Other string `path:"other" format:"uuid" doc:"The id of the right branch."`
}

type mergeInput struct {
	Body struct {
		LeftBranchID  string `json:"left_branch_id" maxLength:"64" doc:"The branch that becomes the parent."`
		RightBranchID string `json:"right_branch_id" maxLength:"64" doc:"The other branch."`
		Strategy      string `json:"strategy,omitempty" maxLength:"64" default:"interleave" doc:"left_wins, right_wins, or interleave, by words."`
		Mode
	}
}

func (s *Server) merge(ctx context.Context, in *mergeInput) (*body[contract.MergeReply], error) {
	b := in.Body
	by, err := s.maker(ctx, b.Mode.Mode)
	if err != nil {
		return nil, err
	}
	return ask[contract.MergeReply](ctx, s, contract.RPCCorpusMerge, contract.MergeRequest{
		LeftBranchID: b.LeftBranchID, RightBranchID: b.RightBranchID, Strategy: b.Strategy, Mode: b.Mode.Mode, Actor: by.Actor,
	})
}

func (s *Server) branchRoutes() {
	const tag = "Branches"
	missing := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	made := []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity}
	register(s, route{method: http.MethodPost, path: "/api/v1/evolve/branch", id: "evolve-branch", summary: "Make a branch by one event", tag: tag, errors: made}, s.evolve)
	register(s, route{method: http.MethodPost, path: "/api/v1/evolve/multi", id: "evolve-multi", summary: "Make a chain of branches by several events, or none", tag: tag, errors: made}, s.evolveMulti)
	register(s, route{method: http.MethodGet, path: "/api/v1/branches", id: "list-branches", summary: "List branches, newest first", tag: tag, errors: missing[1:]},
		func(ctx context.Context, in *Page) (*body[contract.BranchesReply], error) {
			return ask[contract.BranchesReply](ctx, s, contract.RPCCorpusBranches, contract.BranchesRequest{Limit: in.Limit, Offset: in.Offset})
		})
	register(s, route{method: http.MethodPost, path: "/api/v1/branches/merge", id: "merge-branches", summary: "Make a branch of two", tag: tag, errors: made}, s.merge)
	register(s, route{method: http.MethodGet, path: "/api/v1/branches/{id}/timeline", id: "branch-timeline", summary: "List the events of a branch from its root document on", tag: tag, errors: missing}, s.timeline)
	register(s, route{method: http.MethodGet, path: "/api/v1/branches/{id}/visualization", id: "branch-visualization", summary: "Draw what a branch came from, as nodes and edges", tag: tag, errors: missing}, s.visualize)
	register(s, route{method: http.MethodPost, path: "/api/v1/branches/{id}/replay", id: "replay-branch", summary: "Replay a branch", tag: tag, errors: missing},
		func(ctx context.Context, in *replayBranchInput) (*body[contract.Replay], error) {
			return ask[contract.Replay](ctx, s, contract.RPCCorpusReplay, contract.BranchRequest{BranchID: in.ID, FromRoot: in.FromRoot})
		})
	register(s, route{method: http.MethodGet, path: "/api/v1/branches/{id}/compare/{other}", id: "compare-branches", summary: "Set two branches side by side", tag: tag, errors: missing},
		func(ctx context.Context, in *compareInput) (*body[contract.Comparison], error) {
			return ask[contract.Comparison](ctx, s, contract.RPCCorpusCompare, contract.CompareRequest{LeftBranchID: in.ID, RightBranchID: in.Other})
		})
}
