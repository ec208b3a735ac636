package pdf_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/corpus/internal/atom"
	"nexus.internal/services/corpus/internal/pdf"
	"nexus.internal/services/corpus/internal/pdf/pdfmake"
)

// shared is one reader for all tests: compiling takes seconds.
var shared = sync.OnceValue(func() *pdf.Reader {
	return pdf.NewReader(pdf.Limits{Memory: 128 << 20, Time: time.Minute, Text: 64 << 10, Parallel: 2, Cache: cache()})
})

// cache keeps PDFium compiled for the processes of the fuzzer, for which compiling
// takes minutes.
func cache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "nexus-test-pdfium")
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := shared().Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestTextAndPages(t *testing.T) {
	t.Parallel()
	doc, err := shared().Read(t.Context(), pdfmake.File("The sea rises.", "", "It falls (twice)."))
	require.NoError(t, err)
	require.Equal(t, pdf.Document{Text: "The sea rises.\n\n\f\n\n\fIt falls (twice).", Pages: 3}, doc)
	require.Equal(t, []string{"The sea rises.", "It falls (twice)."}, slices.Collect(atom.Paragraphs(doc.Text)), "a page break is no part of a paragraph")
	doc, err = shared().Read(t.Context(), pdfmake.File("", ""))
	require.NoError(t, err)
	require.Equal(t, pdf.Document{Pages: 2}, doc)
}

func TestRepairable(t *testing.T) {
	t.Parallel()
	whole := pdfmake.File("The sea rises.")
	objects, rest, found := bytes.Cut(whole, []byte("xref\n"))
	require.True(t, found)
	_, trailer, found := bytes.Cut(rest, []byte("trailer\n"))
	require.True(t, found)
	for name, data := range map[string][]byte{
		"no cross-reference table":  slices.Concat(objects, []byte("trailer\n"), trailer),
		"something in front":        append([]byte("\xEF\xBB\xBFHTTP/1.1 200 OK\r\n\r\n"), whole...),
		"something behind":          append(bytes.Clone(whole), bytes.Repeat([]byte("x"), 3000)...),
		"a wrong place of the xref": bytes.Replace(whole, []byte("startxref\n"), []byte("startxref\n9"), 1),
	} {
		doc, err := shared().Read(t.Context(), data)
		require.NoError(t, err, name)
		require.Equal(t, "The sea rises.", doc.Text, name)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	whole := pdfmake.File("The sea rises.")
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":        {nil, "is not a PDF file"},
		"a text":         {[]byte("The sea rises."), "is not a PDF file"},
		"a header alone": {[]byte("%PDF-1.7\n"), "is a broken PDF file"},
		"the beginning":  {whole[:60], "is a broken PDF file"},
		"noise":          {append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte{0xd7, 0x00, '<', '[', '('}, 20_000)...), "is a broken PDF file"},
		"encrypted":      {pdfmake.Encrypted(), "is an encrypted PDF file"},
		"no pages":       {pdfmake.File(), "PDF file"},
		"too large":      {append(bytes.Clone(whole), make([]byte, 65<<20)...), "is too large"},
		"too much text":  {pdfmake.File(slices.Repeat([]string{strings.Repeat("The sea rises. ", 1400)}, 4)...), "more text than the limit"},
		"deep nesting":   {pdfmake.Raw("BT /F1 12 Tf (x) Tj ET", "/Deep "+strings.Repeat("[", 200_000)+strings.Repeat("]", 200_000)), ""},
		"a bomb":         {bomb(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err := shared().Read(t.Context(), tc.data)
			if tc.want == "" {
				// PDFium may make something of it, within its limits, or not.
				if err != nil {
					require.ErrorAs(t, err, new(pdf.Problem))
				}
				return
			}
			require.ErrorAs(t, err, new(pdf.Problem))
			require.ErrorContains(t, err, tc.want)
			require.Empty(t, doc)
		})
	}
	// None of them has harmed the reader.
	doc, err := shared().Read(t.Context(), whole)
	require.NoError(t, err)
	require.Equal(t, "The sea rises.", doc.Text)
}

// bomb is a page whose content grows to 400 MB when it is unpacked.
func bomb() []byte {
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	block := bytes.Repeat([]byte("BT /F1 12 Tf (A) Tj ET "), 1<<20/23)
	for range 400 {
		if _, err := w.Write(block); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return pdfmake.Packed(packed.Bytes())
}

// A page that draws without end is stopped when its time is up.
func TestTimeIsLimited(t *testing.T) {
	t.Parallel()
	r := pdf.NewReader(pdf.Limits{Memory: 128 << 20, Time: time.Millisecond, Text: 1 << 20, Parallel: 1, Cache: cache()})
	pages := make([]string, 2000)
	for i := range pages {
		pages[i] = strings.Repeat("The sea rises. ", 50)
	}
	file := pdfmake.File(pages...)
	for range 3 {
		_, err := r.Read(t.Context(), file)
		require.ErrorAs(t, err, new(pdf.Problem))
		require.ErrorContains(t, err, "takes longer than 1ms to read")
	}
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
}

func TestACallerThatGivesUpIsNoProblemOfTheFile(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := shared().Read(ctx, pdfmake.File("The sea rises."))
	require.ErrorIs(t, err, context.Canceled)
}

func FuzzRead(f *testing.F) {
	for _, data := range [][]byte{
		nil, pdfmake.File("The sea rises.", "It falls."), pdfmake.Encrypted(), pdfmake.File(),
		pdfmake.Raw("BT /F1 12 Tf [(x) -20 (y)] TJ ET", "/Deep "+strings.Repeat("[", 200)+strings.Repeat("]", 200)),
	} {
		f.Add(data)
	}
	// Compiling takes longer than one input may.
	_, err := shared().Read(f.Context(), pdfmake.File("The sea rises."))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := shared().Read(t.Context(), data)
		if err != nil {
			require.ErrorAs(t, err, new(pdf.Problem))
			return
		}
		require.Positive(t, doc.Pages)
		require.NotContains(t, doc.Text, "\x00")
	})
}
