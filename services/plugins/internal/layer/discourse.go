package layer

import "strings"

// DiscourseOutput is the discourse layer.
type DiscourseOutput struct {
	// ParagraphCount counts blocks of text parted by blank lines.
	ParagraphCount int `json:"paragraph_count"`
	// ConnectiveCount counts words and phrases that link statements, such as
	// "however" and "as a result".
	ConnectiveCount int      `json:"connective_count"`
	PDFHints        PDFHints `json:"pdf_hints"`
}

// PDFHints are traces of page layout.
type PDFHints struct {
	// PageCount is one more than the form feeds of a text from a PDF, and 0 for
	// other modalities and for no text.
	PageCount int `json:"page_count"`
	// HeadingCandidates are the first 20 lines that look like headings: marked
	// with #, or standing alone in capitals.
	HeadingCandidates []string `json:"heading_candidates"`
	// CitationMarkers are the first 20 that look like [12] or (Name, 1999).
	CitationMarkers []string `json:"citation_markers"`
	// PageNumberLines, HyphenatedLineEnds (words broken over two lines) and
	// FigureReferences ("Figure 3", "Table 1") are counted in PDFs only.
	PageNumberLines    int `json:"page_number_lines"`
	HyphenatedLineEnds int `json:"hyphenated_line_ends"`
	FigureReferences   int `json:"figure_references"`
}

// Discourse measures how a text hangs together.
func (a *Analyzer) Discourse(t *Text) DiscourseOutput {
	return DiscourseOutput{
		ParagraphCount:  countParagraphs(t.raw),
		ConnectiveCount: total(a.connectives.count(t.words)),
		PDFHints:        pdfHints(t),
	}
}

func countParagraphs(raw string) int {
	paragraphs, inside := 0, false
	for line := range lines(raw) {
		blank := strings.TrimSpace(line) == ""
		if !blank && !inside {
			paragraphs++
		}
		inside = !blank
	}
	return paragraphs
}
