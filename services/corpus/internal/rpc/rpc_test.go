package rpc_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/plaintext"
	"nexus.internal/services/corpus/internal/rpc"
	"nexus.internal/services/corpus/internal/store"
)

// bench is the answers of a corpus with a database and a broker of its own.
type bench struct {
	t      *testing.T
	nc     *nats.Conn
	db     *pg.DB
	store  *store.Store
	ingest store.Ingest
	files  int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	url := testkit.PostgresURL(t)
	b := &bench{
		t: t, nc: testkit.NATS(t), db: testkit.OpenPostgres(t, url, ""),
		store:  store.New(testkit.OpenPostgres(t, url, migrations.Role("corpus"))),
		ingest: store.Ingest{ID: document.IngestJobID("job"), JobID: "job", Scope: contract.ScopeFull},
	}
	service := bus.NewRPC(b.nc, zerolog.Nop(), noop.NewTracerProvider(), "corpus")
	rpc.New(b.store).Register(service)
	testkit.Start(t, service)
	require.NoError(t, b.store.BeginIngest(t.Context(), b.ingest))
	return b
}

// save ingests a text, or records another file, and returns the document's id.
func (b *bench) save(path, content string) string {
	b.t.Helper()
	d := document.Document{
		ID: document.IDOf(path), Path: path, Stem: document.Stem(path), Modality: contract.ModalityText,
		Checksum: document.Checksum([]byte(content)), Bytes: int64(len(content)), Title: plaintext.Title(path, content),
	}
	switch {
	case !strings.HasSuffix(path, ".md"):
		d.Modality, d.Status = contract.ModalityImage, contract.FileSkipped
	case plaintext.InConflict(content):
		d.Status = contract.FileConflict
	default:
		selection, err := atom.Select(nil)
		require.NoError(b.t, err)
		d.Status, d.Text, d.Selection = contract.FileIngested, content, selection
		d.Segments = plaintext.Segments(path, content)
	}
	require.NoError(b.t, b.store.SaveDocument(b.t.Context(), b.nextFile(path), d, true))
	return d.ID.String()
}

func (b *bench) nextFile(path string) store.FileRef {
	b.files++
	return store.FileRef{IngestJobID: b.ingest.ID, Position: b.files, Path: path}
}

func call[Resp any](b *bench, subject string, req any) Resp {
	b.t.Helper()
	resp, err := bus.Call[Resp](b.t.Context(), b.nc, subject, req)
	require.NoError(b.t, err)
	return resp
}

func requireFault[Resp any](b *bench, kind fault.Kind, detail, subject string, req any) {
	b.t.Helper()
	_, err := bus.Call[Resp](b.t.Context(), b.nc, subject, req)
	require.Equal(b.t, kind, fault.KindOf(err), "%v", err)
	require.ErrorContains(b.t, err, detail)
}

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
	newest, conflict, oldest := all.Documents[0], all.Documents[1], all.Documents[2]
	require.Equal(t, ids, []string{oldest.ID, conflict.ID, newest.ID})

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
	require.Equal(t, "Night", d.Title)
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

	for _, level := range atom.Levels() {
		call[contract.AtomsReply](b, contract.RPCCorpusAtoms, contract.AtomsRequest{DocumentID: id, Level: string(level)})
	}
}

