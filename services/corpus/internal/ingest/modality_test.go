package ingest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/ingestid"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/ingest"
	"nexus.internal/services/corpus/internal/media"
	"nexus.internal/services/corpus/internal/pdf/pdfmake"
)

func (b *bench) segments(name string) map[string]any {
	b.t.Helper()
	var segments map[string]any
	require.NoError(b.t, json.Unmarshal(b.document(name).Segments, &segments))
	return segments
}

func TestEveryModality(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.pdf", string(pdfmake.File("The sea rises.", "It falls [12].")))
	b.write("b.png", string(media.PNG(31, 17)))
	b.write("c.JPG", string(media.JPEG(5, 6)))
	b.write("d.webp", string(media.WebP(7, 8)))
	b.write("e.wav", string(media.WAV(8000, 2, 12_000)))
	b.write("f.mp3", string(media.MP3(100)))
	b.write("g.tar", "anything")
	result := b.run(`{}`)
	require.Equal(t, contract.IngestCompleted, result.Status, result.Errors)
	require.Equal(t, 7, result.DocumentsIngested)
	require.Empty(t, result.Warnings)
	require.Empty(t, result.Errors)

	paper := b.document("a.pdf")
	require.Equal(t, "The sea rises.\n\n\fIt falls [12].", string(paper.TextHead))
	require.Positive(t, paper.Item.AtomCount)
	require.Equal(t, map[contract.Modality]string{contract.ModalityPDF: "complete"}, paper.Item.ModalityStatus)
	require.Equal(t, map[contract.Modality]string{contract.ModalityPDF: "pdfium"}, paper.Item.ProviderSummary)
	segments := b.segments("a.pdf")
	require.EqualValues(t, 2, segments["page_count"])
	require.EqualValues(t, 31, segments["char_count"])
	require.Equal(t, []any{"[12]"}, segments["citation_markers"])
	require.Equal(t, map[string]any{"format": "png", "width": 31.0, "height": 17.0}, b.segments("b.png"))
	require.Equal(t, map[string]any{"format": "jpeg", "width": 5.0, "height": 6.0}, b.segments("c.JPG"))
	require.Equal(t, map[string]any{"format": "webp", "width": 7.0, "height": 8.0}, b.segments("d.webp"))
	require.Equal(t, map[string]any{"format": "wav", "duration_seconds": 1.5, "sample_rate": 8000.0, "channels": 2.0}, b.segments("e.wav"))
	require.InDelta(t, 100*1152./44_100, b.segments("f.mp3")["duration_seconds"], 1e-6)
	require.Equal(t, map[string]any{}, b.segments("g.tar"))
	require.Empty(t, b.document("b.png").Levels)
	b.requireConsistent()

	again := b.run(`{}`)
	require.Equal(t, 7, again.DocumentsUnchanged)
	require.Equal(t, result.ProvenanceDigest, again.ProvenanceDigest)
}

// Each bad file costs itself and nothing else.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	want := map[string]string{}
	bad := func(name, content, problem string) {
		b.write(name, content)
		want[name] = "error: " + problem
	}
	bad("empty.png", "", "is empty")
	bad("empty.pdf", "", "is empty")
	bad("empty.bin", "", "is empty")
	bad("large.bin", strings.Repeat("x", 1<<20+1), "is larger (1048577 bytes) than the limit of 1048576 bytes: raise NEXUS_CORPUS_MAX_FILE_BYTES to take it")
	bad("broken.pdf", "%PDF-1.7\nnothing", "is a broken PDF file, or needs more memory than it may take")
	bad("locked.pdf", string(pdfmake.Encrypted()), "is an encrypted PDF file: it cannot be read without its password")
	bad("text.pdf", "The sea rises.", "is not a PDF file: its content does not begin like one")
	bad("cut.png", string(media.PNG(31, 17)[:50]), "is a truncated image: it ends before its content does")
	bad("really.png", string(media.JPEG(3, 3)), "is not a png image: its content is jpeg")
	bad("lie.wav", string(media.WAV(8000, 1, 100)[:100]), `is a wav sound whose header lies or that is truncated: its part "data" claims 200 bytes and has 56`)
	bad("noise.mp3", "noise", "is not an mp3 sound, or a broken one: no frames follow each other in it")
	bad("image.md", string(media.PNG(3, 3)), "is not text: its content is image/png")
	bad("deep.yaml", strings.Repeat("[", 100)+strings.Repeat("]", 100), "is YAML that is nested 101 levels deep; the limit is 64")
	b.write("good.md", "The sea rises.")
	want["good.md"] = "ingested"
	require.NoError(t, os.Symlink("nowhere", b.path("gone.md")))
	want["gone.md"] = "error: is a symbolic link that leads nowhere"

	result := b.run(`{}`)
	require.Equal(t, contract.IngestCompletedWithErrors, result.Status)
	require.Equal(t, want, b.files(result.IngestJobID))
	require.Len(t, result.Errors, len(want)-1)
	require.Equal(t, 1, result.DocumentsIngested)
	require.Equal(t, digestOf("The sea rises."), result.ProvenanceDigest)
	b.requireConsistent()
}

