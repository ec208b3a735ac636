package document_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/plugins/internal/document"
	"nexus.internal/services/plugins/internal/fakecorpus"
)

const maxBytes = 1 << 20

func start(t *testing.T, part int) (*fakecorpus.Corpus, *document.Reader) {
	t.Helper()
	nc := testkit.NATS(t)
	return fakecorpus.Start(t, nc, part), document.NewReader(nc, maxBytes)
}

func TestReadPutsThePartsTogether(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text     string
		requests int
	}{
		"empty":           {"", 1},
		"less than one":   {"abc", 1},
		"exactly one":     {"abcdefgh", 1},
		"one and a bit":   {"abcdefghi", 2},
		"several":         {strings.Repeat("abcdefgh", 5), 5},
		"the longest yet": {strings.Repeat("x", 1000), 125},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			corpus, reader := start(t, 8)
			id := uuid.NewString()
			corpus.Put(id, fakecorpus.Document{Text: c.text, Modality: contract.ModalityPDF, Atoms: 3})
			doc, err := reader.Read(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, document.Document{
				ID: id, Modality: contract.ModalityPDF, Checksum: fakecorpus.Checksum(c.text), Text: c.text,
				HypergraphIDs: contract.HypergraphIDs{
					DocumentNodeID: "document-node", AtomNodeIDs: []string{"atom-node", "atom-node", "atom-node"}, AtomNodeCount: 3,
				},
			}, doc)
			require.Equal(t, c.requests, corpus.Requests())
		})
	}
}

func TestReadBranch(t *testing.T) {
	t.Parallel()
	corpus, reader := start(t, 8)
	for _, text := range []string{"", "abc", strings.Repeat("abcdefgh", 5)} {
		id := uuid.NewString()
		corpus.PutBranch(id, text)
		got, err := reader.ReadBranch(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, document.Document{
			ID: id, Modality: contract.ModalityText, Checksum: fakecorpus.Checksum(text), Text: text,
			HypergraphIDs: contract.HypergraphIDs{AtomNodeIDs: []string{}},
		}, got)
	}
	long := uuid.NewString()
	corpus.PutBranch(long, strings.Repeat("x", maxBytes+1))
	for id, want := range map[string]string{long: "Branch " + long + " has 1048577 bytes of text; the limit for analysis is 1048576", uuid.NewString(): "Branch not found"} {
		_, err := reader.ReadBranch(t.Context(), id)
		var refused *document.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, want, refused.Reason)
	}
}

func TestReadCutsTheListOfAtoms(t *testing.T) {
	t.Parallel()
	corpus, reader := start(t, 8)
	id := uuid.NewString()
	corpus.Put(id, fakecorpus.Document{Text: "abc", Atoms: contract.MaxAnalyzeAtoms + 1})
	doc, err := reader.Read(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, doc.HypergraphIDs.AtomNodeIDs, contract.MaxAnalyzeAtoms)
	require.True(t, doc.HypergraphIDs.AtomNodeIDsTruncated)
	require.EqualValues(t, contract.MaxAnalyzeAtoms+1, doc.HypergraphIDs.AtomNodeCount)
}

func TestReadRefusesDocumentsThatCannotBeAnalysed(t *testing.T) {
	t.Parallel()
	corpus, reader := start(t, 1<<19)
	refuse := func(doc fakecorpus.Document) string {
		id := uuid.NewString()
		corpus.Put(id, doc)
		_, err := reader.Read(t.Context(), id)
		var refused *document.RefusedError
		require.ErrorAs(t, err, &refused)
		return strings.ReplaceAll(refused.Error(), id, "ID")
	}
	require.Equal(t, "Document ID is in conflict and cannot be analysed: Conflict markers detected",
		refuse(fakecorpus.Document{Conflict: true}))
	require.Equal(t, "Document ID is not ingested and cannot be analysed", refuse(fakecorpus.Document{Skipped: true}))
	require.Equal(t, "Document ID has 1048577 bytes of text; the limit for analysis is 1048576",
		refuse(fakecorpus.Document{Text: strings.Repeat("x", maxBytes+1)}))

	_, err := reader.Read(t.Context(), uuid.NewString())
	var refused *document.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "Document not found", refused.Reason)
}

