package layer

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// lines yields the lines of a text without their ends; CR LF is one end. A text
// that ends with a line end yields a last empty line.
func lines(raw string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start := 0
		for i, char := range raw {
			if !isLineEnd(char) || char == '\r' && strings.HasPrefix(raw[i+1:], "\n") {
				continue
			}
			line := raw[start:i]
			if char == '\n' {
				line = strings.TrimSuffix(line, "\r")
			}
			if !yield(line) {
				return
			}
			start = i + utf8.RuneLen(char)
		}
		yield(raw[start:])
	}
}
