package rpc_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/document"
)

func TestTextIsReadInParts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, text := range map[string]string{
		"plain":     strings.Repeat("A line of plain text.\n", 60_000),
		"escaped":   strings.Repeat("<&>\x01", 300_000),
		"wide":      strings.Repeat("日本語🙂", 90_000),
		"one short": "þæt",
		"empty":     "",
	} {
		id := b.saveWith("/c/"+name+".md", text, nil)
		var got strings.Builder
		var offset int64
		for {
			part := call[contract.TextReply](b, contract.RPCCorpusText, contract.TextRequest{
				DocumentID: id, Offset: offset, Checksum: document.Checksum([]byte(text)),
			})
			require.True(t, utf8.ValidString(part.Text))
			require.LessOrEqual(t, len(part.Text), contract.MaxTextChunk)
			require.Equal(t, offset, part.Offset)
			require.Equal(t, int64(len(text)), part.TotalBytes)
			require.Equal(t, offset+int64(len(part.Text)), part.NextOffset)
			got.WriteString(part.Text)
			if part.NextOffset == part.TotalBytes {
				break
			}
			require.Greater(t, part.NextOffset, offset)
			offset = part.NextOffset
		}
		require.Equal(t, text, got.String(), name)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.save("/c/a.md", "# T\naþ🙂b")
	whole := call[contract.TextReply](b, contract.RPCCorpusText, contract.TextRequest{DocumentID: id})
	require.Equal(t, contract.TextReply{
		DocumentID: id, Title: "a.md", Modality: contract.ModalityText, Ingested: true,
		Checksum: document.Checksum([]byte("# T\naþ🙂b")), Text: "# T\naþ🙂b", NextOffset: 12, TotalBytes: 12,
	}, whole)

	for _, c := range []struct {
		offset int64
		limit  int
		want   string
	}{
		{0, 1, "#"},
		{4, 2, "a"},
		{4, 3, "aþ"},
		{5, 1, "þ"}, // at least one character, or a reader would never go on
		{7, 2, "🙂"},
		{7, 5, "🙂b"},
		{7, 0, "🙂b"},
		{12, 0, ""},
	} {
		part := call[contract.TextReply](b, contract.RPCCorpusText, contract.TextRequest{DocumentID: id, Offset: c.offset, Limit: c.limit})
		require.Equal(t, c.want, part.Text, "%+v", c)
		require.Equal(t, c.offset+int64(len(c.want)), part.NextOffset)
	}

	for _, req := range []contract.TextRequest{
		{Offset: -1}, {Offset: 6}, {Offset: 13}, {Offset: 1 << 40}, {Limit: -1}, {Limit: contract.MaxTextChunk + 1},
	} {
		req.DocumentID = id
		requireFault[contract.TextReply](b, fault.Invalid, "", contract.RPCCorpusText, req)
	}
	requireFault[contract.TextReply](b, fault.Conflict, "changed while it was being read", contract.RPCCorpusText,
		contract.TextRequest{DocumentID: id, Checksum: "of an older version"})
}

func TestTextOfDocumentsWithoutText(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	conflict := call[contract.TextReply](b, contract.RPCCorpusText, contract.TextRequest{DocumentID: b.save("/c/a.md", "=======\n")})
	require.True(t, conflict.ConflictFlag)
	require.Equal(t, "Conflict markers detected", *conflict.ConflictReason)
	require.False(t, conflict.Ingested)
	require.Empty(t, conflict.Text)
	require.Zero(t, conflict.TotalBytes)

	image := call[contract.TextReply](b, contract.RPCCorpusText, contract.TextRequest{DocumentID: b.save("/c/a.png", "PNG")})
	require.Equal(t, contract.ModalityImage, image.Modality)
	require.False(t, image.Ingested)
	require.False(t, image.ConflictFlag)
}

func TestAtoms(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	text := "The sea. The " + strings.Repeat("sea ", 2500)
	path := "/c/The Sea.md"
	id := b.save(path, text)
	for _, level := range atom.Levels() {
		var want []contract.Atom
		for a := range atom.Atomize(text, []atom.Level{level}) {
			want = append(want, contract.Atom{
				ID: document.AtomID(uuid.MustParse(id), level, a.Ordinal).String(), Level: string(level), Ordinal: a.Ordinal,
				Content: atom.FirstRunes(a.Content, 200), FileName: atom.FileName(path, a),
			})
		}
		var got []contract.Atom
		for len(got) < len(want) {
			page := call[contract.AtomsReply](b, contract.RPCCorpusAtoms, contract.AtomsRequest{
				DocumentID: id, Level: string(level), Offset: len(got), Limit: 499,
			})
			require.Equal(t, int64(len(want)), page.Total)
			require.NotEmpty(t, page.Atoms)
			got = append(got, page.Atoms...)
		}
		require.Equal(t, want, got)
		behind := call[contract.AtomsReply](b, contract.RPCCorpusAtoms, contract.AtomsRequest{DocumentID: id, Level: string(level), Offset: len(want)})
		require.Equal(t, []contract.Atom{}, behind.Atoms)
	}
	require.Equal(t, "THE-SEA_WORD_000001_the.txt",
		call[contract.AtomsReply](b, contract.RPCCorpusAtoms, contract.AtomsRequest{DocumentID: id, Level: "word"}).Atoms[0].FileName)

	for want, req := range map[string]contract.AtomsRequest{
		"unknown atom level \"chapter\"": {Level: "chapter"},
		"limit is 501":                   {Level: "word", Limit: 501},
		"offset is -1":                   {Level: "word", Offset: -1},
	} {
		req.DocumentID = id
		requireFault[contract.AtomsReply](b, fault.Invalid, want, contract.RPCCorpusAtoms, req)
	}
}
