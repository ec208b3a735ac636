package layer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const pdf = "pdf"

// maxPageNumberBytes is longer than any "Page 1234 of 5678".
const maxPageNumberBytes = 32

func pdfHints(t *Text) map[string]int {
	if t.modality != pdf {
		return map[string]int{}
	}
	hints := map[string]int{
		"page_breaks":          strings.Count(t.raw, "\f"),
		"page_number_lines":    0,
		"hyphenated_line_ends": 0,
		"figure_references":    countFigureReferences(t.words),
	}
	broken := false
	for line := range lines(t.raw) {
		trimmed := strings.TrimSpace(line)
		if isPageNumber(trimmed) {
			hints["page_number_lines"]++
		}
		if first, _ := utf8.DecodeRuneInString(trimmed); broken && unicode.IsLower(first) {
			hints["hyphenated_line_ends"]++
		}
		broken = endsInBrokenWord(trimmed)
	}
	return hints
}

// isPageNumber knows "7", "- 7 -", "Page 7", "7 of 9" and "Page 7 of 9".
func isPageNumber(line string) bool {
	if len(line) > maxPageNumberBytes {
		return false
	}
	parts := strings.FieldsFunc(strings.ToLower(line), func(r rune) bool {
		return isSpace(r) || strings.ContainsRune("-–—|[]", r)
	})
	if len(parts) > 1 && parts[0] == "page" {
		parts = parts[1:]
	}
	switch len(parts) {
	case 1:
		return isNumber(parts[0])
	case 3:
		return isNumber(parts[0]) && parts[1] == "of" && isNumber(parts[2])
	}
	return false
}

func isNumber(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsDigit(r) }) < 0
}

func endsInBrokenWord(line string) bool {
	last, size := utf8.DecodeLastRuneInString(line)
	if !isHyphen(last) && last != softHyphen {
		return false
	}
	before, _ := utf8.DecodeLastRuneInString(line[:len(line)-size])
	return unicode.IsLetter(before)
}

func countFigureReferences(words []word) int {
	references := 0
	for i := 1; i < len(words); i++ {
		switch words[i-1].folded {
		case "figure", "fig", "table", "plate":
			first, _ := utf8.DecodeRuneInString(words[i].folded)
			references += one(unicode.IsDigit(first))
		}
	}
	return references
}
