package work_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/ingestid"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
	"nexus.internal/migrations"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/extract"
	"nexus.internal/services/corpus/internal/ingest"
	"nexus.internal/services/corpus/internal/objectstore"
	"nexus.internal/services/corpus/internal/pdf"
	"nexus.internal/services/corpus/internal/store"
	"nexus.internal/services/corpus/internal/work"
)

type bench struct {
	dir    string
	db     *pg.DB
	store  *store.Store
	ingest worker.Handler
	audit  worker.Handler
}

func newBench(t *testing.T) bench {
	t.Helper()
	url := testkit.PostgresURL(t)
	b := bench{dir: t.TempDir(), db: testkit.OpenPostgres(t, url, "")}
	b.store = store.New(testkit.OpenPostgres(t, url, migrations.Role("corpus")))
	b.ingest = work.IngestBatch(ingest.New(
		ingest.Config{CorpusRoot: b.dir, MaxFileBytes: 1000, MaxFiles: 3, Parallel: 2},
		b.store, objectstore.New(t.TempDir()),
		extract.New(pdf.NewReader(pdf.Limits{Memory: 64 << 20, Time: time.Minute, Text: 1000, Parallel: 1}), zerolog.Nop()), zerolog.Nop()), 3)
	b.audit = work.IntegrityAudit(b.store)
	return b
}

func (b bench) write(t *testing.T, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o600))
}

func job(payload string) worker.Job {
	return worker.Job{ID: uuid.NewString(), Type: contract.JobIngestBatch, Attempt: 1, MaxAttempts: 3, Payload: json.RawMessage(payload)}
}

func TestIngestBatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(t, "a.md", "Some text.")
	j := job(`{"source_paths":["a.md"]}`)
	first, err := b.ingest(t.Context(), j)
	require.NoError(t, err)
	result, ok := first.Value.(contract.IngestBatchResult)
	require.True(t, ok)
	require.Equal(t, ingestid.Of(j.ID).String(), result.IngestJobID)
	require.Equal(t, 1, result.DocumentsIngested)
	require.Len(t, first.Artifacts, 1)
	require.Equal(t, "ingest_batch_result", first.Artifacts[0].Type)
	require.Equal(t, result.IngestJobID, first.Artifacts[0].Ref)
	require.JSONEq(t, `{"ingest_job_id":"`+result.IngestJobID+`","documents_ingested":1}`, string(first.Artifacts[0].Payload))

	data, err := json.Marshal(result)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(data, &fields))
	for _, name := range []string{
		"ingest_job_id", "documents_ingested", "documents_unchanged", "atoms_created", "provenance_digest", "ingest_scope", "warnings",
	} {
		require.Contains(t, fields, name)
	}
	require.Equal(t, []any{}, fields["warnings"])

	j.Attempt = 2
	second, err := b.ingest(t.Context(), j)
	require.NoError(t, err)
	require.Equal(t, first, second)
	var ingests int
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM corpus.ingest_jobs").Scan(&ingests))
	require.Equal(t, 1, ingests)
}

func TestIngestBatchErrorsThatNoRetryMends(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, name := range []string{"a.md", "b.md", "c.md", "d.md"} {
		b.write(t, name, "x")
	}
	for payload, want := range map[string]struct {
		kind         fault.Kind
		code, detail string
	}{
		`{"source_path":[]}`:                                      {fault.Invalid, "validation_error", "unknown field"},
		`{"atom_tracks":["epic"]}`:                                {fault.Invalid, "validation_error", "known tracks are full, literary, glyphic_seed"},
		`{"source_paths":["../x.md"]}`:                            {fault.Invalid, "escapes_corpus_root", `path "../x.md" escapes corpus_root`},
		`{"source_paths":["/etc/hosts"]}`:                         {fault.Invalid, "escapes_corpus_root", "escapes corpus_root"},
		`{"source_paths":["` + strings.Repeat("x/", 2040) + `"]}`: {fault.Invalid, "validation_error", "longer than the limit"},
		`{}`: {fault.TooLarge, "too_large", "more than 3 files"},
	} {
		_, err := b.ingest(t.Context(), job(payload))
		require.True(t, worker.IsPermanent(err), "%s: %v", payload, err)
		var f *fault.Error
		require.ErrorAs(t, err, &f)
		require.Equal(t, want.kind, f.Kind)
		require.Equal(t, want.code, f.Code)
		require.ErrorContains(t, err, want.detail)
	}

	require.NoError(t, os.RemoveAll(b.dir))
	_, err := b.ingest(t.Context(), job(`{}`))
	require.True(t, worker.IsPermanent(err))
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.ErrorContains(t, err, "corpus root")
}

func TestIngestBatchErrorsThatARetryMayMend(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(t, "a.md", "Some text.")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.ingest(ctx, job(`{}`))
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, worker.IsPermanent(err))

	_, err = b.db.Pool.Exec(t.Context(), "ALTER TABLE corpus.ingest_jobs RENAME TO gone")
	require.NoError(t, err)
	_, err = b.ingest(t.Context(), job(`{}`))
	require.Error(t, err)
	require.False(t, worker.IsPermanent(err))
	_, err = b.audit(ctx, worker.Job{})
	require.ErrorIs(t, err, context.Canceled)
}

