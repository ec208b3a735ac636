package ingest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/ingest"
	"nexus.internal/services/corpus/internal/objectstore"
	"nexus.internal/services/corpus/internal/source"
	"nexus.internal/services/corpus/internal/store"
)

// bench is an ingester over a corpus folder and a database of its own.
type bench struct {
	t        *testing.T
	dir      string // the corpus root, links resolved
	objects  *objectstore.Store
	db       *pg.DB       // as the superuser, to look and to meddle
	store    *store.Store // as the service's own role
	ingester *ingest.Ingester
}

func newBench(t *testing.T, change ...func(*ingest.Config)) *bench {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	b := &bench{t: t, dir: filepath.Join(base, "corpus"), objects: objectstore.New(filepath.Join(base, "objects"))}
	require.NoError(t, os.Mkdir(b.dir, 0o750))
	url := testkit.PostgresURL(t)
	b.db = testkit.OpenPostgres(t, url, "")
	b.store = store.New(testkit.OpenPostgres(t, url, migrations.Role("corpus")))
	cfg := ingest.Config{CorpusRoot: b.dir, MaxFileBytes: 1 << 20, MaxFiles: 100, Parallel: 3}
	for _, c := range change {
		c(&cfg)
	}
	b.ingester = ingest.New(cfg, b.store, b.objects, zerolog.Nop())
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) write(name, content string) {
	b.t.Helper()
	require.NoError(b.t, os.MkdirAll(filepath.Dir(b.path(name)), 0o750))
	require.NoError(b.t, os.WriteFile(b.path(name), []byte(content), 0o600))
}

// run ingests as a new job.
func (b *bench) run(payload string) contract.IngestBatchResult {
	b.t.Helper()
	result, err := b.runAs(b.t.Context(), uuid.NewString(), payload)
	require.NoError(b.t, err)
	return result
}

func (b *bench) runAs(ctx context.Context, jobID, payload string) (contract.IngestBatchResult, error) {
	b.t.Helper()
	request, err := ingest.ParseRequest(json.RawMessage(payload), 100)
	require.NoError(b.t, err)
	return b.ingester.Run(ctx, jobID, request)
}

// files returns what became of the files of an ingest: "status[: error]" by name.
func (b *bench) files(ingestJobID string) map[string]string {
	b.t.Helper()
	list, err := b.store.IngestFiles(b.t.Context(), uuid.MustParse(ingestJobID), 0, 1000)
	require.NoError(b.t, err)
	files := map[string]string{}
	for _, f := range list {
		name, err := filepath.Rel(b.dir, f.Path)
		require.NoError(b.t, err)
		files[name] = string(f.Status)
		if f.Error != nil {
			files[name] += ": " + *f.Error
		}
	}
	return files
}

func (b *bench) document(name string) store.Details {
	b.t.Helper()
	d, err := b.store.Document(b.t.Context(), document.IDOf(b.path(name)), 1<<20, 100)
	require.NoError(b.t, err)
	return d
}

// dump returns everything stored, so that states can be compared.
func (b *bench) dump() string {
	b.t.Helper()
	var out strings.Builder
	for _, query := range []string{
		"SELECT id, path, stem, title, modality, ingest_status, checksum, byte_size, text_bytes, atom_count, atom_tracks, atom_levels, segments FROM corpus.documents ORDER BY id",
		"SELECT * FROM corpus.document_texts ORDER BY document_id",
		"SELECT * FROM corpus.document_nodes ORDER BY id",
		"SELECT * FROM corpus.atoms ORDER BY document_id, level, ordinal",
		"SELECT * FROM corpus.contains_edges ORDER BY document_id, level",
		"SELECT * FROM corpus.document_siblings ORDER BY document_id, related_document_id",
		"SELECT id, job_id, status, ingest_scope, provenance_digest, notes, error_text FROM corpus.ingest_jobs ORDER BY id",
		"SELECT * FROM corpus.ingest_files ORDER BY ingest_job_id, position",
	} {
		rows, err := b.db.Pool.Query(b.t.Context(), query)
		require.NoError(b.t, err)
		for rows.Next() {
			values, err := rows.Values()
			require.NoError(b.t, err)
			fmt.Fprintln(&out, values...)
		}
		require.NoError(b.t, rows.Err())
	}
	return out.String()
}

