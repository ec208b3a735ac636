package ingest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/ingest"
	"nexus.internal/services/corpus/internal/media"
	"nexus.internal/services/corpus/internal/objectstore"
	"nexus.internal/services/corpus/internal/source"
	"nexus.internal/services/corpus/internal/store"
)

func TestIngestTheWholeCorpus(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "# Tides\n\nThe sea rises. It falls!\n")
	b.write("deep/b.yaml", "title: Charts\n")
	b.write("c.pdf", "%PDF-1.4 not really")
	b.write("conflict.txt", "<<<<<<< ours\nx\n=======\ny\n>>>>>>> theirs\n")
	b.write("nul.md", "text\x00and NUL")
	b.write("latin1.txt", "caf\xe9")
	b.write("blob", "\x00\x01")

	result := b.run(`{}`)
	require.Equal(t, contract.ScopeFull, result.IngestScope)
	require.Equal(t, 5, result.DocumentsIngested)
	require.Zero(t, result.DocumentsUnchanged)
	require.Equal(t, digestOf("# Tides\n\nThe sea rises. It falls!\n", "title: Charts\n", "text\x00and NUL", "caf\xe9", "\x00\x01"), result.ProvenanceDigest)
	require.Equal(t, map[string]string{
		"a.md":         "ingested",
		"deep/b.yaml":  "ingested",
		"c.pdf":        "error: is a broken PDF file, or needs more memory than it may take",
		"blob":         "ingested",
		"conflict.txt": "conflict: Conflict markers detected",
		"nul.md":       "ingested",
		"latin1.txt":   "ingested",
	}, b.files(result.IngestJobID))
	require.Equal(t, []string{
		b.path("conflict.txt") + ": Conflict markers detected",
		b.path("latin1.txt") + ": bytes that are not valid UTF-8: 1; they were replaced",
		b.path("nul.md") + ": NUL bytes: 1; they were replaced",
	}, result.Warnings)

	job, err := b.store.Ingest(t.Context(), uuid.MustParse(result.IngestJobID))
	require.NoError(t, err)
	require.Equal(t, contract.IngestCompletedWithErrors, job.Status)
	require.Equal(t, result, job.IngestBatchResult)
	require.Equal(t, 7, job.FilesTotal)
	require.Equal(t, []string{b.path("c.pdf") + ": is a broken PDF file, or needs more memory than it may take"}, job.Errors)

	a := b.document("a.md")
	require.Equal(t, "a.md", a.Title)
	require.True(t, a.Item.Ingested)
	require.Equal(t, "# Tides\n\nThe sea rises. It falls!\n", string(a.TextHead))
	require.Equal(t, a.Item.AtomCount, a.Item.GraphProjectedAtomCount)
	require.Equal(t, contract.ProjectionComplete, a.Item.GraphProjectionStatus)
	require.Equal(t, a.Item.AtomCount+b.document("deep/b.yaml").Item.AtomCount+b.document("nul.md").Item.AtomCount+b.document("latin1.txt").Item.AtomCount,
		result.AtomsCreated)
	require.Equal(t, "text\uFFFDand NUL", string(b.document("nul.md").TextHead))
	require.Equal(t, "caf\uFFFD", string(b.document("latin1.txt").TextHead))
	require.Equal(t, []string{"full"}, a.Tracks)

	conflict := b.document("conflict.txt")
	require.False(t, conflict.Item.Ingested)
	require.True(t, conflict.Item.ConflictFlag)
	require.Equal(t, "Conflict markers detected", *conflict.Item.ConflictReason)
	require.Empty(t, conflict.TextHead)

	blob := b.document("blob")
	require.Equal(t, contract.ModalityBinary, blob.Item.Modality)
	require.True(t, blob.Item.Ingested)
	require.Zero(t, blob.Item.AtomCount)
	require.Empty(t, blob.TextHead)
	require.JSONEq(t, `{}`, string(blob.Segments))
	require.Equal(t, document.Checksum([]byte("\x00\x01")), blob.Checksum)
	raw, err := os.ReadFile(b.objects.Path(blob.Checksum))
	require.NoError(t, err)
	require.Equal(t, "\x00\x01", string(raw))

	_, err = b.store.Document(t.Context(), document.IDOf(b.path("c.pdf")), 0, 1)
	require.ErrorIs(t, err, store.ErrNotFound)
	b.requireConsistent()
}

