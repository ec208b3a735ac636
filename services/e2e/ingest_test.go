package e2e_test

import (
	"bytes"
	bytesof "encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// onCorpus starts Nexus over a corpus of its own.
func onCorpus(t testing.TB, root string, more ...string) platform {
	t.Helper()
	return oneProcess(t, append([]string{"NEXUS_CORPUS_ROOT=" + root}, more...)...)
}

func put(t testing.TB, root, name string, data []byte) {
	t.Helper()
	path := filepath.Join(root, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, data, 0o600))
}

func pngOf(t testing.TB, width, height int) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, image.NewGray(image.Rect(0, 0, width, height))))
	return out.Bytes()
}

func jpegOf(t testing.TB, width, height int) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, image.NewGray(image.Rect(0, 0, width, height)), nil))
	return out.Bytes()
}

func wavOf(samples int) []byte {
	le := bytesof.LittleEndian
	out := le.AppendUint32([]byte("RIFF"), uint32(36+2*samples))
	out = append(out, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...)
	out = le.AppendUint32(le.AppendUint32(out, 8000), 16_000)
	out = append(out, "\x02\x00\x10\x00data"...)
	return append(le.AppendUint32(out, uint32(2*samples)), make([]byte, 2*samples)...)
}

// pdfOf makes a PDF of one page without a table of its objects, which readers
// make by themselves.
func pdfOf(text string) []byte {
	content := fmt.Sprintf("BT /F1 12 Tf 72 720 Td (%s) Tj ET", text)
	return fmt.Appendf(nil, "%%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages /Count 1 /Kids [4 0 R] >>\nendobj\n"+
		"3 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n"+
		"4 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents 5 0 R >>\nendobj\n"+
		"5 0 obj\n<< /Length %d >>\nstream\n%s\nendstream\nendobj\ntrailer\n<< /Size 6 /Root 1 0 R >>\n%%%%EOF\n", len(content), content)
}

func (c client) ingest(body map[string]any) map[string]any {
	c.t.Helper()
	status, answer, _ := c.call(http.MethodPost, "/api/v1/ingest/batch", body)
	require.Equal(c.t, http.StatusOK, status, "%v", answer)
	return answer
}

// fieldsOf requires that an answer has these fields.
func fieldsOf(t testing.TB, answer map[string]any, names ...string) {
	t.Helper()
	for _, name := range names {
		require.Contains(t, answer, name)
	}
}

