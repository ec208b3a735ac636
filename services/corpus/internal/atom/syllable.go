package atom

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Syllables yields the syllables of every word of a text, in order.
func Syllables(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for word := range Words(text) {
			for syllable := range SyllablesOf(word) {
				if !yield(syllable) {
					return
				}
			}
		}
	}
}

// SyllablesOf yields the syllables of one word; joined again they are the word.
//
// A word is cut once between each two groups of vowels (`y` is one; letters with
// marks count as what they are without). The last consonant between the groups
// opens the next syllable: "win-ter", "rea-ding". A hyphen, an underscore or a
// digit between them is a cut of its own, made behind the last of these:
// "self-" "a" "wa" "re". A word with fewer than two groups is one syllable.
func SyllablesOf(word string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start := 0
		var between cluster
		for at := 0; at < len(word); {
			class, size := classify(word[at:])
			if class == vowel {
				if cut, found := between.cut(at); found {
					if !yield(word[start:cut]) {
						return
					}
					start = cut
				}
				between = cluster{afterVowel: true}
			} else {
				between.add(class, at, at+size)
			}
			at += size
		}
		if start < len(word) {
			yield(word[start:])
		}
	}
}

// cluster is what stands between two groups of vowels.
type cluster struct {
	afterVowel, hasLetters     bool
	lastConsonant, behindBreak int // byte offsets in the word, 0: none
}

func (c *cluster) add(class letterClass, start, end int) {
	c.hasLetters = true
	switch class {
	case consonant:
		c.lastConsonant = start
	case breaker:
		c.behindBreak = end
	case vowel, other:
	}
}

// cut returns where to part the word, given where the next vowel stands.
func (c *cluster) cut(nextVowel int) (int, bool) {
	switch {
	case !c.afterVowel || !c.hasLetters:
		return 0, false
	case c.behindBreak > 0:
		return c.behindBreak, true
	case c.lastConsonant > 0:
		return c.lastConsonant, true
	default:
		return nextVowel, true
	}
}

type letterClass int

const (
	vowel letterClass = iota
	consonant
	breaker // hyphen, underscore, digit
	other   // anything else, such as an apostrophe
)

// classify returns the class of the first character of s, and its length in
// bytes together with the combining marks on it.
func classify(s string) (letterClass, int) {
	r, size := utf8.DecodeRuneInString(s)
	for size < len(s) && s[size] >= utf8.RuneSelf {
		mark, n := utf8.DecodeRuneInString(s[size:])
		if !unicode.IsMark(mark) {
			break
		}
		size += n
	}
	return classOf(r), size
}

func classOf(r rune) letterClass {
	if r >= utf8.RuneSelf {
		r = baseLetter(r)
	}
	switch {
	case strings.ContainsRune("aeiouyAEIOUYæœøÆŒØıƏə", r):
		return vowel
	case unicode.IsLetter(r):
		return consonant
	case r == '-' || r == '_' || unicode.IsDigit(r):
		return breaker
	default:
		return other
	}
}

// baseLetter takes the marks off a letter: é becomes e.
func baseLetter(r rune) rune {
	var buf [utf8.UTFMax]byte
	n := utf8.EncodeRune(buf[:], r)
	decomposition := norm.NFD.Properties(buf[:n]).Decomposition()
	if len(decomposition) == 0 {
		return r
	}
	base, _ := utf8.DecodeRune(decomposition)
	return base
}