func TestUnchangedDocuments(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "One text.")
	b.write("b.md", "Other text.")
	first := b.run(`{"source_paths":["a.md","b.md"]}`)
	require.Equal(t, 2, first.DocumentsIngested)
	require.Equal(t, contract.ScopePartial, first.IngestScope)

	again := b.run(`{"source_paths":["a.md","b.md"]}`)
	require.Equal(t, 0, again.DocumentsIngested)
	require.Equal(t, 2, again.DocumentsUnchanged)
	require.Zero(t, again.AtomsCreated)
	require.Equal(t, first.ProvenanceDigest, again.ProvenanceDigest)
	require.NotEqual(t, first.IngestJobID, again.IngestJobID)

	forced := b.run(`{"source_paths":["a.md","b.md"],"parse_options":{"force":true}}`)
	require.Equal(t, 2, forced.DocumentsIngested)
	require.Equal(t, first.AtomsCreated, forced.AtomsCreated)

	b.write("a.md", "One text, longer.")
	changed := b.run(`{"source_paths":["a.md","b.md"]}`)
	require.Equal(t, 1, changed.DocumentsIngested)
	require.Equal(t, 1, changed.DocumentsUnchanged)
	require.Equal(t, "One text, longer.", string(b.document("a.md").TextHead))
	b.requireConsistent()
}

func TestAtomsFollowTheTracks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "Alpha beta gamma. Delta epsilon zeta.")
	for payload, want := range map[string]struct {
		levels []string
		atoms  int64
	}{
		`{"atom_tracks":["literary"],"parse_options":{"force":true}}`:     {[]string{"word", "sentence", "paragraph"}, 6 + 2 + 1},
		`{"atom_tracks":["glyphic_seed"],"parse_options":{"force":true}}`: {[]string{"glyph-seed", "syllable"}, 32 + 13},
		`{"atom_tracks":["literary","glyphic_seed"],"parse_options":{"force":true}}`: {
			[]string{"glyph-seed", "syllable", "word", "sentence", "paragraph"}, 9 + 45,
		},
		`{"parse_options":{"force":true,"atomize":false}}`: {[]string{}, 0},
	} {
		result := b.run(payload)
		require.Equal(t, want.atoms, result.AtomsCreated, payload)
		d := b.document("a.md")
		require.Equal(t, want.levels, d.Levels)
		require.Equal(t, want.atoms, d.Item.AtomCount)
		require.Equal(t, want.atoms, d.Item.GraphProjectedAtomCount)
		b.requireConsistent()
	}
}

func TestADocumentFollowsItsFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "Fine text.")
	b.run(`{}`)
	require.True(t, b.document("a.md").Item.Ingested)
	created := b.document("a.md").Item.CreatedAt

	b.write("a.md", "Fine text.\n=======\n")
	result := b.run(`{}`)
	require.Zero(t, result.DocumentsIngested)
	require.Empty(t, result.ProvenanceDigest)
	d := b.document("a.md")
	require.True(t, d.Item.ConflictFlag)
	require.Zero(t, d.Item.AtomCount)
	require.Zero(t, d.Item.GraphProjectedAtomCount)
	require.Equal(t, contract.ProjectionPending, d.Item.GraphProjectionStatus)
	require.Empty(t, d.TextHead)
	b.requireConsistent()

	// The same conflict again is a conflict again, not unchanged.
	require.Equal(t, "conflict: Conflict markers detected", b.files(b.run(`{}`).IngestJobID)["a.md"])

	b.write("a.md", "Fine text.")
	require.Equal(t, 1, b.run(`{}`).DocumentsIngested)
	require.True(t, b.document("a.md").Item.Ingested)
	require.Equal(t, created, b.document("a.md").Item.CreatedAt)

	// A file that cannot be read leaves the last good version alone.
	b.write("a.md", "\x89PNG\r\n\x1a\n")
	require.Equal(t, "error: is not text: its content is image/png", b.files(b.run(`{}`).IngestJobID)["a.md"])
	require.Equal(t, "Fine text.", string(b.document("a.md").TextHead))
	b.requireConsistent()
}

