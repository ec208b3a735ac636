package ingest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/extract"
	"nexus.internal/services/corpus/internal/ingest"
	"nexus.internal/services/corpus/internal/objectstore"
	"nexus.internal/services/corpus/internal/pdf"
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

// contents is shared by all tests: compiling PDFium takes seconds.
var contents = sync.OnceValue(func() *extract.Extractor {
	return extract.New(pdf.NewReader(pdf.Limits{Memory: 64 << 20, Time: 30 * time.Second, Text: 1 << 20, Parallel: 2}), zerolog.Nop())
})

func ignore(ingest.Progress) {}

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
	b.ingester = ingest.New(cfg, b.store, b.objects, contents(), zerolog.Nop())
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
	return b.ingester.Run(ctx, jobID, request, ignore)
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
