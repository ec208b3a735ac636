package pdf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/klippa-app/go-pdfium"
	pdfiumerrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Limits bound what one file may take.
type Limits struct {
	// Memory is in bytes; the file itself is in it.
	Memory int64
	// Time is how long reading one file may take.
	Time time.Duration
	// Text is the longest text, in bytes.
	Text int64
	// Parallel is how many files are read at once; more wait.
	Parallel int
	// Cache is the folder that keeps PDFium compiled, for the next reader; empty for
	// none. Whoever writes into it decides what runs.
	Cache string
}

// Reader reads PDF files. It may be used from several goroutines. The first file
// makes it compile PDFium, which takes some seconds.
type Reader struct {
	limits Limits
	turns  chan struct{}

	mu   sync.Mutex
	pool pdfium.Pool
}

// NewReader makes a reader.
func NewReader(limits Limits) *Reader {
	return &Reader{limits: limits, turns: make(chan struct{}, limits.Parallel)}
}

// Document is what was read of a file.
type Document struct {
	// Text is that of the pages in order, an empty line and a form feed between two
	// of them; empty when no page has any.
	Text  string
	Pages int
	// Unread is how many of the pages could not be read.
	Unread int
}

// Problem says in words why a file cannot be read. Its text holds nothing of the
// library's own.
type Problem string

// Error implements error.
func (p Problem) Error() string { return string(p) }

// The problems that have no figures in them.
const (
	notPDF    Problem = "is not a PDF file: its content does not begin like one"
	broken    Problem = "is a broken PDF file, or needs more memory than it may take"
	encrypted Problem = "is an encrypted PDF file: it cannot be read without its password"
	noPages   Problem = "is a PDF file without pages"
)

// headerWithin is how far into a file readers look for its header.
const headerWithin = 1024

// Read reads a file. What is wrong with the file is a Problem; another error
// means that it could not be tried.
func (r *Reader) Read(ctx context.Context, data []byte) (Document, error) {
	if !bytes.Contains(data[:min(len(data), headerWithin)], []byte("%PDF-")) {
		return Document{}, notPDF
	}
	if int64(len(data)) > r.limits.Memory/2 {
		return Document{}, Problem(fmt.Sprintf("is too large (%d bytes) for a PDF file: the limit is %d", len(data), r.limits.Memory/2))
	}
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-ctx.Done():
		return Document{}, context.Cause(ctx)
	}
	pool, err := r.open(ctx)
	if err != nil {
		return Document{}, err
	}
	instance, err := pool.GetInstanceWithContext(ctx)
	if err != nil {
		return Document{}, fmt.Errorf("start PDFium: %w", err)
	}
	return r.within(ctx, instance, data)
}

// open compiles PDFium once. What it is compiled with lasts as long as the reader.
func (r *Reader) open(ctx context.Context) (pdfium.Pool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pool != nil {
		return r.pool, nil
	}
	const page = 64 << 10
	config := wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
		WithCloseOnContextDone(true).WithMemoryLimitPages(uint32(min(r.limits.Memory/page, 65536)))
	if r.limits.Cache != "" {
		cache, err := wazero.NewCompilationCacheWithDir(r.limits.Cache)
		if err != nil {
			return nil, fmt.Errorf("open the folder of compiled code: %w", err)
		}
		config = config.WithCompilationCache(cache)
	}
	pool, err := webassembly.Init(webassembly.Config{
		Context: context.WithoutCancel(ctx), MaxTotal: r.limits.Parallel,
		// Without this it would see all the files of the machine.
		FSConfig: wazero.NewFSConfig(),
		Stdout:   io.Discard, Stderr: io.Discard,
		RuntimeConfig: config,
	})
	if err != nil {
		return nil, fmt.Errorf("compile PDFium: %w", err)
	}
	r.pool = pool
	return pool, nil
}

// Close gives back what PDFium holds. No file may be read meanwhile.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pool == nil {
		return nil
	}
	err := r.pool.Close()
	r.pool = nil
	if err != nil {
		return fmt.Errorf("close PDFium: %w", err)
	}
	return nil
}