func TestReadNamesAConflictWithoutReason(t *testing.T) {
	t.Parallel()
	corpus, reader := start(t, 8)
	corpus.Put("a", fakecorpus.Document{})
	corpus.OnText(func(_ contract.TextRequest, reply *contract.TextReply) error {
		reply.ConflictFlag = true
		return nil
	})
	_, err := reader.Read(t.Context(), "a")
	require.EqualError(t, err, "Document a is in conflict and cannot be analysed")
}

// TestReadTellsRefusalsFromTrouble: what the corpus service says decides whether
// asking again can help.
func TestReadTellsRefusalsFromTrouble(t *testing.T) {
	t.Parallel()
	cases := map[fault.Kind]bool{
		fault.NotFound: true, fault.Invalid: true, fault.Unprocessable: true, fault.Conflict: true,
		fault.TooLarge: true, fault.Forbidden: true, fault.Unauthenticated: true,
		fault.Unavailable: false, fault.Internal: false, fault.RateLimited: false,
	}
	for kind, permanent := range cases {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			corpus, reader := start(t, 8)
			corpus.Put("a", fakecorpus.Document{})
			corpus.OnText(func(contract.TextRequest, *contract.TextReply) error { return fault.New(kind, "", "No.") })
			_, err := reader.Read(t.Context(), "a")
			require.ErrorContains(t, err, "No.")
			var refused *document.RefusedError
			require.Equal(t, permanent, errors.As(err, &refused))
		})
	}
}

// requireTrouble says that reading failed for a reason that may pass.
func requireTrouble(t *testing.T, err error, sentence string) {
	t.Helper()
	var refused *document.RefusedError
	require.NotErrorAs(t, err, &refused)
	require.ErrorContains(t, err, sentence)
}

func TestReadNoticesThatTheDocumentChanged(t *testing.T) {
	t.Parallel()
	for _, at := range []int64{8, 16} {
		corpus, reader := start(t, 8)
		corpus.Put("a", fakecorpus.Document{Text: strings.Repeat("x", 24)})
		corpus.OnText(func(req contract.TextRequest, _ *contract.TextReply) error {
			if req.Offset == at {
				corpus.Put("a", fakecorpus.Document{Text: "another text of the same 24"})
			}
			return nil
		})
		_, err := reader.Read(t.Context(), "a")
		requireTrouble(t, err, "the document changed while it was read")
	}
}

func TestReadDoesNotBelieveEverything(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		lie      func(*contract.TextReply)
		sentence string
	}{
		"goes on elsewhere": {func(r *contract.TextReply) { r.NextOffset = 99 }, "sent 8 of 24 bytes and goes on at 99"},
		"sends nothing":     {func(r *contract.TextReply) { r.Text, r.NextOffset = "", 0 }, "sent nothing at 0 of 24 bytes"},
		"sends too much": {func(r *contract.TextReply) {
			r.Text, r.NextOffset = strings.Repeat("x", 25), 25
		}, "sent 25 of 24 bytes"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			corpus, reader := start(t, 8)
			corpus.Put("a", fakecorpus.Document{Text: strings.Repeat("x", 24)})
			corpus.OnText(func(_ contract.TextRequest, reply *contract.TextReply) error {
				c.lie(reply)
				return nil
			})
			_, err := reader.Read(t.Context(), "a")
			requireTrouble(t, err, c.sentence)
		})
	}
}

func TestReadWithoutACorpusService(t *testing.T) {
	t.Parallel()
	reader := document.NewReader(testkit.NATS(t), maxBytes)
	_, err := reader.Read(t.Context(), "a")
	requireTrouble(t, err, "does not answer now")
	require.ErrorIs(t, err, nats.ErrNoResponders)
}

func TestReadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	corpus, reader := start(t, 8)
	corpus.Put("a", fakecorpus.Document{})
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	corpus.OnText(func(contract.TextRequest, *contract.TextReply) error {
		cancel()
		<-release
		return nil
	})
	_, err := reader.Read(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
}
