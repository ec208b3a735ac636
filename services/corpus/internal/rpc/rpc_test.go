package rpc_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/plaintext"
	"nexus.internal/services/corpus/internal/store"
)

func TestDocuments(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	empty := call[contract.DocumentsReply](b, contract.RPCCorpusDocuments, contract.DocumentsRequest{})
	require.Equal(t, contract.DocumentsReply{Documents: []contract.DocumentItem{}}, empty)

	ids := []string{b.save("/c/1.md", "Text one."), b.save("/c/2.md", "x\n=======\n"), b.save("/c/3.png", "PNG")}
	all := call[contract.DocumentsReply](b, contract.RPCCorpusDocuments, contract.DocumentsRequest{})
	require.Equal(t, 3, all.Total)
	require.Zero(t, all.NextOffset)
	require.Len(t, all.Documents, 3)
	oldest, conflict, newest := all.Documents[0], all.Documents[1], all.Documents[2]
	require.Equal(t, ids[0], oldest.ID)
	require.Equal(t, ids[1], conflict.ID)
	require.Equal(t, ids[2], newest.ID)

	reason := "Conflict markers detected"
	require.False(t, oldest.CreatedAt.IsZero())
	require.Equal(t, contract.DocumentItem{
		ID: ids[0], Path: "/c/1.md", Modality: contract.ModalityText, Ingested: true, IngestStatus: contract.FileIngested,
		AtomCount: 15, GraphProjectedAtomCount: 15, GraphProjectionStatus: contract.ProjectionComplete,
		ModalityStatus:  map[contract.Modality]string{"text": "complete"},
		ProviderSummary: map[contract.Modality]string{"text": "builtin_text"},
		CreatedAt:       oldest.CreatedAt, UpdatedAt: oldest.UpdatedAt,
	}, oldest)
	require.Equal(t, contract.DocumentItem{
		ID: ids[1], Path: "/c/2.md", Modality: contract.ModalityText, IngestStatus: contract.FileConflict,
		ConflictFlag: true, ConflictReason: &reason, GraphProjectionStatus: contract.ProjectionPending,
		ModalityStatus:  map[contract.Modality]string{"text": "conflict"},
		ProviderSummary: map[contract.Modality]string{},
		CreatedAt:       conflict.CreatedAt, UpdatedAt: conflict.UpdatedAt,
	}, conflict)
	require.Equal(t, map[contract.Modality]string{"image": "pending"}, newest.ModalityStatus)

	page := call[contract.DocumentsReply](b, contract.RPCCorpusDocuments, contract.DocumentsRequest{Limit: 1, Offset: 1})
	require.Equal(t, []contract.DocumentItem{conflict}, page.Documents)
	require.Equal(t, 3, page.Total)
	require.Zero(t, page.NextOffset)
	behind := call[contract.DocumentsReply](b, contract.RPCCorpusDocuments, contract.DocumentsRequest{Offset: 3})
	require.Empty(t, behind.Documents)
	require.Equal(t, 3, behind.Total)

	for _, req := range []contract.DocumentsRequest{{Limit: -1}, {Limit: 1001}, {Offset: -1}} {
		requireFault[contract.DocumentsReply](b, fault.Invalid, "must", contract.RPCCorpusDocuments, req)
	}
}

func TestManyDocumentsWithLongPathsArePaged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.db.Pool.Exec(t.Context(), `
		INSERT INTO corpus.documents (id, path, stem, title, modality, ingest_status, checksum, byte_size)
		SELECT gen_random_uuid(), '/' || i || repeat('<', 4000), 's' || i, 't', 'text', 'skipped', repeat('0', 64), 1
		FROM generate_series(1, 120) AS i`)
	require.NoError(t, err)
	seen := map[string]bool{}
	offset, pages := 0, 0
	for {
		page := call[contract.DocumentsReply](b, contract.RPCCorpusDocuments, contract.DocumentsRequest{Limit: 1000, Offset: offset})
		pages++
		for _, d := range page.Documents {
			seen[d.ID] = true
		}
		if page.NextOffset == 0 {
			break
		}
		require.Equal(t, offset+len(page.Documents), page.NextOffset)
		offset = page.NextOffset
	}
	require.Len(t, seen, 120)
	require.Greater(t, pages, 1)
}

