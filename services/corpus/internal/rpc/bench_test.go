package rpc_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/ingestid"
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
		ingest: store.Ingest{ID: ingestid.Of("job"), JobID: "job", Scope: contract.ScopeFull},
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
	return b.saveWith(path, content, atom.Levels())
}

func (b *bench) saveWith(path, content string, levels []atom.Level) string {
	b.t.Helper()
	d := document.Document{
		ID: document.IDOf(path), Path: path, Stem: document.Stem(path), Modality: contract.ModalityText,
		Checksum: document.Checksum([]byte(content)), Bytes: int64(len(content)), Title: filepath.Base(path),
	}
	switch {
	case !strings.HasSuffix(path, ".md"):
		d.Modality, d.Status = contract.ModalityImage, contract.FileSkipped
	case plaintext.InConflict(content):
		d.Status = contract.FileConflict
	default:
		d.Status, d.Text = contract.FileIngested, content
		d.Selection = atom.Selection{Tracks: []atom.Track{atom.Full}, Levels: levels}
		d.Segments = plaintext.Segments(path, content)
	}
	_, err := b.store.SaveDocument(b.t.Context(), b.nextFile(path), d, true)
	require.NoError(b.t, err)
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