// within reads a file in its own instance, which is killed when the time is up.
func (r *Reader) within(ctx context.Context, instance pdfium.Pdfium, data []byte) (Document, error) {
	limited, cancel := context.WithTimeout(ctx, r.limits.Time)
	defer cancel()
	killed := make(chan struct{})
	stop := context.AfterFunc(limited, func() {
		defer close(killed)
		_ = instance.Kill() // the module is closed either way
	})
	doc, err := r.read(limited, instance, data)
	if stop() {
		_ = instance.Close() // the instance is thrown away, whatever state it is in
	} else {
		<-killed
	}
	switch {
	case ctx.Err() != nil:
		return Document{}, context.Cause(ctx)
	case limited.Err() != nil:
		return Document{}, Problem(fmt.Sprintf("is a PDF file that takes longer than %s to read", r.limits.Time))
	default:
		return doc, err
	}
}

func (r *Reader) read(ctx context.Context, instance pdfium.Pdfium, data []byte) (Document, error) {
	opened, err := instance.OpenDocument(&requests.OpenDocument{File: &data})
	if err != nil {
		return Document{}, problemOf(err)
	}
	count, err := instance.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: opened.Document})
	if err != nil {
		return Document{}, broken
	}
	if count.PageCount <= 0 {
		return Document{}, noPages
	}
	doc := Document{Pages: count.PageCount}
	var text strings.Builder
	marks := plain()
	for i := range count.PageCount {
		if ctx.Err() != nil {
			break
		}
		if i > 0 {
			text.WriteString(pageBreak)
		}
		page, err := r.page(instance, opened.Document, i, r.limits.Text-int64(text.Len()))
		var problem Problem
		switch {
		case errors.As(err, &problem):
			return Document{}, problem
		case err != nil:
			doc.Unread++
			continue
		}
		text.WriteString(strings.TrimSpace(marks.Replace(page)))
	}
	if doc.Unread == doc.Pages {
		return Document{}, broken
	}
	if doc.Text = text.String(); strings.TrimSpace(doc.Text) == "" {
		doc.Text = ""
	}
	return doc, nil
}

// pageBreak is between two pages: the end of a paragraph, and the mark by which
// pages are counted in the text.
const pageBreak = "\n\n\f"

// plain undoes what PDFium marks lines with: it ends them with "\r\n", and writes a
// hyphen at the end of one as "\x02".
func plain() *strings.Replacer {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n", "\x02", "-", "\x00", "", "\uFFFE", "-", "\f", "\n")
}

// page reads the text of one page. A Problem means that the file is not to be
// read on; any other error, that this page cannot be read.
func (r *Reader) page(instance pdfium.Pdfium, doc references.FPDF_DOCUMENT, index int, room int64) (string, error) {
	page, err := instance.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: doc, Index: index})
	if err != nil {
		return "", err
	}
	// What is left open goes with the instance.
	defer func() { _, _ = instance.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: page.Page}) }()
	text, err := instance.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: requests.Page{ByReference: &page.Page}})
	if err != nil {
		return "", err
	}
	defer func() { _, _ = instance.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: text.TextPage}) }()
	chars, err := instance.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: text.TextPage})
	if err != nil {
		return "", err
	}
	if int64(chars.Count) > room {
		return "", Problem(fmt.Sprintf("is a PDF file with more text than the limit of %d bytes", r.limits.Text))
	}
	if chars.Count <= 0 {
		return "", nil
	}
	got, err := instance.FPDFText_GetText(&requests.FPDFText_GetText{TextPage: text.TextPage, StartIndex: 0, Count: chars.Count})
	if err != nil {
		return "", err
	}
	return strings.ToValidUTF8(got.Text, "\uFFFD"), nil
}

func problemOf(err error) Problem {
	if errors.Is(err, pdfiumerrors.ErrPassword) || errors.Is(err, pdfiumerrors.ErrSecurity) {
		return encrypted
	}
	return broken
}