func TestDocument(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const text = "# Night\n\nIt is dark [1].\n"
	id := b.save("/c/night.md", text)
	picture := b.save("/p/Night.png", "PNG")
	other := b.save("/x/night.md", "Another night.")

	d := call[contract.Document](b, contract.RPCCorpusDocument, contract.DocumentRequest{DocumentID: id})
	require.Equal(t, "night.md", d.Title)
	require.Equal(t, id, d.ID)
	p := d.Provenance
	require.Equal(t, text, p.ExtractedText)
	require.Equal(t, int64(len(text)), p.ExtractedTextBytes)
	require.False(t, p.ExtractedTextTruncated)
	require.Equal(t, document.Checksum([]byte(text)), p.Checksum)
	require.Equal(t, int64(len(text)), p.Bytes)
	var segments contract.TextSegments
	require.NoError(t, json.Unmarshal(p.Segments, &segments))
	require.Equal(t, plaintext.Segments("/c/night.md", text), segments)
	require.Equal(t, contract.Atomization{
		AtomTracks: []string{"full"}, FilenameSchemaVersion: "ab01-v1",
		ActiveAtomLevels: []string{"glyph-seed", "syllable", "word", "sentence", "paragraph"},
	}, p.Atomization)
	require.Equal(t, document.NodeID(uuid.MustParse(id)).String(), p.Hypergraph.DocumentNodeID)
	require.Len(t, p.Hypergraph.AtomNodeIDs, int(d.AtomCount))
	require.Equal(t, d.AtomCount, p.Hypergraph.AtomNodeCount)
	require.False(t, p.Hypergraph.AtomNodeIDsTruncated)
	require.Equal(t, []contract.CrossModalLink{{DocumentID: picture, Modality: contract.ModalityImage}}, p.CrossModalLinks)
	require.ElementsMatch(t, []contract.SiblingDocument{
		{DocumentID: picture, Group: "sibling::night"}, {DocumentID: other, Group: "sibling::night"},
	}, p.Siblings)
	require.False(t, p.SiblingsTruncated)

	image := call[contract.Document](b, contract.RPCCorpusDocument, contract.DocumentRequest{DocumentID: picture})
	require.JSONEq(t, `{}`, string(image.Provenance.Segments))
	require.Empty(t, image.Provenance.Hypergraph.DocumentNodeID)
	require.Equal(t, []string{}, image.Provenance.Hypergraph.AtomNodeIDs)
	require.Equal(t, []string{}, image.Provenance.Atomization.ActiveAtomLevels)
	require.Len(t, image.Provenance.CrossModalLinks, 2)
}

func TestUnknownDocuments(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, id := range []string{uuid.NewString(), "", "not an id", "'; DROP TABLE corpus.documents"} {
		requireFault[contract.Document](b, fault.NotFound, "Document not found", contract.RPCCorpusDocument, contract.DocumentRequest{DocumentID: id})
		requireFault[contract.TextReply](b, fault.NotFound, "Document not found", contract.RPCCorpusText, contract.TextRequest{DocumentID: id})
		requireFault[contract.AtomsReply](b, fault.NotFound, "Document not found", contract.RPCCorpusAtoms, contract.AtomsRequest{DocumentID: id, Level: "word"})
		requireFault[contract.GraphIntegrity](b, fault.NotFound, "Document not found", contract.RPCCorpusIntegrity, contract.IntegrityRequest{DocumentID: id})
		requireFault[contract.IngestJob](b, fault.NotFound, "Ingest job not found", contract.RPCCorpusIngestJob, contract.IngestJobRequest{IngestJobID: id})
	}
}