// A file may vanish or be barred between the look at its folder and the reading.
func TestFilesThatVanish(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *ingest.Config) { c.Parallel = 1 })
	for i := range 4 {
		b.write(fmt.Sprintf("%d.md", i), "The sea rises.")
	}
	request, err := ingest.ParseRequest(json.RawMessage(`{}`), 100)
	require.NoError(t, err)
	result, err := b.ingester.Run(t.Context(), "job", request, func(p ingest.Progress) {
		if p.Done == 1 {
			require.NoError(t, os.Remove(b.path("2.md")))
			require.NoError(t, os.Remove(b.path("3.md")))
			require.NoError(t, os.Mkdir(b.path("3.md"), 0o750))
		}
	})
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"0.md": "ingested", "1.md": "ingested", "2.md": "error: does not exist", "3.md": "error: is not a regular file",
	}, b.files(result.IngestJobID))
}

func TestProgressTellsOfEachFile(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *ingest.Config) { c.Parallel = 1 })
	for i := range 3 {
		b.write(fmt.Sprintf("%d.md", i), "The sea rises.")
	}
	b.write("3.png", "none")
	b.write("4.bin", "x")
	request, err := ingest.ParseRequest(json.RawMessage(`{"modalities":["text","image"]}`), 100)
	require.NoError(t, err)
	var told []ingest.Progress
	_, err = b.ingester.Run(t.Context(), "job", request, func(p ingest.Progress) {
		p.Path = filepath.Base(p.Path)
		told = append(told, p)
	})
	require.NoError(t, err)
	require.Equal(t, []ingest.Progress{
		{Done: 1, Total: 5, Path: "0.md", Status: contract.FileIngested},
		{Done: 2, Total: 5, Path: "1.md", Status: contract.FileIngested},
		{Done: 3, Total: 5, Path: "2.md", Status: contract.FileIngested},
		{Done: 4, Total: 5, Path: "3.png", Status: contract.FileError},
		{Done: 5, Total: 5, Path: "4.bin", Status: contract.FileSkipped},
	}, told)
}

// A repaired text is told of as long as it is as it is.
func TestRepairsAreTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("a.md", "caf\xe9")
	for _, status := range []contract.FileStatus{contract.FileIngested, contract.FileUnchanged} {
		result := b.run(`{}`)
		require.Equal(t, contract.IngestCompleted, result.Status)
		require.Equal(t, []string{b.path("a.md") + ": bytes that are not valid UTF-8: 1; they were replaced"}, result.Warnings)
		files, err := b.store.IngestFiles(t.Context(), ingestid.Of("none"), 0, 10)
		require.NoError(t, err)
		require.Empty(t, files)
		require.Equal(t, string(status), b.files(result.IngestJobID)["a.md"])
	}
	require.Equal(t, document.Checksum([]byte("caf\xe9")), b.document("a.md").Checksum, "the bytes are kept as they were")
}
