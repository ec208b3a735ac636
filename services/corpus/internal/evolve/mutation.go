package evolve

import (
	"strings"
	"unicode"
)

const defaultMutationRate = 0.08

// glyphs is what a mutated word becomes one of.
func glyphs() []string {
	return []string{"∆", "Æ", "Ω", "§", "☲", "⟁", "Ψ", "Φ", "Θ", "Ξ"}
}

// mutation turns words into glyphs by chance. A word with digits or underscores
// in it is left alone.
type mutation struct {
	Common

	Rate float64 `json:"mutation_rate"`
}

func (m *mutation) check() error {
	if m.Rate < 0 || m.Rate > 1 {
		return invalidf("mutation_rate is %g: want 0 to 1", m.Rate)
	}
	return nil
}

// Apply implements Event.
func (m *mutation) Apply(text string) (string, map[string]any) {
	chance, choices, n := NewChance(m.Seed, SyntheticMutation), glyphs(), 0
	var out strings.Builder
	out.Grow(len(text))
	for text != "" {
		word, rest := cutWord(text)
		text = rest
		if isLetters(word) && chance.Float() < m.Rate {
			out.WriteString(choices[chance.Below(len(choices))])
			n++
			continue
		}
		out.WriteString(word)
	}
	return out.String(), map[string]any{"mutations": n}
}

// cutWord cuts a run of letters, digits and underscores, or a run of anything
// else, off the beginning of a text that is not empty.
func cutWord(text string) (run, rest string) {
	var inside bool
	for i, r := range text {
		is := unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_'
		if i == 0 {
			inside = is
		}
		if is != inside {
			return text[:i], text[i:]
		}
	}
	return text, ""
}

func isLetters(s string) bool {
	for _, r := range s {
		if !unicode.IsLetter(r) {
			return false
		}
	}
	return true
}
