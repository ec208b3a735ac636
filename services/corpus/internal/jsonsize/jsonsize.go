package jsonsize

import (
	"strings"
	"unicode/utf8"
)

// Of returns how many bytes s takes inside the quotes of a JSON string, as
// encoding/json writes it with HTML escaping on.
func Of(s string) int {
	total := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		total += encoded(r, size)
		i += size
	}
	return total
}

// Cut returns the longest beginning of s that is at most limit bytes long, takes
// at most encodedLimit bytes in JSON and ends with a whole character.
func Cut(s string, limit, encodedLimit int) string {
	taken := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		taken += encoded(r, size)
		if i+size > limit || taken > encodedLimit {
			return s[:i]
		}
		i += size
	}
	return s
}

// encoded returns the length of one character in JSON.
func encoded(r rune, size int) int {
	switch {
	case r == utf8.RuneError && size == 1:
		return len(`\ufffd`)
	case r == '"', r == '\\', strings.ContainsRune("\b\f\n\r\t", r):
		return 2
	case r < ' ', r == '<', r == '>', r == '&', r == '\u2028', r == '\u2029':
		return len(`\u003c`)
	default:
		return size
	}
}
