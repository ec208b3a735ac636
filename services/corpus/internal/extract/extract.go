package extract

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/corpus/internal/pdf"
	"nexus.internal/services/corpus/internal/picture"
	"nexus.internal/services/corpus/internal/plaintext"
	"nexus.internal/services/corpus/internal/sound"
)

// Content is what a file holds.
type Content struct {
	// Conflict is set for a text with conflict markers; nothing else is then.
	Conflict bool
	Text     string
	// Segments are those of the modality; nil where there are none.
	Segments any
	// Warning says what is odd about the file, or was changed; empty for nothing.
	Warning string
}

// Problem says in words why a file has no content.
type Problem string

// Error implements error.
func (p Problem) Error() string { return string(p) }

// Extractor extracts the content of files. It may be used from several goroutines.
type Extractor struct {
	pdfs *pdf.Reader
	log  zerolog.Logger
}

// New makes an extractor.
func New(pdfs *pdf.Reader, log zerolog.Logger) *Extractor {
	return &Extractor{pdfs: pdfs, log: log}
}

// Extract reads a file. What is wrong with the file is a Problem; another error
// means that it could not be tried.
func (e *Extractor) Extract(ctx context.Context, path string, kind contract.Modality, data []byte) (content Content, err error) {
	defer func() {
		if p := recover(); p != nil {
			e.log.Error().Str("path", path).Str("panic", fault.PanicText(p)).Bytes("stack", debug.Stack()).Msg("a file made its reader panic")
			content, err = Content{}, Problem(fmt.Sprintf("is a broken %s file: it cannot be read", kind))
		}
	}()
	if len(data) == 0 {
		return Content{}, Problem("is empty")
	}
	switch kind {
	case contract.ModalityText:
		return text(path, data)
	case contract.ModalityPDF:
		return e.pdf(ctx, path, data)
	case contract.ModalityImage:
		return image(path, data)
	case contract.ModalityAudio:
		return audio(path, data)
	case contract.ModalityBinary:
	}
	return Content{}, nil
}

func text(path string, data []byte) (Content, error) {
	decoded, repairs, err := plaintext.Decode(data)
	if err != nil {
		return Content{}, Problem(err.Error())
	}
	if plaintext.InConflict(decoded) {
		return Content{Conflict: true}, nil
	}
	if err := plaintext.CheckYAML(path, decoded); err != nil {
		return Content{}, Problem(err.Error())
	}
	return Content{Text: decoded, Segments: plaintext.Segments(path, decoded), Warning: repairs}, nil
}

func (e *Extractor) pdf(ctx context.Context, path string, data []byte) (Content, error) {
	doc, err := e.pdfs.Read(ctx, data)
	var problem pdf.Problem
	switch {
	case errors.As(err, &problem):
		return Content{}, Problem(problem)
	case err != nil:
		return Content{}, err
	}
	content := Content{
		Text:     doc.Text,
		Segments: contract.PDFSegments{TextSegments: plaintext.Segments(path, doc.Text), PageCount: doc.Pages},
	}
	if doc.Unread > 0 {
		content.Warning = fmt.Sprintf("%d of its %d pages cannot be read", doc.Unread, doc.Pages)
	}
	return content, nil
}

func image(path string, data []byte) (Content, error) {
	info, err := picture.Read(formatOf(path), data)
	if err != nil {
		return Content{}, Problem(err.Error())
	}
	return Content{Segments: contract.ImageSegments{Format: info.Format, Width: info.Width, Height: info.Height}}, nil
}

func audio(path string, data []byte) (Content, error) {
	info, err := sound.Read(formatOf(path), data)
	if err != nil {
		return Content{}, Problem(err.Error())
	}
	return Content{Segments: contract.AudioSegments{
		Format: info.Format, DurationSeconds: info.Seconds, SampleRate: info.Rate, Channels: info.Channels,
	}}, nil
}

// formatOf is the format that the extension promises.
func formatOf(path string) string {
	format := strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	if format == "jpg" {
		return picture.JPEG
	}
	return format
}
