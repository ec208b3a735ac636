package document_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/ingestid"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/document"
)

func TestIdsFollowFromWhatTheyName(t *testing.T) {
	t.Parallel()
	a, b := document.IDOf("/corpus/a.md"), document.IDOf("/corpus/b.md")
	ids := []uuid.UUID{
		a, b, document.NodeID(a), document.NodeID(b),
		document.AtomID(a, atom.Word, 1), document.AtomID(a, atom.Word, 2), document.AtomID(a, atom.Syllable, 1),
		document.AtomID(b, atom.Word, 1), ingestid.Of("/corpus/a.md"), ingestid.Of("job"),
	}
	seen := map[uuid.UUID]bool{}
	for _, id := range ids {
		require.False(t, seen[id])
		seen[id] = true
	}
	// These ids are stored and handed out: they must not change.
	require.Equal(t, "d0780f22-55ed-53eb-945b-baef628df8e9 bddb3fb9-99f4-550d-b626-38b18871bc9f 0dcf4c3c-69d1-56e1-b8d1-511588965d01",
		a.String()+" "+document.AtomID(a, atom.Word, 1).String()+" "+ingestid.Of("job").String())
}

func TestStem(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/c/Odyssey.md":      "odyssey",
		"/d/odyssey.PDF":     "odyssey",
		"my_file-1.txt":      "my_file-1",
		"  Two   Words .txt": "two words",
		"cafe\u0301.md":      "caf\u00e9",
		"CAF\u00c9.txt":      "caf\u00e9",
		"archive.tar.gz":     "archive.tar",
		"README":             "readme",
		".gitignore":         "",
	} {
		require.Equal(t, want, document.Stem(path), "path %q", path)
	}
}

func TestCrossModal(t *testing.T) {
	t.Parallel()
	written := map[contract.Modality]bool{contract.ModalityText: true, contract.ModalityPDF: true}
	media := map[contract.Modality]bool{contract.ModalityImage: true, contract.ModalityAudio: true}
	for _, a := range contract.Modalities() {
		for _, b := range contract.Modalities() {
			want := written[a] && media[b] || media[a] && written[b]
			require.Equal(t, want, document.CrossModal(a, b), "%s %s", a, b)
		}
	}
}

func TestProvenanceDigest(t *testing.T) {
	t.Parallel()
	require.Empty(t, document.ProvenanceDigest(nil))
	sum := sha256.Sum256([]byte("a\nb\nb\nc"))
	want := hex.EncodeToString(sum[:])
	checksums := []string{"c", "b", "a", "b"}
	require.Equal(t, want, document.ProvenanceDigest(checksums))
	require.Equal(t, []string{"c", "b", "a", "b"}, checksums, "the list given must not be reordered")
	require.NotEqual(t, want, document.ProvenanceDigest([]string{"a", "b", "c"}))
}

func TestUnchanged(t *testing.T) {
	t.Parallel()
	next := document.Document{Checksum: "x"}
	require.True(t, document.Unchanged(document.Version{Checksum: "x", Status: contract.FileIngested}, next))
	for _, current := range []document.Version{
		{},
		{Checksum: "y", Status: contract.FileIngested},
		{Checksum: "x", Status: contract.FileConflict},
		{Checksum: "x", Status: contract.FileSkipped},
	} {
		require.False(t, document.Unchanged(current, next), "%+v", current)
	}
}

func TestReason(t *testing.T) {
	t.Parallel()
	require.Empty(t, document.Document{Status: contract.FileIngested}.Reason())
	require.Equal(t, "Conflict markers detected", document.Document{Status: contract.FileConflict}.Reason())
	skipped := document.Document{Status: contract.FileSkipped, Modality: contract.ModalityPDF}
	require.Equal(t, "recorded, but not ingested: the content of pdf files is not extracted", skipped.Reason())
}

func TestExtraction(t *testing.T) {
	t.Parallel()
	for status, want := range map[contract.FileStatus]string{
		contract.FileIngested: "complete", contract.FileConflict: "conflict", contract.FileSkipped: "pending",
	} {
		require.Equal(t, want, document.ExtractionStatus(status))
		require.Equal(t, status == contract.FileIngested, len(document.Providers(contract.ModalityText, status)) == 1)
	}
}

func TestIntegrity(t *testing.T) {
	t.Parallel()
	id := document.IDOf("/corpus/a.md")
	good := document.GraphCounts{DocumentID: id, Ingested: true, AtomCount: 7, DocumentNodes: 1, AtomNodes: 7, ContainsEdges: 7}
	require.Equal(t, contract.GraphIntegrity{
		DocumentID: id.String(), DocumentNodes: 1, ExpectedDocumentNodes: 1, AtomNodes: 7, ContainsEdges: 7,
		ExpectedAtomNodes: 7, ProjectionStatus: contract.ProjectionComplete, Consistent: true,
	}, good.Integrity())

	for name, change := range map[string]func(*document.GraphCounts){
		"no document node":     func(c *document.GraphCounts) { c.DocumentNodes = 0 },
		"two document nodes":   func(c *document.GraphCounts) { c.DocumentNodes = 2 },
		"an atom is missing":   func(c *document.GraphCounts) { c.AtomNodes = 6 },
		"an edge is missing":   func(c *document.GraphCounts) { c.ContainsEdges = 6 },
		"an edge too many":     func(c *document.GraphCounts) { c.ContainsEdges = 8 },
		"the document differs": func(c *document.GraphCounts) { c.AtomCount = 8 },
		"it is not ingested":   func(c *document.GraphCounts) { c.Ingested = false },
	} {
		counts := good
		change(&counts)
		require.False(t, counts.Integrity().Consistent, name)
	}

	empty := document.GraphCounts{DocumentID: id}
	require.True(t, empty.Integrity().Consistent)
	require.Equal(t, contract.ProjectionPending, empty.Integrity().ProjectionStatus)
	ghost := document.GraphCounts{DocumentID: id, AtomNodes: 1}
	require.False(t, ghost.Integrity().Consistent)
}
