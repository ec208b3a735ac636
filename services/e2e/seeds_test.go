package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A seed text is fetched once, ingested, and then a document as any other.
func TestSeedTexts(t *testing.T) {
	t.Parallel()
	root, texts := t.TempDir(), t.TempDir()
	put(t, texts, "frankenstein.txt", []byte("You will rejoice to hear.\n\nThat no disaster has come.\n"))
	put(t, texts, "ulysses.txt", []byte("<<<<<<< ours\nStately\n=======\nPlump\n>>>>>>> theirs\n"))
	p := onCorpus(t, root, "NEXUS_CORPUS_SEED_SOURCE="+texts)
	viewer, admin := client{t, p.http, viewerKey}, client{t, p.http, adminKey}

	seeds := func() map[string]map[string]any {
		byTitle := map[string]map[string]any{}
		for _, s := range list(t, viewer.get("/api/v1/corpus/seeds")["seeds"]) {
			fieldsOf(t, object(t, s), "title", "author", "language", "source_url", "local_path", "atomization_status")
			byTitle[text(t, object(t, s)["title"])] = object(t, s)
		}
		require.Len(t, byTitle, 5)
		return byTitle
	}
	seed := func(title string, want int) map[string]any {
		status, answer, header := admin.call(http.MethodPost, "/api/v1/corpus/seed", map[string]any{"title": title})
		require.Equal(t, want, status, "%v", answer)
		require.Equal(t, want == http.StatusServiceUnavailable, header.Get("Retry-After") != "")
		return answer
	}
	for title, s := range seeds() {
		require.Equal(t, "not_provisioned", s["atomization_status"], title)
		require.Nil(t, s["local_path"], title)
	}
	first := seed("Frankenstein", http.StatusOK)
	path := text(t, first["local_path"])
	require.Equal(t, filepath.Join("seeds", "frankenstein.txt"), filepath.Join(filepath.Base(filepath.Dir(path)), filepath.Base(path)))
	require.FileExists(t, filepath.Join(root, "seeds", "frankenstein.txt"))
	document := text(t, first["document_id"])
	require.Equal(t, map[string]any{"title": "Frankenstein", "status": "provisioned", "local_path": path, "document_id": document}, first)
	first["status"] = "already_provisioned"
	require.NoError(t, os.RemoveAll(texts+"/frankenstein.txt"), "it is not fetched again")
	require.Equal(t, first, seed("Frankenstein", http.StatusOK))
	require.Equal(t, "provisioned", seeds()["Frankenstein"]["atomization_status"])
	require.Equal(t, path, seeds()["Frankenstein"]["local_path"])
	require.Positive(t, viewer.get("/api/v1/documents/" + document)["atom_count"])

	require.Equal(t, "Unknown seed text: Moby Dick", seed("Moby Dick", http.StatusBadRequest)["detail"])
	require.Equal(t, "The seed text cannot be fetched from its source now.", seed("The Odyssey", http.StatusServiceUnavailable)["detail"])
	require.Contains(t, seed("Ulysses", http.StatusConflict)["detail"], "Ulysses was fetched and cannot be ingested: ")
	require.Equal(t, "not_provisioned", seeds()["Ulysses"]["atomization_status"])
	for _, key := range []string{viewerKey, operatorKey, researcherKey} {
		status, _, _ := client{t, p.http, key}.call(http.MethodPost, "/api/v1/corpus/seed", map[string]any{"title": "Frankenstein"})
		require.Equal(t, http.StatusForbidden, status)
	}
}
