package layer

import "unicode"

// SemioticOutput is the semiotic layer.
type SemioticOutput struct {
	// EmojiCount counts emoji as a reader sees them: a flag, a family joined
	// with zero-width joiners or a skin tone is part of one (Unicode UTS #51).
	EmojiCount int `json:"emoji_count"`
	// GlyphCount counts the characters that are not space.
	GlyphCount int `json:"glyph_count"`
	// SymbolDensity is the share of glyphs that Unicode calls symbols (category
	// S: mathematics, currency, arrows, emoji and the like) or punctuation
	// (category P); 0 without glyphs.
	SymbolDensity float64 `json:"symbol_density"`
}

// Semiotic counts the signs of a text.
func (a *Analyzer) Semiotic(t *Text) SemioticOutput {
	glyphs, symbols := 0, 0
	var emoji emojiCounter
	for _, char := range t.raw {
		emoji.add(char)
		if isSpace(char) {
			continue
		}
		glyphs++
		if unicode.IsSymbol(char) || unicode.IsPunct(char) {
			symbols++
		}
	}
	return SemioticOutput{EmojiCount: emoji.count, GlyphCount: glyphs, SymbolDensity: ratio(symbols, glyphs)}
}
