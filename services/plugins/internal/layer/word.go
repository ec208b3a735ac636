package layer

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// scanWord returns the end of the run of word characters that starts at
// text[start], or start when there is none, and whether the run is a proper
// word: one that holds a letter or a digit. An apostrophe or hyphen belongs to
// the run only between two word characters, so quotes and dashes ("--") do not.
func scanWord(text string, start int) (end int, proper bool) {
	end = start
	for end < len(text) {
		char, size := utf8.DecodeRuneInString(text[end:])
		switch {
		case isWordCharacter(char):
			proper = proper || unicode.IsLetter(char) || unicode.IsDigit(char)
		case end > start && isConnector(char):
			if next, _ := utf8.DecodeRuneInString(text[end+size:]); !isWordCharacter(next) {
				return end, proper
			}
		default:
			return end, proper
		}
		end += size
	}
	return end, proper
}

// normalise gives a written word in the form that is quoted and in the form
// that is compared: typographic apostrophes and hyphens become plain, soft
// hyphens vanish, and letters are composed (Unicode NFC).
func normalise(written string) (form, folded string) {
	form = written
	if !isASCII(form) {
		form = norm.NFC.String(strings.Map(plain, form))
	}
	return form, strings.ToLower(form)
}

func plain(r rune) rune {
	switch {
	case isApostrophe(r):
		return '\''
	case isHyphen(r):
		return '-'
	case r == softHyphen:
		return -1
	}
	return r
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