func (b *bench) requireConsistent() {
	b.t.Helper()
	graphs, err := b.store.Graphs(b.t.Context(), uuid.Nil, 1000)
	require.NoError(b.t, err)
	for _, g := range graphs {
		require.True(b.t, g.Integrity().Consistent, "%+v", g)
	}
}

func digestOf(contents ...string) string {
	var sums []string
	for _, c := range contents {
		sums = append(sums, document.Checksum([]byte(c)))
	}
	slices.Sort(sums)
	sum := sha256.Sum256([]byte(strings.Join(sums, "\n")))
	return hex.EncodeToString(sum[:])
}

func TestIngestTheWholeCorpus(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "# Tides\n\nThe sea rises. It falls!\n")
	b.write("deep/b.yaml", "title: Charts\n")
	b.write("c.pdf", "%PDF-1.4 not really")
	b.write("conflict.txt", "<<<<<<< ours\nx\n=======\ny\n>>>>>>> theirs\n")
	b.write("binary.md", "text\x00and NUL")
	b.write("latin1.txt", "caf\xe9")
	b.write("blob", "\x00\x01")

	result := b.run(`{}`)
	require.Equal(t, contract.ScopeFull, result.IngestScope)
	require.Equal(t, 2, result.DocumentsIngested)
	require.Zero(t, result.DocumentsUnchanged)
	require.Equal(t, digestOf("# Tides\n\nThe sea rises. It falls!\n", "title: Charts\n"), result.ProvenanceDigest)
	require.Equal(t, map[string]string{
		"a.md":         "ingested",
		"deep/b.yaml":  "ingested",
		"c.pdf":        "skipped: recorded, but not ingested: the content of pdf files is not extracted",
		"blob":         "skipped: recorded, but not ingested: the content of binary files is not extracted",
		"conflict.txt": "conflict: Conflict markers detected",
		"binary.md":    "error: file contains a NUL byte at offset 4, so it is not plain text",
		"latin1.txt":   "error: file is not valid UTF-8 at offset 3",
	}, b.files(result.IngestJobID))
	require.Equal(t, []string{
		b.path("blob") + ": recorded, but not ingested: the content of binary files is not extracted",
		b.path("c.pdf") + ": recorded, but not ingested: the content of pdf files is not extracted",
		b.path("conflict.txt") + ": Conflict markers detected",
	}, result.Warnings)

	job, err := b.store.Ingest(t.Context(), uuid.MustParse(result.IngestJobID))
	require.NoError(t, err)
	require.Equal(t, contract.IngestCompleted, job.Status)
	require.Equal(t, result, job.IngestBatchResult)
	require.Equal(t, 7, job.FilesTotal)
	require.Len(t, job.Errors, 2)
	require.Contains(t, job.Errors[0], "binary.md: file contains a NUL byte")

	a := b.document("a.md")
	require.Equal(t, "Tides", a.Title)
	require.True(t, a.Item.Ingested)
	require.Equal(t, "# Tides\n\nThe sea rises. It falls!\n", string(a.TextHead))
	require.Equal(t, a.Item.AtomCount, a.Item.GraphProjectedAtomCount)
	require.Equal(t, contract.ProjectionComplete, a.Item.GraphProjectionStatus)
	require.Equal(t, a.Item.AtomCount+b.document("deep/b.yaml").Item.AtomCount, result.AtomsCreated)
	require.Equal(t, []string{"full"}, a.Tracks)

	conflict := b.document("conflict.txt")
	require.False(t, conflict.Item.Ingested)
	require.True(t, conflict.Item.ConflictFlag)
	require.Equal(t, "Conflict markers detected", *conflict.Item.ConflictReason)
	require.Empty(t, conflict.TextHead)

	pdf := b.document("c.pdf")
	require.Equal(t, contract.ModalityPDF, pdf.Item.Modality)
	require.Equal(t, contract.FileSkipped, pdf.Item.IngestStatus)
	require.Equal(t, document.Checksum([]byte("%PDF-1.4 not really")), pdf.Checksum)
	raw, err := os.ReadFile(b.objects.Path(pdf.Checksum))
	require.NoError(t, err)
	require.Equal(t, "%PDF-1.4 not really", string(raw))

	_, err = b.store.Document(t.Context(), document.IDOf(b.path("latin1.txt")), 0, 1)
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
	b.write("a.md", "broken \xff")
	require.Contains(t, b.files(b.run(`{}`).IngestJobID)["a.md"], "error: file is not valid UTF-8")
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
	b.write("pictures/odyssey.png", "\x89PNG")
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
	require.Equal(t, 2, result.DocumentsIngested)
	require.Zero(t, result.AtomsCreated)
	require.Equal(t, "empty", b.document("empty.md").Title)
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

func TestACompletedJobGivesTheSameResultAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "Text.")
	first, err := b.runAs(t.Context(), "job-1", `{}`)
	require.NoError(t, err)
	before := b.dump()

	b.write("a.md", "Other text.")
	b.write("b.md", "New.")
	second, err := b.runAs(t.Context(), "job-1", `{}`)
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Equal(t, before, b.dump())
}

// TestAnInterruptedJobGoesOn stops a job after each of its writes in turn. Run
// again, it must end in the state of a job that was never stopped.
func TestAnInterruptedJobGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *ingest.Config) { c.Parallel = 1 })
	for i := range 4 {
		b.write(fmt.Sprintf("%d.md", i), fmt.Sprintf("Text number %d.", i))
	}
	b.write("4.pdf", "%PDF")
	b.write("5.md", "\xff")
	want, err := b.runAs(t.Context(), "job", `{}`)
	require.NoError(t, err)
	state := b.dump()

	clear := "TRUNCATE corpus.documents, corpus.ingest_jobs CASCADE"
	for stopAfter := range 6 {
		_, err := b.db.Pool.Exec(t.Context(), clear)
		require.NoError(t, err)
		b.stopAfterFiles(stopAfter)
		_, err = b.runAs(t.Context(), "job", `{}`)
		require.ErrorContains(t, err, "the power went out")
		job, err := b.store.Ingest(t.Context(), document.IngestJobID("job"))
		require.NoError(t, err)
		require.Equal(t, contract.IngestFailed, job.Status)
		require.Contains(t, job.Errors[0], "the power went out")
		require.Equal(t, stopAfter, job.FilesTotal)

		b.stopAfterFiles(-1)
		got, err := b.runAs(t.Context(), "job", `{}`)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, state, b.dump(), "stopped after %d files", stopAfter)
	}
}

// stopAfterFiles makes the database refuse to record more files than count; a
// negative count takes the limit away.
func (b *bench) stopAfterFiles(count int) {
	b.t.Helper()
	for _, statement := range []string{
		"DROP TRIGGER IF EXISTS power ON corpus.ingest_files",
		fmt.Sprintf(`CREATE OR REPLACE FUNCTION corpus.power() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF (SELECT count(*) FROM corpus.ingest_files) >= %d THEN RAISE 'the power went out'; END IF;
			RETURN NEW; END $$`, count),
		"CREATE TRIGGER power BEFORE INSERT ON corpus.ingest_files FOR EACH ROW EXECUTE FUNCTION corpus.power()",
	} {
		_, err := b.db.Pool.Exec(b.t.Context(), statement)
		require.NoError(b.t, err)
	}
	if count < 0 {
		_, err := b.db.Pool.Exec(b.t.Context(), "DROP TRIGGER power ON corpus.ingest_files")
		require.NoError(b.t, err)
	}
}

func TestACancelledJobIsMarkedAndGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "Text.")
	ctx, cancel := context.WithCancelCause(t.Context())
	b.ingester = ingest.New(ingest.Config{CorpusRoot: b.dir, MaxFileBytes: 100, MaxFiles: 10, Parallel: 1}, b.store, b.objects,
		zerolog.New(cancelOnWrite{cancel}))
	_, err := b.runAs(ctx, "job", `{}`)
	require.ErrorIs(t, err, context.Canceled)
	job, err := b.store.Ingest(t.Context(), document.IngestJobID("job"))
	require.NoError(t, err)
	require.Equal(t, contract.IngestFailed, job.Status)

	result, err := b.runAs(t.Context(), "job", `{}`)
	require.NoError(t, err)
	require.Equal(t, 1, result.DocumentsIngested)
}

// cancelOnWrite ends a context when something is logged, which an ingest does
// once it has begun.
type cancelOnWrite struct{ cancel context.CancelCauseFunc }

func (c cancelOnWrite) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("ingesting files")) {
		c.cancel(errors.New("cancelled"))
	}
	return len(line), nil
}

func TestJobsOnTheSameFilesAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 6 {
		b.write(fmt.Sprintf("%d.md", i), strings.Repeat(fmt.Sprintf("Text number %d. ", i), 50))
	}
	results := make([]contract.IngestBatchResult, 6)
	errs := make([]error, len(results))
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() {
			// Two runs of each of three jobs, one of which forces.
			payload := `{}`
			if i%3 == 0 {
				payload = `{"parse_options":{"force":true}}`
			}
			results[i], errs[i] = b.runAs(t.Context(), fmt.Sprintf("job-%d", i%3), payload)
		})
	}
	group.Wait()
	for i := range results {
		require.NoError(t, errs[i])
		require.Equal(t, results[i%3], results[i])
		require.Equal(t, 6, results[i].DocumentsIngested+results[i].DocumentsUnchanged)
		require.Equal(t, results[0].ProvenanceDigest, results[i].ProvenanceDigest)
	}
	require.Equal(t, 6, results[0].DocumentsIngested)
	b.requireConsistent()
}

func TestLastWriterOfAChangingFileWinsWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	texts := []string{"short", strings.Repeat("A longer text of many words. ", 200), "x\n=======\n"}
	var group sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		b.write("a.md", texts[i%3])
		group.Go(func() {
			_, errs[i] = b.runAs(t.Context(), fmt.Sprintf("job-%d", i), `{"parse_options":{"force":true}}`)
		})
	}
	group.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	b.requireConsistent()
	d := b.document("a.md")
	if d.Item.Ingested {
		require.Equal(t, document.Checksum(d.TextHead), d.Checksum)
	}
}

func TestObjectsThatCannotBeKeptStopTheIngest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "Text.")
	blocked := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	b.ingester = ingest.New(ingest.Config{CorpusRoot: b.dir, MaxFileBytes: 100, MaxFiles: 10, Parallel: 1}, b.store,
		objectstore.New(blocked), zerolog.Nop())
	_, err := b.runAs(t.Context(), "job", `{}`)
	require.ErrorContains(t, err, "store object")
	_, err = b.store.Document(t.Context(), document.IDOf(b.path("a.md")), 0, 1)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestWarningsAndErrorsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *ingest.Config) { c.MaxFiles = 1000 })
	for i := range 150 {
		b.write(fmt.Sprintf("%03d.pdf", i), "%PDF")
		b.write(fmt.Sprintf("%03d.md", i), "\xff")
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
		b.store, b.objects, zerolog.Nop())
	result := b.run(`{}`)
	require.GreaterOrEqual(t, result.DocumentsIngested, 4)
	require.Empty(t, result.Warnings)
	require.Positive(t, result.AtomsCreated)
	b.requireConsistent()
}
