package layer

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const pdf = "pdf"

const (
	// maxHintList bounds the lists of hints.
	maxHintList      = 20
	maxHeadingLevel  = 6
	maxCapitalsBytes = 120
	// minCapitals is how many capitals a line in capitals has at least.
	minCapitals = 3
	// maxCitationBytes is the longest citation marker.
	maxCitationBytes = 160
)

// citationPattern matches a number in square brackets, or names and a year in
// round ones.
var citationPattern = regexp.MustCompile(`^(?:\[[0-9]+\]|\([\p{L}\p{M}][\p{L}\p{M}'’.&\s,-]*,\s*[0-9]{4}[a-z]?\))`)

// maxPageNumberBytes is longer than any "Page 1234 of 5678".
const maxPageNumberBytes = 32

// pdfHints looks at every line once.
func pdfHints(t *Text) PDFHints {
	hints := PDFHints{HeadingCandidates: []string{}, CitationMarkers: citationMarkers(t.raw)}
	isPDF := t.modality == pdf
	if isPDF && strings.TrimSpace(t.raw) != "" {
		hints.PageCount = 1 + strings.Count(t.raw, "\f")
		hints.FigureReferences = countFigureReferences(t.words)
	}
	broken := false
	for line := range lines(t.raw) {
		trimmed := strings.TrimSpace(line)
		if heading := headingIn(trimmed); heading != "" && len(hints.HeadingCandidates) < maxHintList {
			hints.HeadingCandidates = append(hints.HeadingCandidates, clip(heading))
		}
		if !isPDF {
			continue
		}
		if isPageNumber(trimmed) {
			hints.PageNumberLines++
		}
		if first, _ := utf8.DecodeRuneInString(trimmed); broken && unicode.IsLower(first) {
			hints.HyphenatedLineEnds++
		}
		broken = endsInBrokenWord(trimmed)
	}
	return hints
}

// headingIn returns the words of a line that looks like a heading, or "".
func headingIn(line string) string {
	if words := strings.TrimLeft(line, "#"); len(line)-len(words) <= maxHeadingLevel && len(words) < len(line) && strings.HasPrefix(words, " ") {
		return strings.TrimSpace(words)
	}
	if len(line) > maxCapitalsBytes {
		return ""
	}
	letters := 0
	for _, char := range line {
		if unicode.IsLower(char) {
			return ""
		}
		if unicode.IsUpper(char) {
			letters++
		}
	}
	if letters < minCapitals {
		return ""
	}
	return line
}

// citationMarkers looks at the text behind each bracket, and no further than a
// marker may reach.
func citationMarkers(raw string) []string {
	found := []string{}
	for len(found) < maxHintList {
		at := strings.IndexAny(raw, "[(")
		if at < 0 {
			break
		}
		raw = raw[at:]
		marker := citationPattern.FindString(raw[:min(len(raw), maxCitationBytes)])
		if marker != "" {
			found = append(found, clip(marker))
		}
		raw = raw[max(1, len(marker)):]
	}
	return found
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
