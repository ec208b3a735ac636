package seed_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/document"
	"nexus.internal/services/corpus/internal/seed"
)

const limit = 1000

// ingested are the documents there are.
type ingested map[uuid.UUID]bool

func (d ingested) Ingested(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error) { return d, nil }

func seeds(t *testing.T, root, origin string, documents ingested) *seed.Seeds {
	t.Helper()
	from, err := seed.ParseOrigin(origin)
	require.NoError(t, err)
	return seed.New(seed.Config{CorpusRoot: root, MaxFileBytes: limit}, from, documents, zerolog.Nop())
}

func fetch(t *testing.T, s *seed.Seeds, title string) (contract.SeedReply, error) {
	t.Helper()
	return s.Fetch(t.Context(), contract.SeedRequest{Title: title})
}

func TestTexts(t *testing.T) {
	t.Parallel()
	reply, err := seeds(t, t.TempDir(), "", ingested{}).List(t.Context(), contract.SeedsRequest{})
	require.NoError(t, err)
	authors := map[string]string{}
	for _, s := range reply.Seeds {
		authors[s.Title] = s.Author
		require.Equal(t, "English", s.Language)
		require.True(t, strings.HasPrefix(s.SourceURL, "https://"))
		require.Nil(t, s.LocalPath)
		require.Equal(t, contract.SeedNotProvisioned, s.AtomizationStatus)
	}
	require.Equal(t, map[string]string{
		"The Odyssey": "Homer", "The Divine Comedy": "Dante Alighieri", "Leaves of Grass": "Walt Whitman", "Ulysses": "James Joyce", "Frankenstein": "Mary Shelley",
	}, authors)
}

// One text is fetched once from a folder or a server, and has its place.
func TestFetch(t *testing.T) {
	t.Parallel()
	const content = "Sing to me of the man, Muse."
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "the_odyssey.txt"), []byte(content), 0o600))
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/texts/the_odyssey.txt" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		_, _ = w.Write([]byte(content))
	}))
	t.Cleanup(server.Close)
	for _, origin := range []string{folder, server.URL + "/texts", server.URL + "/texts/"} {
		root, err := filepath.EvalSymlinks(t.TempDir())
		require.NoError(t, err)
		documents := ingested{}
		s := seeds(t, root, origin, documents)
		before := asked.Load()
		want := filepath.Join(root, "seeds", "the_odyssey.txt")
		for range 2 {
			reply, err := fetch(t, s, "The Odyssey")
			require.NoError(t, err)
			require.Equal(t, contract.SeedReply{Title: "The Odyssey", Status: contract.SeedNotProvisioned, LocalPath: &want}, reply)
		}
		if origin != folder {
			require.Equal(t, before+1, asked.Load(), "it is fetched once")
		}
		data, err := os.ReadFile(want)
		require.NoError(t, err)
		require.Equal(t, content, string(data))
		entries, err := os.ReadDir(filepath.Dir(want))
		require.NoError(t, err)
		require.Len(t, entries, 1, "nothing else is left")

		list, err := s.List(t.Context(), contract.SeedsRequest{})
		require.NoError(t, err)
		require.Equal(t, &want, list.Seeds[0].LocalPath)
		require.Equal(t, contract.SeedNotProvisioned, list.Seeds[0].AtomizationStatus)
		documents[document.IDOf(want)] = true
		reply, err := fetch(t, s, "The Odyssey")
		require.NoError(t, err)
		require.Equal(t, document.IDOf(want).String(), *reply.DocumentID)
		require.Equal(t, contract.SeedProvisioned, reply.Status)
		list, err = s.List(t.Context(), contract.SeedsRequest{})
		require.NoError(t, err)
		require.Equal(t, contract.SeedProvisioned, list.Seeds[0].AtomizationStatus)
		require.Equal(t, contract.SeedNotProvisioned, list.Seeds[1].AtomizationStatus)
	}
}

func TestWhatCannotBeFetched(t *testing.T) {
	t.Parallel()
	answers := map[string]http.HandlerFunc{
		"not there":  http.NotFound,
		"a web page": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<!doctype html><html></html>")) },
		"empty":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
		"too large":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat("x", limit+1))) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("beginning"))
		},
		"going round": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
	}
	origins := map[string]string{"a folder without it": t.TempDir(), "no folder": filepath.Join(t.TempDir(), "none"), "nobody there": "http://127.0.0.1:1"}
	for name, answer := range answers {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		origins[name] = server.URL
	}
	for name, origin := range origins {
		root := t.TempDir()
		_, err := fetch(t, seeds(t, root, origin, ingested{}), "Ulysses")
		require.Equal(t, fault.Unavailable, fault.KindOf(err), name)
		require.Equal(t, "The seed text cannot be fetched from its source now.", fault.Public(err).Detail, name)
		require.NoDirExists(t, filepath.Join(root, "seeds"), name)
	}
	for _, title := range []string{"", "Moby Dick", "ulysses", "../ulysses"} {
		_, err := fetch(t, seeds(t, t.TempDir(), "", ingested{}), title)
		require.Equal(t, fault.Invalid, fault.KindOf(err))
		require.Equal(t, "Unknown seed text: "+title, fault.Public(err).Detail)
	}
}

// A root that cannot take the text is not the caller's mistake.
func TestWhereATextCannotBePut(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "ulysses.txt"), []byte("Stately, plump"), 0o600))
	_, err := fetch(t, seeds(t, filepath.Join(t.TempDir(), "none"), folder, ingested{}), "Ulysses")
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "seeds"), nil, 0o600), "a file where the folder goes")
	_, err = fetch(t, seeds(t, root, folder, ingested{}), "Ulysses")
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.Equal(t, "The corpus root cannot be written now.", fault.Public(err).Detail)
	outside := t.TempDir()
	root = t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "seeds")))
	_, err = fetch(t, seeds(t, root, folder, ingested{}), "Ulysses")
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	list, err := seeds(t, root, folder, ingested{}).List(t.Context(), contract.SeedsRequest{})
	require.NoError(t, err)
	require.Nil(t, list.Seeds[3].LocalPath)
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, entries, "nothing is written outside the root")
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	for _, fine := range []string{"", "/srv/texts", "texts", "http://127.0.0.1:8000", "https://example.org/texts/", "C:texts"} {
		_, err := seed.ParseOrigin(fine)
		require.NoError(t, err, fine)
	}
	for _, wrong := range []string{"http://", "https:///texts", "ftp://example.org/texts", "http://example.org/?x=1", "file://host/texts"} {
		_, err := seed.ParseOrigin(wrong)
		require.Error(t, err, wrong)
	}
}