// TestIngestContract holds the ingest routes to what clients send and read.
func TestIngestContract(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "a.md", []byte("# Tides\n\nThe sea rises [12]. It falls!\n"))
	put(t, root, "b.pdf", pdfOf("The sea rises."))
	put(t, root, "b.png", pngOf(t, 31, 17))
	put(t, root, "c.jpg", jpegOf(t, 5, 6))
	put(t, root, "d.wav", wavOf(12_000))
	put(t, root, "e.bin", []byte{0, 1, 2})
	p := onCorpus(t, root)
	c := client{t, p.http, operatorKey}

	first := c.ingest(map[string]any{})
	fieldsOf(t, first, "ingest_job_id", "documents_ingested", "documents_unchanged", "atoms_created", "provenance_digest", "ingest_scope", "warnings")
	require.EqualValues(t, 6, first["documents_ingested"], "%v", first)
	require.EqualValues(t, 0, first["documents_unchanged"])
	require.Positive(t, first["atoms_created"])
	require.Len(t, first["provenance_digest"], 64)
	require.Equal(t, "full", first["ingest_scope"])
	require.Equal(t, []any{}, first["warnings"])

	job := client{t, p.http, viewerKey}.get("/api/v1/ingest/jobs/" + first["ingest_job_id"].(string))
	fieldsOf(t, job, "ingest_job_id", "status", "files", "errors", "documents_ingested", "documents_unchanged", "atoms_created", "provenance_digest", "ingest_scope", "warnings")
	require.Equal(t, "completed", job["status"])
	require.Equal(t, []any{}, job["errors"])
	require.Len(t, job["files"], 6)
	for _, f := range job["files"].([]any) {
		file := f.(map[string]any)
		fieldsOf(t, file, "path", "status", "document_id", "error")
		require.Equal(t, "ingested", file["status"])
		require.Nil(t, file["error"])
	}
	page := c.get("/api/v1/ingest/jobs/" + first["ingest_job_id"].(string) + "?limit=2&offset=4")
	require.Equal(t, job["files"].([]any)[4:], page["files"])

	documents := c.get("/api/v1/documents")["documents"].([]any)
	require.Len(t, documents, 6)
	byTitle := map[string]map[string]any{}
	before := ""
	for _, d := range documents {
		item := d.(map[string]any)
		fieldsOf(t, item, "id", "path", "modality", "ingested", "ingest_status", "conflict_flag", "conflict_reason", "atom_count",
			"graph_projected_atom_count", "graph_projection_status", "modality_status", "provider_summary")
		require.LessOrEqual(t, before, item["created_at"].(string), "oldest first")
		before = item["created_at"].(string)
		one := c.get("/api/v1/documents/" + item["id"].(string))
		fieldsOf(t, one, "title", "provenance")
		fieldsOf(t, one["provenance"].(map[string]any), "extracted_text", "checksum", "segments", "atomization", "hypergraph", "cross_modal_links")
		require.Equal(t, filepath.Base(item["path"].(string)), one["title"])
		byTitle[one["title"].(string)] = one["provenance"].(map[string]any)
	}
	fieldsOf(t, byTitle["a.md"]["segments"].(map[string]any), "line_count", "char_count", "paragraph_blocks", "heading_candidates", "citation_markers")
	require.Equal(t, "The sea rises.", byTitle["b.pdf"]["extracted_text"])
	require.EqualValues(t, 1, byTitle["b.pdf"]["segments"].(map[string]any)["page_count"])
	require.EqualValues(t, 14, byTitle["b.pdf"]["segments"].(map[string]any)["char_count"])
	require.Len(t, byTitle["b.pdf"]["cross_modal_links"], 1)
	require.EqualValues(t, 31, byTitle["b.png"]["segments"].(map[string]any)["width"])
	require.EqualValues(t, 6, byTitle["c.jpg"]["segments"].(map[string]any)["height"])
	require.InDelta(t, 1.5, byTitle["d.wav"]["segments"].(map[string]any)["duration_seconds"], 1e-9)

	second := c.ingest(map[string]any{"source_paths": []string{}, "modalities": []string{}, "parse_options": map[string]any{}, "atom_tracks": nil})
	require.EqualValues(t, 6, second["documents_unchanged"], "%v", second)
	require.Equal(t, first["provenance_digest"], second["provenance_digest"])
	require.Equal(t, "partial", c.ingest(map[string]any{"source_paths": []string{"a.md"}, "atom_tracks": []string{"literary"}})["ingest_scope"])

	for name, tc := range map[string]struct {
		body   map[string]any
		status int
		code   string
		detail string
	}{
		"outside the root":    {map[string]any{"source_paths": []string{"../x.md"}}, 400, "escapes_corpus_root", "escapes corpus_root"},
		"absolute":            {map[string]any{"source_paths": []string{"/etc/hosts"}}, 400, "escapes_corpus_root", "escapes corpus_root"},
		"unknown track":       {map[string]any{"atom_tracks": []string{"epic"}}, 400, "validation_error", "known tracks are full, literary, glyphic_seed"},
		"unknown in options":  {map[string]any{"parse_options": map[string]any{"atom_levels": []string{"epic"}}}, 400, "validation_error", "known tracks are"},
		"unknown modality":    {map[string]any{"modalities": []string{"video"}}, 400, "validation_error", "known modalities are"},
		"no list":             {map[string]any{"source_paths": "a.md"}, 422, "validation_error", ""},
		"an option of no use": {map[string]any{"parse_options": map[string]any{"force": "yes"}}, 400, "validation_error", "must be true or false"},
	} {
		status, problem, _ := c.call(http.MethodPost, "/api/v1/ingest/batch", tc.body)
		require.Equal(t, tc.status, status, "%s: %v", name, problem)
		require.Equal(t, tc.code, problem["code"], name)
		require.Contains(t, problem["detail"], tc.detail, name)
	}
	status, _, _ := client{t, p.http, viewerKey}.call(http.MethodPost, "/api/v1/ingest/batch", map[string]any{})
	require.Equal(t, http.StatusForbidden, status)
	status, _, _ = c.call(http.MethodGet, "/api/v1/ingest/jobs/5f0c3f2e-7a2d-5f0a-9c55-0c4f3c9f0a11", nil)
	require.Equal(t, http.StatusNotFound, status)
	require.NoError(t, os.RemoveAll(root))
	status, problem, _ := c.call(http.MethodPost, "/api/v1/ingest/batch", map[string]any{})
	require.Equal(t, http.StatusServiceUnavailable, status, "%v", problem)
	require.Contains(t, problem["detail"], "corpus root")
}

