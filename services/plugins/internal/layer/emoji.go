package layer

import "unicode"

// emojiCounter counts emoji sequences (Unicode UTS #51) from left to right.
type emojiCounter struct {
	count int
	// previous is the last character added.
	previous rune
	// counted is true when previous is part of an emoji already counted.
	counted bool
	// halfFlag is true after the first regional indicator of a pair.
	halfFlag bool
}

func (e *emojiCounter) add(char rune) {
	e.counted = e.belongs(char)
	e.halfFlag = isRegionalIndicator(char) && !e.halfFlag
	e.previous = char
}

// belongs reports whether char is part of an emoji, counting it when it is the
// first that says so.
func (e *emojiCounter) belongs(char rune) bool {
	switch {
	case isRegionalIndicator(char):
		if e.halfFlag {
			e.count++
		}
		return e.halfFlag
	case char == emojiSelector:
		if !e.counted && unicode.IsSymbol(e.previous) {
			e.count++
			return true
		}
		return e.counted
	case char == keycapFrame && (e.previous == emojiSelector || isKeycapBase(e.previous)):
		e.count += one(!e.counted)
		return true
	case char == zeroWidthJoiner, isSkinTone(char) && e.counted, isTag(char):
		return e.counted
	case e.counted && e.previous == zeroWidthJoiner && unicode.IsSymbol(char):
		return true
	case isPictograph(char):
		e.count++
		return true
	}
	return false
}

func isRegionalIndicator(r rune) bool { return '\U0001F1E6' <= r && r <= '\U0001F1FF' }

func isKeycapBase(r rune) bool { return '0' <= r && r <= '9' || r == '#' || r == '*' }

func isSkinTone(r rune) bool { return '\U0001F3FB' <= r && r <= '\U0001F3FF' }

// isTag reports the tag characters that spell the flags of regions.
func isTag(r rune) bool { return '\U000E0020' <= r && r <= '\U000E007F' }

// isPictograph reports characters that are shown as emoji without a selector.
// Above U+1F300 whole blocks are taken; below it only the characters that
// Unicode gives Emoji_Presentation.
func isPictograph(r rune) bool {
	switch {
	case r < '\u231A':
		return false
	case r >= '\U0001F300':
		return r <= '\U0001F64F' || '\U0001F680' <= r && r <= '\U0001F6FF' ||
			'\U0001F7E0' <= r && r <= '\U0001F7F0' || '\U0001F90C' <= r && r <= '\U0001F9FF' ||
			'\U0001FA70' <= r && r <= '\U0001FAFF'
	case r >= '\U0001F000':
		return isEnclosedPictograph(r)
	}
	return isBasicPictograph(r)
}

func isEnclosedPictograph(r rune) bool {
	switch r {
	case '\U0001F004', '\U0001F0CF', '\U0001F18E', '\U0001F201', '\U0001F21A', '\U0001F22F', '\U0001F250', '\U0001F251':
		return true
	}
	return '\U0001F191' <= r && r <= '\U0001F19A' || '\U0001F232' <= r && r <= '\U0001F236' ||
		'\U0001F238' <= r && r <= '\U0001F23A'
}

func isBasicPictograph(r rune) bool {
	switch r {
	case '\u231A', '\u231B', '\u23F0', '\u23F3', '\u25FD', '\u25FE', '\u2614', '\u2615', '\u267F', '\u2693', '\u26A1',
		'\u26AA', '\u26AB', '\u26BD', '\u26BE', '\u26C4', '\u26C5', '\u26CE', '\u26D4', '\u26EA', '\u26F2', '\u26F3',
		'\u26F5', '\u26FA', '\u26FD', '\u2705', '\u270A', '\u270B', '\u2728', '\u274C', '\u274E', '\u2753', '\u2754',
		'\u2755', '\u2757', '\u2795', '\u2796', '\u2797', '\u27B0', '\u27BF', '\u2B1B', '\u2B1C', '\u2B50', '\u2B55':
		return true
	}
	return '\u23E9' <= r && r <= '\u23EC' || '\u2648' <= r && r <= '\u2653'
}
