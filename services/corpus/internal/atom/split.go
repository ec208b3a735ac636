package atom

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Glyphs yields every character of a text that is not white space.
func Glyphs(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := 0; i < len(text); {
			r, size := utf8.DecodeRuneInString(text[i:])
			if !unicode.IsSpace(r) && !yield(text[i:i+size]) {
				return
			}
			i += size
		}
	}
}

// Words yields the longest runs of letters, digits, `_`, `'` and `-`. A
// combining mark belongs to the letter before it.
func Words(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start := -1
		for i, r := range text {
			switch inWord := isWordRune(r) || (start >= 0 && unicode.IsMark(r)); {
			case inWord && start < 0:
				start = i
			case !inWord && start >= 0:
				if !yield(text[start:i]) {
					return
				}
				start = -1
			}
		}
		if start >= 0 {
			yield(text[start:])
		}
	}
}

func isWordRune(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			r == '_' || r == '\'' || r == '-'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// Sentences yields the stretches of text between sentence ends, without the
// white space around them. A sentence ends with its line, or at a `.`, `!` or
// `?` that white space follows.
func Sentences(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			for line != "" {
				end := sentenceEnd(line)
				sentence := strings.TrimSpace(line[:end])
				if sentence != "" && !yield(sentence) {
					return
				}
				line = line[end:]
			}
		}
	}
}

// sentenceEnd returns the length of the first sentence of a line.
func sentenceEnd(line string) int {
	closing := false
	for i, r := range line {
		if closing && unicode.IsSpace(r) {
			return i
		}
		closing = r == '.' || r == '!' || r == '?'
	}
	return len(line)
}

// Paragraphs yields the stretches of text between blank lines, without the
// white space around them.
func Paragraphs(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, at := 0, 0
		for line := range strings.Lines(text) {
			next := at + len(line)
			if strings.TrimSpace(line) == "" {
				if p := strings.TrimSpace(text[start:at]); p != "" && !yield(p) {
					return
				}
				start = next
			}
			at = next
		}
		if p := strings.TrimSpace(text[start:]); p != "" {
			yield(p)
		}
	}
}