// TestTheLargestDocumentFitsAMessage makes everything in a document as large as
// it can be, of characters that JSON writes as six.
func TestTheLargestDocumentFitsAMessage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	wide := strings.Repeat("&", 300)
	var text strings.Builder
	fmt.Fprintf(&text, "# %s\n\n", wide)
	for i := range 250 {
		fmt.Fprintf(&text, "## %s\n\n%d%s (A%s, 1999)\n\n", wide, i, wide, strings.Repeat("&", 100))
	}
	text.WriteString(strings.Repeat(wide, 1000))
	stem := strings.Repeat("<", 250)
	path := "/" + strings.Repeat(strings.Repeat("<", 200)+"/", 18) + stem + ".md"
	id := b.save(path, text.String())
	for i := range 150 {
		b.save(fmt.Sprintf("/%d/%s.png", i, stem), "PNG")
	}

	d := call[contract.Document](b, contract.RPCCorpusDocument, contract.DocumentRequest{DocumentID: id})
	data, err := json.Marshal(d)
	require.NoError(t, err)
	require.Less(t, len(data), contract.MaxMessage)
	require.Greater(t, len(data), contract.MaxMessage/2, "the test should come near the limit")
	require.True(t, d.Provenance.ExtractedTextTruncated)
	require.True(t, strings.HasPrefix(text.String(), d.Provenance.ExtractedText))
	require.NotEmpty(t, d.Provenance.ExtractedText)
	require.Len(t, d.Provenance.Hypergraph.AtomNodeIDs, contract.MaxProvenanceAtoms)
	require.True(t, d.Provenance.Hypergraph.AtomNodeIDsTruncated)
	require.Equal(t, d.AtomCount, d.Provenance.Hypergraph.AtomNodeCount)
	require.Len(t, d.Provenance.CrossModalLinks, contract.MaxProvenanceLinks)
	require.Len(t, d.Provenance.Siblings, contract.MaxProvenanceLinks)
	require.True(t, d.Provenance.SiblingsTruncated)

	for _, level := range atom.Levels() {
		call[contract.AtomsReply](b, contract.RPCCorpusAtoms, contract.AtomsRequest{DocumentID: id, Level: string(level)})
	}
}

func TestIntegrity(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.save("/c/a.md", "Some text.")
	good := call[contract.GraphIntegrity](b, contract.RPCCorpusIntegrity, contract.IntegrityRequest{DocumentID: id})
	require.True(t, good.Consistent)
	require.EqualValues(t, 1, good.DocumentNodes)
	require.Positive(t, good.AtomNodes)
	require.Equal(t, good.ExpectedAtomNodes, good.AtomNodes)
	require.Equal(t, good.ExpectedAtomNodes, good.ContainsEdges)

	_, err := b.db.Pool.Exec(t.Context(), "DELETE FROM corpus.atom_runs WHERE level = 1")
	require.NoError(t, err)
	bad := call[contract.GraphIntegrity](b, contract.RPCCorpusIntegrity, contract.IntegrityRequest{DocumentID: id})
	require.False(t, bad.Consistent)
	require.Less(t, bad.AtomNodes, bad.ExpectedAtomNodes)
}

