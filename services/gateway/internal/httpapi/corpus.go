package httpapi

import (
	"context"
	"net/http"

	"nexus.internal/libs/contract"
)

func (s *Server) corpusRoutes() {
	missing := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	register(s, route{method: http.MethodGet, path: "/api/v1/documents", id: "list-documents", summary: "List documents, oldest first", tag: "Corpus", errors: missing[1:]},
		func(ctx context.Context, in *Page) (*body[contract.DocumentsReply], error) {
			return ask[contract.DocumentsReply](ctx, s, contract.RPCCorpusDocuments, contract.DocumentsRequest{Limit: in.Limit, Offset: in.Offset})
		})
	register(s, route{method: http.MethodGet, path: "/api/v1/documents/{id}", id: "get-document", summary: "Read a document with its provenance", tag: "Corpus", errors: missing},
		func(ctx context.Context, in *byID) (*body[contract.Document], error) {
			return ask[contract.Document](ctx, s, contract.RPCCorpusDocument, contract.DocumentRequest{DocumentID: in.ID})
		})
	register(s, route{
		method: http.MethodPost, path: "/api/v1/ingest/batch", id: "ingest-batch", summary: "Ingest files of the corpus and wait for the end", tag: "Corpus",
		errors: append(missing[1:], http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge), maxBody: s.opts.submitBody(),
	}, s.ingestBatch)
	register(s, route{method: http.MethodGet, path: "/api/v1/ingest/jobs/{id}", id: "get-ingest-job", summary: "Read what an ingest did, file by file", tag: "Corpus", errors: missing},
		func(ctx context.Context, in *ingestFilesQuery) (*body[contract.IngestJob], error) {
			return ask[contract.IngestJob](ctx, s, contract.RPCCorpusIngestJob, contract.IngestJobRequest{IngestJobID: in.ID, FilesOffset: in.Offset, FilesLimit: in.Limit})
		})
}

// ingestFilesQuery selects files of an ingest. Without a limit there are as many
// as one answer holds.
type ingestFilesQuery struct {
	ID     string `path:"id" format:"uuid" doc:"The id."`
	Limit  int    `query:"limit" minimum:"1" maximum:"100000" doc:"How many files at most. Default: as many as one answer holds."`
	Offset int    `query:"offset" minimum:"0" maximum:"10000000" default:"0" doc:"How many files to pass over: files_next_offset of the page before."`
}
