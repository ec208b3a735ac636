package layer

import "unicode"

func isSpace(r rune) bool { return unicode.IsSpace(r) }

func isLineEnd(r rune) bool {
	switch r {
	case '\n', '\r', '\v', '\f', '\u0085', '\u2028', '\u2029':
		return true
	}
	return false
}

// isStop reports the marks that end a sentence when space follows.
func isStop(r rune) bool {
	return r == '.' || isQuestionMark(r) || isExclamationMark(r)
}

// isQuestionMark knows the Latin, full-width and Arabic marks.
func isQuestionMark(r rune) bool { return r == '?' || r == '？' || r == '؟' }

// isExclamationMark knows the Latin and full-width marks.
func isExclamationMark(r rune) bool { return r == '!' || r == '！' }

// isWordCharacter reports letters, digits, the underscore and the combining
// marks that belong to a letter. Variation selectors and the keycap frame are
// combining marks too, but they dress up symbols.
func isWordCharacter(r rune) bool {
	if r < 0x80 {
		return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if isVariationSelector(r) || r == keycapFrame {
		return false
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// isConnector reports characters that join two word characters into one word:
// apostrophes, hyphens, the soft hyphen and the zero-width joiners.
func isConnector(r rune) bool {
	return isApostrophe(r) || isHyphen(r) || r == softHyphen || r == zeroWidthJoiner || r == zeroWidthNonJoiner
}

func isApostrophe(r rune) bool { return r == '\'' || r == '’' }

func isHyphen(r rune) bool { return r == '-' || r == '\u2010' || r == '\u2011' }

const (
	softHyphen         = '\u00AD'
	zeroWidthNonJoiner = '\u200C'
	zeroWidthJoiner    = '\u200D'
	keycapFrame        = '\u20E3'
	emojiSelector      = '\uFE0F'
)

func isVariationSelector(r rune) bool { return '\uFE00' <= r && r <= '\uFE0F' }
