// Package remix mixes two texts into a third. Chance comes from a seed: the same
// texts, strategy and seed give the same mix.
package remix

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"nexus.internal/services/corpus/internal/evolve"
)

// The strategies.
const (
	Interleave    = "interleave"
	ThematicBlend = "thematic_blend"
	TemporalLayer = "temporal_layer"
	GlyphCollide  = "glyph_collide"
)

// Strategies lists the strategies.
func Strategies() []string { return []string{Interleave, ThematicBlend, TemporalLayer, GlyphCollide} }

// maxCollided is how many characters of a glyph_collide there are at most.
const maxCollided = 2000

// overlay begins a paragraph of the target in a temporal_layer.
const overlay = "[temporal overlay] "

// overlaid is how likely a paragraph of the target is taken.
const overlaid = 0.7

// Texts mixes a source with a target. ok is false for a strategy that is not one
// of Strategies.
func Texts(source, target, strategy string, seed int64) (mixed string, ok bool) {
	if !slices.Contains(Strategies(), strategy) {
		return "", false
	}
	chance := evolve.NewChance(seed, "remix/"+strategy)
	switch strategy {
	case Interleave:
		return evolve.InterleaveWords(strings.Fields(source), strings.Fields(target)), true
	case ThematicBlend:
		return blend(source, target, chance), true
	case TemporalLayer:
		return layer(source, target, chance), true
	default:
		return collide(source, target, chance), true
	}
}

// blend shuffles the sentences of both texts and keeps as many as the longer has.
func blend(source, target string, chance *evolve.Chance) string {
	a, b := sentences(source), sentences(target)
	all := append(slices.Clone(a), b...)
	chance.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return strings.Join(all[:max(len(a), len(b))], " ")
}

// layer keeps the paragraphs of the source and puts most of the target's behind
// them, marked, each after the paragraph with its number.
func layer(source, target string, chance *evolve.Chance) string {
	a, b := paragraphs(source), paragraphs(target)
	var out []string
	for i := range max(len(a), len(b)) {
		if i < len(a) {
			out = append(out, a[i])
		}
		if i < len(b) && chance.Float() < overlaid {
			out = append(out, overlay+b[i])
		}
	}
	return strings.Join(out, "\n\n")
}

// collide lays the characters of both texts, without white space, over each other:
// equal ones stay, of two different ones chance takes either.
func collide(source, target string, chance *evolve.Chance) string {
	a, b := glyphs(source), glyphs(target)
	n := min(max(len(a), len(b)), maxCollided)
	out := make([]rune, 0, n)
	for i := range n {
		switch {
		case i >= len(a):
			out = append(out, b[i])
		case i >= len(b) || a[i] == b[i]:
			out = append(out, a[i])
		case chance.Below(2) == 0:
			out = append(out, a[i])
		default:
			out = append(out, b[i])
		}
	}
	return string(out)
}

func glyphs(text string) []rune {
	var out []rune
	for _, r := range text {
		if len(out) == maxCollided {
			break
		}
		if !unicode.IsSpace(r) {
			out = append(out, r)
		}
	}
	return out
}

func sentences(text string) []string {
	var out []string
	start := 0
	for i, r := range text {
		ends := r == '\n'
		if strings.ContainsRune(".!?", r) {
			next := text[i+1:]
			ends = next == "" || unicode.IsSpace(rune(next[0]))
		}
		if ends {
			out = appendTrimmed(out, text[start:i+1])
			start = i + 1
		}
	}
	return appendTrimmed(out, text[start:])
}

func paragraphs(text string) []string {
	var out []string
	for _, p := range blankLines().Split(text, -1) {
		out = appendTrimmed(out, p)
	}
	return out
}

func blankLines() *regexp.Regexp { return regexp.MustCompile(`\n[ \t\r]*\n`) }

func appendTrimmed(list []string, s string) []string {
	if s = strings.TrimSpace(s); s != "" {
		list = append(list, s)
	}
	return list
}
