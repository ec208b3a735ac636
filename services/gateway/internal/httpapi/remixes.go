package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
)

// Mix is what is mixed, and how. It is exported because huma passes over embedded
// structs that are not.
type Mix struct {
	SourceDocumentID string `json:"source_document_id,omitempty" maxLength:"64" doc:"The document that the mix begins with. This or source_branch_id."`
	SourceBranchID   string `json:"source_branch_id,omitempty" maxLength:"64" doc:"The branch that the mix begins with. This or source_document_id."`
	TargetDocumentID string `json:"target_document_id,omitempty" maxLength:"64" doc:"The document that is mixed in. This or target_branch_id."`
	TargetBranchID   string `json:"target_branch_id,omitempty" maxLength:"64" doc:"The branch that is mixed in. This or target_document_id."`
	Strategy         string `json:"strategy" maxLength:"64" doc:"interleave, thematic_blend, temporal_layer or glyph_collide." example:"interleave"`
	Seed             int64  `json:"seed,omitempty" doc:"Where chance begins; the same seed gives the same mix. Default 0."`
	Mode
}

func (s *Server) mix(ctx context.Context, m Mix) (contract.RemixRequest, error) {
	by, err := s.maker(ctx, m.Mode.Mode)
	return contract.RemixRequest{
		Asker: by, SourceDocumentID: m.SourceDocumentID, SourceBranchID: m.SourceBranchID, TargetDocumentID: m.TargetDocumentID,
		TargetBranchID: m.TargetBranchID, Strategy: m.Strategy, Seed: m.Seed, Mode: m.Mode.Mode,
	}, err
}

type remixInput struct{ Body Mix }

type remixed struct {
	NewBranchID *string         `json:"new_branch_id" doc:"The branch that holds the mix; its parent is the source."`
	EventID     *string         `json:"event_id" doc:"The event of that branch."`
	Strategy    string          `json:"strategy" doc:"How it was mixed."`
	DiffSummary json.RawMessage `json:"diff_summary" doc:"What the event did."`
}

func (s *Server) remix(ctx context.Context, in *remixInput) (*body[remixed], error) {
	req, err := s.mix(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	r, err := bus.Call[contract.RemixReply](ctx, s.deps.NC, contract.RPCCorpusRemix, req)
	if err != nil {
		return nil, err
	}
	return &body[remixed]{Body: remixed{NewBranchID: r.NewBranchID, EventID: r.EventID, Strategy: r.Strategy, DiffSummary: r.DiffSummary}}, nil
}

type composeInput struct {
	Body struct {
		Mix
		AtomLevels      []string `json:"atom_levels,omitempty" maxItems:"5" uniqueItems:"true" enum:"glyph-seed,syllable,word,sentence,paragraph" doc:"Levels of which the first atoms of both texts are named."`
		CreateBranch    *bool    `json:"create_branch,omitempty" default:"true" doc:"Make a branch of the mix."`
		PersistArtifact *bool    `json:"persist_artifact,omitempty" default:"true" doc:"Keep the mix, to be read under /api/v1/remix/{id}."`
	}
}

func (s *Server) compose(ctx context.Context, in *composeInput) (*body[contract.RemixReply], error) {
	req, err := s.mix(ctx, in.Body.Mix)
	if err != nil {
		return nil, err
	}
	req.Compose, req.AtomLevels = true, in.Body.AtomLevels
	req.CreateBranch, req.PersistArtifact = or(in.Body.CreateBranch, true), or(in.Body.PersistArtifact, true)
	return ask[contract.RemixReply](ctx, s, contract.RPCCorpusRemix, req)
}

type remixesInput struct {
	Limit  int `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	Offset int `query:"offset" minimum:"0" maximum:"10000000" default:"0" doc:"How many to pass over."`
}

func (s *Server) remixRoutes() {
	const tag = "Remixes"
	made := []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity}
	register(s, route{method: http.MethodPost, path: "/api/v1/remix", id: "remix", summary: "Mix two texts into a new branch", tag: tag, errors: made}, s.remix)
	register(s, route{method: http.MethodPost, path: "/api/v1/remix/compose", id: "compose-remix", summary: "Mix two texts, ask the policy, and show and keep the mix", tag: tag, errors: made}, s.compose)
	register(s, route{method: http.MethodGet, path: "/api/v1/remix", id: "list-remixes", summary: "List kept remixes, newest first", tag: tag, errors: made[4:]},
		func(ctx context.Context, in *remixesInput) (*body[contract.RemixesReply], error) {
			return ask[contract.RemixesReply](ctx, s, contract.RPCCorpusRemixes, contract.RemixesRequest{Limit: in.Limit, Offset: in.Offset})
		})
	register(s, route{method: http.MethodGet, path: "/api/v1/remix/{id}", id: "get-remix", summary: "Read a kept remix", tag: tag, errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *byID) (*body[contract.RemixArtifact], error) {
			return ask[contract.RemixArtifact](ctx, s, contract.RPCCorpusArtifact, contract.RemixRef{RemixID: in.ID})
		})
}