func TestIngestJob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.save("/c/a.md", "Some text.")
	require.NoError(t, b.store.RecordFile(t.Context(), store.FileRecord{
		FileRef: b.nextFile("/c/b.md"), Status: contract.FileError, Reason: "does not exist",
	}))
	running := call[contract.IngestJob](b, contract.RPCCorpusIngestJob, contract.IngestJobRequest{IngestJobID: b.ingest.ID.String()})
	require.Equal(t, contract.IngestRunning, running.Status)
	require.Empty(t, running.ProvenanceDigest)

	require.NoError(t, b.store.CompleteIngest(t.Context(), b.ingest.ID))
	job := call[contract.IngestJob](b, contract.RPCCorpusIngestJob, contract.IngestJobRequest{IngestJobID: b.ingest.ID.String()})
	why := "does not exist"
	require.Equal(t, contract.IngestJob{
		IngestBatchResult: contract.IngestBatchResult{
			IngestJobID: b.ingest.ID.String(), DocumentsIngested: 1, AtomsCreated: job.AtomsCreated,
			ProvenanceDigest: document.ProvenanceDigest([]string{document.Checksum([]byte("Some text."))}),
			IngestScope:      contract.ScopeFull, Warnings: []string{},
			Status: contract.IngestCompletedWithErrors, Errors: []string{"/c/b.md: does not exist"},
		},
		Files: []contract.IngestFile{
			{Path: "/c/a.md", Status: contract.FileIngested, DocumentID: &id},
			{Path: "/c/b.md", Status: contract.FileError, Error: &why},
		},
		FilesTotal: 2, CreatedAt: job.CreatedAt, UpdatedAt: job.UpdatedAt,
	}, job)
	require.Positive(t, job.AtomsCreated)

	page := call[contract.IngestJob](b, contract.RPCCorpusIngestJob, contract.IngestJobRequest{IngestJobID: b.ingest.ID.String(), FilesLimit: 1})
	require.Equal(t, job.Files[:1], page.Files)
	require.Equal(t, 1, page.FilesNext)
	page = call[contract.IngestJob](b, contract.RPCCorpusIngestJob, contract.IngestJobRequest{IngestJobID: b.ingest.ID.String(), FilesOffset: 1})
	require.Equal(t, job.Files[1:], page.Files)
	require.Zero(t, page.FilesNext)
	requireFault[contract.IngestJob](b, fault.Invalid, "must not be negative", contract.RPCCorpusIngestJob,
		contract.IngestJobRequest{IngestJobID: b.ingest.ID.String(), FilesOffset: -1})
}

func TestIngestJobsOfAnySizeArePaged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.db.Pool.Exec(t.Context(), `
		INSERT INTO corpus.ingest_files (ingest_job_id, path_id, position, path, status, error)
		SELECT $1, gen_random_uuid(), i, '/' || i || repeat('<', CASE WHEN i <= 300 THEN 4000 ELSE 10 END), 'error', repeat('<', 500)
		FROM generate_series(1, 3000) AS i`, b.ingest.ID)
	require.NoError(t, err)
	seen := 0
	for {
		job := call[contract.IngestJob](b, contract.RPCCorpusIngestJob, contract.IngestJobRequest{IngestJobID: b.ingest.ID.String(), FilesOffset: seen})
		require.Equal(t, 3000, job.FilesTotal)
		require.NotEmpty(t, job.Files)
		require.LessOrEqual(t, len(job.Errors), contract.MaxIngestNotes)
		require.Regexp(t, `^and \d+ more$`, job.Errors[len(job.Errors)-1])
		seen += len(job.Files)
		if job.FilesNext == 0 {
			break
		}
		require.Equal(t, seen, job.FilesNext)
	}
	require.Equal(t, 3000, seen)
}

func TestADatabaseThatIsGoneIsAnInternalFault(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.save("/c/a.md", "Some text.")
	_, err := b.db.Pool.Exec(t.Context(), "DROP SCHEMA corpus CASCADE")
	require.NoError(t, err)
	requireFault[contract.DocumentsReply](b, fault.Internal, "", contract.RPCCorpusDocuments, contract.DocumentsRequest{})
	requireFault[contract.Document](b, fault.Internal, "", contract.RPCCorpusDocument, contract.DocumentRequest{DocumentID: id})
	requireFault[contract.TextReply](b, fault.Internal, "", contract.RPCCorpusText, contract.TextRequest{DocumentID: id})
	requireFault[contract.AtomsReply](b, fault.Internal, "", contract.RPCCorpusAtoms, contract.AtomsRequest{DocumentID: id, Level: "word"})
	requireFault[contract.GraphIntegrity](b, fault.Internal, "", contract.RPCCorpusIntegrity, contract.IntegrityRequest{DocumentID: id})
	requireFault[contract.IngestJob](b, fault.Internal, "", contract.RPCCorpusIngestJob, contract.IngestJobRequest{IngestJobID: b.ingest.ID.String()})
}