// TestIngestGoesOnAfterAKill kills Nexus in the middle of a batch. The same job
// goes on with the same ingest: nothing that was recorded is done again.
func TestIngestGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	const files = 2000
	root := t.TempDir()
	for i := range files {
		put(t, root, fmt.Sprintf("%02d/%04d.md", i/100, i), fmt.Appendf(nil, "Text number %d.\n", i))
	}
	database, dir := testkit.EmptyDatabase(t), dataDir(t)
	env := append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_DATABASE_URL="+database, "NEXUS_CORPUS_ROOT="+root, "NEXUS_WORKER_LEASE_SECONDS=3")
	doomed := launch(t, t.TempDir(), env, "up")
	c := client{t, doomed.http, operatorKey}
	id, _ := c.submit(map[string]any{"job_type": "ingest_batch"})
	var before map[string]any
	require.Eventually(t, func() bool {
		job := c.get("/api/v1/jobs/" + id)
		require.NotEqual(t, "succeeded", job["status"], "the batch was too small to be killed in the middle")
		progress, ok := job["progress"].(map[string]any)
		if ok {
			require.Regexp(t, `^\d+ of 2000 files: \d{4}\.md ingested$`, progress["message"])
			before = progress
		}
		return ok
	}, patience, 10*time.Millisecond)
	require.Positive(t, before["percent"])
	doomed.kill()

	c = client{t, launch(t, t.TempDir(), env, "up").http, operatorKey}
	told := untilClosed(t, c.follow("/api/v1/jobs/"+id+"/events", ""))
	require.True(t, slices.ContainsFunc(told, func(l line) bool {
		return l.event == "nexus.job.progress.v1" && regexp.MustCompile(`"message":"\d+ of 2000 files: \d{4}\.md ingested"`).MatchString(l.data)
	}), "%v", told)
	job := c.finished(id)
	require.Equal(t, "succeeded", job["status"], "%v", job["error_text"])
	require.Len(t, job["attempts"], 2)
	result := job["result"].(map[string]any)
	require.EqualValues(t, files, result["documents_ingested"], "what the first attempt did counts, and was not done twice")
	require.EqualValues(t, 0, result["documents_unchanged"])

	seen := map[string]bool{}
	for next := 0.0; ; {
		page := c.get(fmt.Sprintf("/api/v1/ingest/jobs/%s?offset=%.0f&limit=700", result["ingest_job_id"], next))
		require.EqualValues(t, files, page["files_total"])
		for _, f := range page["files"].([]any) {
			path := f.(map[string]any)["path"].(string)
			require.False(t, seen[path], path)
			seen[path] = true
		}
		if page["files_next_offset"] == nil {
			break
		}
		next = page["files_next_offset"].(float64)
	}
	require.Len(t, seen, files)
}