func TestTextIsReadInParts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, text := range map[string]string{
		"plain":     strings.Repeat("A line of plain text.\n", 60_000),
		"escaped":   strings.Repeat("<&>\x01", 300_000),
		"wide":      strings.Repeat("日本語🙂", 90_000),
		"one short": "þæt",
		"empty":     "",
	} {
		id := b.save("/c/"+name+".md", text)
		var got strings.Builder
		var offset int64
		for {
			part := call[contract.TextReply](b, contract.RPCCorpusText, contract.TextRequest{
				DocumentID: id, Offset: offset, Checksum: document.Checksum([]byte(text)),
			})
			require.True(t, utf8.ValidString(part.Text))
			require.LessOrEqual(t, len(part.Text), contract.MaxTextChunk)
			require.Equal(t, offset, part.Offset)
			require.Equal(t, int64(len(text)), part.TotalBytes)
			require.Equal(t, offset+int64(len(part.Text)), part.NextOffset)
			got.WriteString(part.Text)
			if part.NextOffset == part.TotalBytes {
				break
			}
			require.Greater(t, part.NextOffset, offset)
			offset = part.NextOffset
		}
		require.Equal(t, text, got.String(), name)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.save("/c/a.md", "# T\naþ🙂b")
	whole := call[contract.TextReply](b, contract.RPCCorpusText, contract.TextRequest{DocumentID: id})
	require.Equal(t, contract.TextReply{
		DocumentID: id, Title: "T", Modality: contract.ModalityText, Ingested: true,
		Checksum: document.Checksum([]byte("# T\naþ🙂b")), Text: "# T\naþ🙂b", NextOffset: 12, TotalBytes: 12,
	}, whole)

	for _, c := range []struct {
		offset int64
		limit  int
		want   string
	}{
		{0, 1, "#"},
		{4, 2, "a"}, {4, 3, "aþ"},
		{5, 1, "þ"}, // at least one character, or a reader would never go on
		{7, 2, "🙂"}, {7, 5, "🙂b"}, {7, 0, "🙂b"},
		{12, 0, ""},
	} {
		part := call[contract.TextReply](b, contract.RPCCorpusText, contract.TextRequest{DocumentID: id, Offset: c.offset, Limit: c.limit})
		require.Equal(t, c.want, part.Text, "%+v", c)
		require.Equal(t, c.offset+int64(len(c.want)), part.NextOffset)
	}

	for _, req := range []contract.TextRequest{
		{Offset: -1}, {Offset: 6}, {Offset: 13}, {Offset: 1 << 40}, {Limit: -1}, {Limit: contract.MaxTextChunk + 1},
	} {
		req.DocumentID = id
		requireFault[contract.TextReply](b, fault.Invalid, "", contract.RPCCorpusText, req)
	}
	requireFault[contract.TextReply](b, fault.Conflict, "changed while it was being read", contract.RPCCorpusText,
		contract.TextRequest{DocumentID: id, Checksum: "of an older version"})
}

func TestTextOfDocumentsWithoutText(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conflict := call[contract.TextReply](b, contract.RPCCorpusText, contract.TextRequest{DocumentID: b.save("/c/a.md", "=======\n")})
	require.True(t, conflict.ConflictFlag)
	require.Equal(t, "Conflict markers detected", *conflict.ConflictReason)
	require.False(t, conflict.Ingested)
	require.Empty(t, conflict.Text)
	require.Zero(t, conflict.TotalBytes)

	image := call[contract.TextReply](b, contract.RPCCorpusText, contract.TextRequest{DocumentID: b.save("/c/a.png", "PNG")})
	require.Equal(t, contract.ModalityImage, image.Modality)
	require.False(t, image.Ingested)
	require.False(t, image.ConflictFlag)
}

func TestAtoms(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	text := "The sea. The " + strings.Repeat("sea ", 2500)
	path := "/c/The Sea.md"
	id := b.save(path, text)
	for _, level := range atom.Levels() {
		var want []contract.Atom
		for a := range atom.Atomize(text, []atom.Level{level}) {
			want = append(want, contract.Atom{
				ID: document.AtomID(uuid.MustParse(id), level, a.Ordinal).String(), Level: string(level), Ordinal: a.Ordinal,
				Content: atom.FirstRunes(a.Content, 200), FileName: atom.FileName(path, a),
			})
		}
		var got []contract.Atom
		for len(got) < len(want) {
			page := call[contract.AtomsReply](b, contract.RPCCorpusAtoms, contract.AtomsRequest{
				DocumentID: id, Level: string(level), Offset: len(got), Limit: 499,
			})
			require.Equal(t, int64(len(want)), page.Total)
			require.NotEmpty(t, page.Atoms)
			got = append(got, page.Atoms...)
		}
		require.Equal(t, want, got)
		behind := call[contract.AtomsReply](b, contract.RPCCorpusAtoms, contract.AtomsRequest{DocumentID: id, Level: string(level), Offset: len(want)})
		require.Equal(t, []contract.Atom{}, behind.Atoms)
	}
	require.Equal(t, "THE-SEA_WORD_000001_the.txt",
		call[contract.AtomsReply](b, contract.RPCCorpusAtoms, contract.AtomsRequest{DocumentID: id, Level: "word"}).Atoms[0].FileName)

	for want, req := range map[string]contract.AtomsRequest{
		"unknown atom level \"chapter\"": {Level: "chapter"},
		"limit is 501":                   {Level: "word", Limit: 501},
		"offset is -1":                   {Level: "word", Offset: -1},
	} {
		req.DocumentID = id
		requireFault[contract.AtomsReply](b, fault.Invalid, want, contract.RPCCorpusAtoms, req)
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
		},
		Status: contract.IngestCompleted,
		Files: []contract.IngestFile{
			{Path: "/c/a.md", Status: contract.FileIngested, DocumentID: &id},
			{Path: "/c/b.md", Status: contract.FileError, Error: &why},
		},
		FilesTotal: 2, Errors: []string{"/c/b.md: does not exist"}, CreatedAt: job.CreatedAt, UpdatedAt: job.UpdatedAt,
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
