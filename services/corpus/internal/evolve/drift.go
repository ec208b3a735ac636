package evolve

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// change is one sound that becomes another.
type change struct{ from, to string }

// soundChanges are the changes of natural_drift, in the order they happen.
func soundChanges() []change {
	return []change{
		{"th", "þ"},
		{"ae", "æ"},
		{"ph", "f"},
		{"ck", "k"},
		{"tion", "cion"},
		{"ct", "tt"},
		{"pl", "pi"},
		{"fl", "fi"},
		{"cl", "chi"},
		{"x", "ss"},
		{"li", "gli"},
		{"ni", "gn"},
		{"sc", "sh"},
		{"cw", "qu"},
		{"hw", "wh"},
		{"oo", "ou"},
		{"ee", "ea"},
		{"igh", "eye"},
		{"ght", "t"},
		{"ough", "ow"},
		{"wh", "w"},
		{"kn", "n"},
		{"wr", "r"},
		{"mb", "m"},
		{"gn", "n"},
	}
}

// wayBack are the changes of reverse_drift: the longest first, so that none takes
// a part of another's, and otherwise as they are listed.
func wayBack() []change {
	changes := []change{
		{"þ", "th"},
		{"æ", "ae"},
		{"f", "ph"},
		{"k", "ck"},
		{"cion", "tion"},
		{"tt", "ct"},
		{"pi", "pl"},
		{"fi", "fl"},
		{"chi", "cl"},
		{"ss", "x"},
		{"sh", "sc"},
		{"qu", "cw"},
	}
	slices.SortStableFunc(changes, func(a, b change) int { return len([]rune(b.from)) - len([]rune(a.from)) })
	return changes
}

// drift applies sound changes one after another, in any case. What a sound becomes
// is written in small letters.
type drift struct {
	Common

	changes []change
	// counted is the name under which the summary counts them.
	counted string
}

// Apply implements Event.
func (d *drift) Apply(text string) (string, map[string]any) {
	total := 0
	for _, c := range d.changes {
		n := 0
		text, n = replaceFold(text, []rune(c.from), c.to)
		total += n
	}
	return text, map[string]any{d.counted: total}
}

// replaceFold replaces what equals from, in any case, and counts how often. from is
// in small letters.
func replaceFold(text string, from []rune, to string) (string, int) {
	var out strings.Builder
	n, kept := 0, 0
	for i := 0; i < len(text); {
		width := foldedPrefix(text[i:], from)
		if width == 0 {
			_, size := utf8.DecodeRuneInString(text[i:])
			i += size
			continue
		}
		out.WriteString(text[kept:i])
		out.WriteString(to)
		i += width
		kept = i
		n++
	}
	if n == 0 {
		return text, 0
	}
	out.WriteString(text[kept:])
	return out.String(), n
}

// foldedPrefix is how many bytes of a text equal the runes, in any case; 0 when it
// does not begin with them.
func foldedPrefix(text string, runes []rune) int {
	width := 0
	for _, want := range runes {
		r, size := utf8.DecodeRuneInString(text[width:])
		if size == 0 || r != want && unicode.ToLower(r) != want {
			return 0
		}
		width += size
	}
	return width
}

// fusion makes one glyph of two that stand side by side.
type fusion struct {
	Common

	Left  string `json:"left"`
	Right string `json:"right"`
	Fused string `json:"fused"`
}

// maxGlyph is the longest glyph, in bytes.
const maxGlyph = 64

func (f *fusion) check() error {
	for _, g := range []struct{ name, value string }{{"left", f.Left}, {"right", f.Right}, {"fused", f.Fused}} {
		if g.value == "" {
			return invalidf("%s is empty", g.name)
		}
		if len(g.value) > maxGlyph {
			return invalidf("%s has more than %d bytes", g.name, maxGlyph)
		}
	}
	return nil
}

// Apply implements Event.
func (f *fusion) Apply(text string) (string, map[string]any) {
	pair := f.Left + f.Right
	n := strings.Count(text, pair)
	return strings.ReplaceAll(text, pair, f.Fused), map[string]any{"fusions": n, "pair": pair, "fused": f.Fused}
}

// remixed puts a text that was mixed elsewhere in the place of the old one.
type remixed struct {
	Common

	Strategy string  `json:"strategy"`
	Text     *string `json:"remixed_text"`
}

func (r *remixed) check() error {
	if r.Text == nil {
		return invalidf("remixed_text is missing")
	}
	if len(r.Strategy) > maxGlyph {
		return invalidf("strategy has more than %d bytes", maxGlyph)
	}
	return nil
}

// Apply implements Event.
func (r *remixed) Apply(string) (string, map[string]any) {
	return *r.Text, map[string]any{"strategy": r.Strategy}
}
