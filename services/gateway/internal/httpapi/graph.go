package httpapi

import (
	"context"
	"net/http"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
)

type governInput struct {
	Body struct {
		CandidateOutput string `json:"candidate_output" doc:"The text that is to go out."`
		Mode
	}
}

func (s *Server) govern(ctx context.Context, in *governInput) (*body[contract.GovernReply], error) {
	by, err := s.maker(ctx, in.Body.Mode.Mode)
	if err != nil {
		return nil, err
	}
	return ask[contract.GovernReply](ctx, s, contract.RPCCorpusGovern, contract.GovernRequest{
		Asker: by, CandidateOutput: in.Body.CandidateOutput, Mode: in.Body.Mode.Mode,
	})
}

type graphQuery struct {
	DocumentID       string `query:"document_id" maxLength:"64" doc:"Only the graph of this document."`
	NodeID           string `query:"node_id" maxLength:"64" doc:"Only this node, doc:<id> or atom:<id>, and those beside it."`
	RelationshipType string `query:"relationship_type" maxLength:"64" doc:"Only edges of this type, and the nodes they join. CONTAINS is the one there is."`
	Limit            int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many nodes at most."`
}

// integrity is how a graph agrees with its document. The fields that begin with
// neo4j are for clients that know them: there is no such store.
type integrity struct {
	contract.GraphIntegrity

	Neo4jVerified      bool   `json:"neo4j_verified" doc:"Always false: the graph is in Postgres." example:"false"`
	Neo4jDocumentNodes *int64 `json:"neo4j_document_nodes" doc:"Always null."`
	Neo4jAtomNodes     *int64 `json:"neo4j_atom_nodes" doc:"Always null."`
	Neo4jContainsEdges *int64 `json:"neo4j_contains_edges" doc:"Always null."`
}

func (s *Server) graphRoutes() {
	const policy, graph = "Governance", "Graph"
	register(s, route{
		method: http.MethodPost, path: "/api/v1/governance/evaluate", id: "evaluate-policy", summary: "Ask whether a text may go out", tag: policy,
		errors: []int{http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity},
	}, s.govern)
	register(s, route{
		method: http.MethodGet, path: "/api/v1/audit/policy-decisions", id: "list-policy-decisions", summary: "List what the policy said, newest first", tag: policy,
		errors: []int{http.StatusUnprocessableEntity},
	}, func(ctx context.Context, in *Page) (*body[contract.DecisionsReply], error) {
		return ask[contract.DecisionsReply](ctx, s, contract.RPCCorpusDecisions, contract.DecisionsRequest{Limit: in.Limit, Offset: in.Offset})
	})
	register(s, route{
		method: http.MethodGet, path: "/api/v1/hypergraph/query", id: "query-graph", summary: "Read a part of the graph of documents and atoms", tag: graph,
		errors: []int{http.StatusBadRequest, http.StatusUnprocessableEntity},
	}, func(ctx context.Context, in *graphQuery) (*body[contract.GraphReply], error) {
		return ask[contract.GraphReply](ctx, s, contract.RPCCorpusGraph, contract.GraphRequest{
			DocumentID: in.DocumentID, NodeID: in.NodeID, RelationshipType: in.RelationshipType, Limit: in.Limit,
		})
	})
	register(s, route{
		method: http.MethodGet, path: "/api/v1/hypergraph/documents/{id}/integrity", id: "document-integrity", summary: "Compare a document's graph with the document", tag: graph,
		errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *byID) (*body[integrity], error) {
		counts, err := bus.Call[contract.GraphIntegrity](ctx, s.deps.NC, contract.RPCCorpusIntegrity, contract.IntegrityRequest{DocumentID: in.ID})
		if err != nil {
			return nil, err
		}
		return &body[integrity]{Body: integrity{GraphIntegrity: counts}}, nil
	})
}