// An object store that cannot be written is waited for, and so is a corpus that is
// there and cannot be read. The job goes on where it stopped.
func TestIngestBatchWaitsForWhatIsUnavailable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(t, "a.md", "Some text.")
	inTheWay := filepath.Join(t.TempDir(), "objects")
	require.NoError(t, os.WriteFile(inTheWay, nil, 0o600))
	on := func(root string) worker.Handler {
		return work.IngestBatch(ingest.New(ingest.Config{CorpusRoot: root, MaxFileBytes: 1000, MaxFiles: 3, Parallel: 2},
			b.store, objectstore.New(filepath.Join(inTheWay, "of", "this")),
			extract.New(pdf.NewReader(pdf.Limits{Memory: 64 << 20, Time: time.Minute, Text: 1000, Parallel: 1}), zerolog.Nop()), zerolog.Nop()), 3)
	}
	unavailable := func(root, says string, j worker.Job) {
		t.Helper()
		_, err := on(root)(t.Context(), j)
		require.Equal(t, fault.Unavailable, fault.KindOf(err), err)
		require.False(t, worker.IsPermanent(err))
		require.Equal(t, says, fault.Public(err).Detail)
	}
	j := job(`{}`)
	unavailable(b.dir, "The object store cannot take an object now.", j)
	loop := filepath.Join(t.TempDir(), "loop")
	require.NoError(t, os.Symlink(loop, loop))
	unavailable(loop, "The corpus cannot be read now.", job(`{}`))

	require.NoError(t, os.Remove(inTheWay))
	result, err := on(b.dir)(t.Context(), j)
	require.NoError(t, err)
	require.Equal(t, 1, result.Value.(contract.IngestBatchResult).DocumentsIngested)
	ingested, err := b.store.Ingest(t.Context(), ingestid.Of(j.ID))
	require.NoError(t, err)
	require.Equal(t, contract.IngestCompleted, ingested.Status)
}

func TestIntegrityAudit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	none, err := b.audit(t.Context(), worker.Job{})
	require.NoError(t, err)
	require.Equal(t, worker.Result{Value: contract.IntegrityAuditResult{Inconsistencies: []contract.Inconsistency{}}}, none)

	b.write(t, "a.md", "Some text.")
	b.write(t, "b.md", "x\n=======\n")
	b.write(t, "c.bin", "PNG")
	_, err = b.ingest(t.Context(), job(`{}`))
	require.NoError(t, err)
	good, err := b.audit(t.Context(), worker.Job{})
	require.NoError(t, err)
	require.Equal(t, contract.IntegrityAuditResult{DocumentCount: 3, Inconsistencies: []contract.Inconsistency{}}, good.Value)
	require.Empty(t, good.Artifacts)

	_, err = b.db.Pool.Exec(t.Context(), "DELETE FROM corpus.contains_edges WHERE level = 3")
	require.NoError(t, err)
	bad, err := b.audit(t.Context(), worker.Job{})
	require.NoError(t, err)
	result, ok := bad.Value.(contract.IntegrityAuditResult)
	require.True(t, ok)
	require.Equal(t, 3, result.DocumentCount)
	require.Equal(t, 1, result.InconsistencyCount)
	require.Len(t, result.Inconsistencies, 1)
	found := result.Inconsistencies[0]
	require.Equal(t, found.DocumentID, found.Integrity.DocumentID)
	require.False(t, found.Integrity.Consistent)
	require.Equal(t, found.Integrity.AtomNodes-2, found.Integrity.ContainsEdges)
}

// graphs is a corpus of documents whose graphs are all wrong.
type graphs struct {
	total  int
	failAt int
}

func (g graphs) Graphs(_ context.Context, after uuid.UUID, limit int) ([]document.GraphCounts, error) {
	first := 0
	if after != uuid.Nil {
		first = int(after[14])<<8 | int(after[15])
	}
	if g.failAt > 0 && first >= g.failAt {
		return nil, errors.New("the database is gone")
	}
	var page []document.GraphCounts
	for n := first + 1; n <= g.total && len(page) < limit; n++ {
		page = append(page, document.GraphCounts{DocumentID: uuid.UUID{14: byte(n >> 8), 15: byte(n)}, Ingested: true})
	}
	return page, nil
}

func TestIntegrityAuditOfManyDocuments(t *testing.T) {
	t.Parallel()
	for _, total := range []int{99, 100, 101, 600, 1000} {
		got, err := work.IntegrityAudit(graphs{total: total})(t.Context(), worker.Job{})
		require.NoError(t, err)
		result, ok := got.Value.(contract.IntegrityAuditResult)
		require.True(t, ok)
		require.Equal(t, total, result.DocumentCount)
		require.Equal(t, total, result.InconsistencyCount)
		require.Len(t, result.Inconsistencies, min(total, contract.MaxInconsistencies))
		data, err := json.Marshal(result)
		require.NoError(t, err)
		require.Less(t, len(data), contract.MaxInlineResult)
	}
	_, err := work.IntegrityAudit(graphs{total: 1000, failAt: 300})(t.Context(), worker.Job{})
	require.ErrorContains(t, err, "the database is gone")
	require.False(t, worker.IsPermanent(err))
}