func TestFilter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "Text.")
	b.write("b.png", "\x89PNG")
	result := b.run(`{"modalities":["text"]}`)
	require.Equal(t, map[string]string{"a.md": "ingested", "b.png": "skipped: its modality, image, was not asked for"},
		b.files(result.IngestJobID))
	require.Empty(t, result.Warnings)
	_, err := b.store.Document(t.Context(), document.IDOf(b.path("b.png")), 0, 1)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestSiblings(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("Odyssey.md", "Tell me.")
	b.write("pictures/odyssey.png", string(media.PNG(2, 3)))
	b.write("iliad.md", "Sing.")
	b.run(`{}`)
	before := b.document("Odyssey.md").Siblings
	require.Equal(t, []store.Relative{{
		ID: document.IDOf(b.path("pictures/odyssey.png")), Modality: contract.ModalityImage, Group: "sibling::odyssey",
	}}, before)
	require.Equal(t, document.IDOf(b.path("Odyssey.md")), b.document("pictures/odyssey.png").Siblings[0].ID)
	require.Empty(t, b.document("iliad.md").Siblings)

	b.write("Odyssey.md", "Tell me more.")
	b.run(`{"source_paths":["Odyssey.md"]}`)
	require.Equal(t, before, b.document("Odyssey.md").Siblings)
}

func TestEmptyAndBlankTexts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("empty.md", "")
	b.write("blank.md", " \n\t\n")
	result := b.run(`{}`)
	require.Equal(t, 1, result.DocumentsIngested)
	require.Zero(t, result.AtomsCreated)
	require.Equal(t, map[string]string{"empty.md": "error: is empty", "blank.md": "ingested"}, b.files(result.IngestJobID))
	b.requireConsistent()
}

func TestAnEmptyCorpus(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	result := b.run(`{}`)
	require.Empty(t, result.ProvenanceDigest)
	require.Equal(t, []string{}, result.Warnings)
	require.Zero(t, result.DocumentsIngested)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *ingest.Config) { c.MaxFileBytes, c.MaxFiles = 8, 2 })
	b.write("a.md", "12345678")
	b.write("b.md", "123456789")
	files := b.files(b.run(`{}`).IngestJobID)
	require.Equal(t, "ingested", files["a.md"])
	require.Contains(t, files["b.md"], "error: is larger (9 bytes) than the limit of 8 bytes")

	b.write("c.md", "x")
	before := b.dump()
	_, err := b.runAs(t.Context(), "too-many", `{}`)
	var many *source.TooManyFilesError
	require.ErrorAs(t, err, &many)
	require.Equal(t, before, b.dump())
}

func TestRefusedBatchesLeaveNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "Text.")
	before := b.dump()
	_, err := b.runAs(t.Context(), "escape", `{"source_paths":["a.md","../outside.md"]}`)
	var escape *source.EscapeError
	require.ErrorAs(t, err, &escape)
	require.Equal(t, before, b.dump())

	require.NoError(t, os.RemoveAll(b.dir))
	_, err = b.runAs(t.Context(), "missing", `{}`)
	var missing *source.MissingRootError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, before, b.dump())
}

func TestObjectsThatCannotBeKeptStopTheIngest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "Text.")
	blocked := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	b.ingester = ingest.New(ingest.Config{CorpusRoot: b.dir, MaxFileBytes: 100, MaxFiles: 10, Parallel: 1}, b.store,
		objectstore.New(blocked), contents(), zerolog.Nop())
	_, err := b.runAs(t.Context(), "job", `{}`)
	require.ErrorContains(t, err, "store object")
	_, err = b.store.Document(t.Context(), document.IDOf(b.path("a.md")), 0, 1)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestWarningsAndErrorsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *ingest.Config) { c.MaxFiles = 1000 })
	for i := range 150 {
		b.write(fmt.Sprintf("%03d.md", i), "caf\xe9")
		b.write(fmt.Sprintf("%03d.png", i), "no image")
	}
	result := b.run(`{"parse_options":{"unknown":1}}`)
	require.Len(t, result.Warnings, contract.MaxIngestNotes)
	require.Equal(t, `parse option "unknown" is not known and was ignored`, result.Warnings[0])
	require.Equal(t, "and 52 more", result.Warnings[99])
	job, err := b.store.Ingest(t.Context(), uuid.MustParse(result.IngestJobID))
	require.NoError(t, err)
	require.Len(t, job.Errors, contract.MaxIngestNotes)
	require.Equal(t, "and 51 more", job.Errors[99])
}

func TestTheExampleCorpusIsIngested(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ingester = ingest.New(ingest.Config{CorpusRoot: "../../../../examples/corpus", MaxFileBytes: 1 << 20, MaxFiles: 100, Parallel: 4},
		b.store, b.objects, contents(), zerolog.Nop())
	result := b.run(`{}`)
	require.GreaterOrEqual(t, result.DocumentsIngested, 4)
	require.Empty(t, result.Warnings)
	require.Positive(t, result.AtomsCreated)
	b.requireConsistent()
}
