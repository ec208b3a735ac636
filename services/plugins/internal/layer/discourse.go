package layer

import "strings"

// DiscourseOutput is the discourse layer.
type DiscourseOutput struct {
	// ParagraphCount counts blocks of text parted by blank lines.
	ParagraphCount int `json:"paragraph_count"`
	// ConnectiveCount counts words and phrases that link statements, such as
	// "however" and "as a result".
	ConnectiveCount int `json:"connective_count"`
	// PDFHints are traces of page layout, each a count: page_breaks (form
	// feeds), page_number_lines (lines that hold only a page number),
	// hyphenated_line_ends (words broken over two lines) and figure_references
	// ("Figure 3", "Table 1"). Empty unless the modality is pdf.
	PDFHints map[string]int `json:"pdf_hints"`
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
