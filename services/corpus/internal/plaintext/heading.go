package plaintext

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

type headingKind int

const (
	// markdown headings are marked as such, by `#` or by an underline.
	markdown headingKind = iota
	// capitals are lines that stand alone and hold no small letter.
	capitals
)

type heading struct {
	kind  headingKind
	words string
}

// maxCapitalsRunes is the longest line, in characters, that is taken for a
// heading because it is written in capitals.
const maxCapitalsRunes = 80

// headings yields the lines of a text that look like headings, in order. Lines
// inside fenced code blocks are passed over.
func headings(text string) iter.Seq[heading] {
	return func(yield func(heading) bool) {
		var fence, previous string
		lines := newLookahead(text)
		for line, ok := lines.next(); ok; line, ok = lines.next() {
			if mark := fenceMark(line); mark != "" && (fence == "" || mark == fence) {
				if fence == "" {
					fence = mark
				} else {
					fence = ""
				}
				previous = ""
				continue
			}
			if fence != "" {
				continue
			}
			if h, found := headingAt(previous, line, lines.peek()); found && !yield(h) {
				return
			}
			previous = line
		}
	}
}

func headingAt(previous, line, following string) (heading, bool) {
	if words := atxHeading(line); words != "" {
		return heading{markdown, words}, true
	}
	words := strings.TrimSpace(line)
	alone := strings.TrimSpace(previous) == ""
	switch {
	case words == "" || !alone:
		return heading{}, false
	case isUnderline(following) && hasLetter(words):
		return heading{markdown, words}, true
	case strings.TrimSpace(following) == "" && isCapitals(words):
		return heading{capitals, words}, true
	default:
		return heading{}, false
	}
}

// atxHeading reads one to six `#`, a space, the words and perhaps closing `#`s
// (https://spec.commonmark.org/0.31.2/#atx-headings).
func atxHeading(line string) string {
	rest := strings.TrimLeft(line, "#")
	level := len(line) - len(rest)
	if level < 1 || level > 6 || rest == "" || (rest[0] != ' ' && rest[0] != '\t') {
		return ""
	}
	words := strings.TrimSpace(rest)
	closed := strings.TrimRight(words, "#")
	if closed == "" || strings.HasSuffix(closed, " ") {
		words = strings.TrimSpace(closed)
	}
	return words
}

// isUnderline tells whether a line consists of `=` or of `-` only
// (https://spec.commonmark.org/0.31.2/#setext-headings).
func isUnderline(line string) bool {
	line = strings.TrimRight(line, " \t")
	return line != "" && (strings.Trim(line, "=") == "" || strings.Trim(line, "-") == "")
}

func fenceMark(line string) string {
	line = strings.TrimLeft(line, " ")
	for _, mark := range [...]string{"```", "~~~"} {
		if strings.HasPrefix(line, mark) {
			return mark
		}
	}
	return ""
}

func hasLetter(s string) bool {
	return strings.ContainsFunc(s, unicode.IsLetter)
}

func isCapitals(s string) bool {
	return utf8.RuneCountInString(s) <= maxCapitalsRunes &&
		strings.ContainsFunc(s, unicode.IsUpper) && !strings.ContainsFunc(s, unicode.IsLower)
}

// lookahead reads the lines of a text and shows the one that comes after.
type lookahead struct {
	rest string
}

func newLookahead(text string) *lookahead {
	return &lookahead{rest: text}
}

func (l *lookahead) next() (line string, ok bool) {
	if l.rest == "" {
		return "", false
	}
	line, l.rest, _ = strings.Cut(l.rest, "\n")
	return line, true
}

func (l *lookahead) peek() string {
	line, _, _ := strings.Cut(l.rest, "\n")
	return line
}
