package httpapi

import (
	"context"
	"net/http"

	"nexus.internal/libs/contract"
)

func (s *Server) corpusRoutes() {
	missing := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	register(s, route{method: http.MethodGet, path: "/api/v1/documents", id: "list-documents", summary: "List documents, newest first", tag: "Corpus", errors: missing[1:]},
		func(ctx context.Context, in *Page) (*body[contract.DocumentsReply], error) {
			return ask[contract.DocumentsReply](ctx, s, contract.RPCCorpusDocuments, contract.DocumentsRequest{Limit: in.Limit, Offset: in.Offset})
		})
	register(s, route{method: http.MethodGet, path: "/api/v1/documents/{id}", id: "get-document", summary: "Read a document with its provenance", tag: "Corpus", errors: missing},
		func(ctx context.Context, in *byID) (*body[contract.Document], error) {
			return ask[contract.Document](ctx, s, contract.RPCCorpusDocument, contract.DocumentRequest{DocumentID: in.ID})
		})
	register(s, route{method: http.MethodGet, path: "/api/v1/ingest/jobs/{id}", id: "get-ingest-job", summary: "Read what an ingest did, file by file", tag: "Corpus", errors: missing},
		func(ctx context.Context, in *byID) (*body[contract.IngestJob], error) {
			return ask[contract.IngestJob](ctx, s, contract.RPCCorpusIngestJob, contract.IngestJobRequest{IngestJobID: in.ID})
		})
}
