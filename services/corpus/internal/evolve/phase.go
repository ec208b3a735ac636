package evolve

import (
	"math"
	"slices"
	"strings"
	"unicode"
)

// The phases of phase_shift; the place of each in the list is its number.
func phases() []string { return []string{"expansion", "peak", "compression", "rebirth"} }

// maxAcceleration is far beyond where intensity stops to grow.
const maxAcceleration = 1000

type phaseShift struct {
	Common

	Phase        string  `json:"phase"`
	Acceleration float64 `json:"acceleration"`
}

func (p *phaseShift) check() error {
	if !slices.Contains(phases(), p.Phase) {
		return invalidf("phase is '%s': want one of %v", shorten(p.Phase), phases())
	}
	if p.Acceleration <= 0 || p.Acceleration > maxAcceleration {
		return invalidf("acceleration is %g: want more than 0 and at most %d", p.Acceleration, maxAcceleration)
	}
	return nil
}

// intensity grows towards the peak and falls after it.
func (p *phaseShift) intensity() float64 {
	i := float64(slices.Index(phases(), p.Phase))
	if i < 2 {
		return math.Min(p.Acceleration*(1+.5*i), 5)
	}
	return math.Max(p.Acceleration*(1-.3*(i-2)), .2)
}

// Apply implements Event.
func (p *phaseShift) Apply(text string) (string, map[string]any) {
	intensity := p.intensity()
	switch p.Phase {
	case "expansion":
		text = afterEveryWord(text, every(intensity), "mythic")
	case "peak":
		if text = strings.ToUpper(text); intensity > 1.5 {
			text = afterEveryWord(text, every(intensity), "MYTHIC")
		}
	case "compression":
		text = p.withoutVowels(text, math.Min(.6*intensity, 1))
	case "rebirth":
		text = p.withoutVowels(text, math.Min(.4*intensity, 1)) + "\n\n⟁ SONG-BIRTH ⟁"
	}
	return text, map[string]any{"phase": p.Phase, "acceleration": p.Acceleration, "intensity": intensity}
}

func every(intensity float64) int { return max(1, int(math.Floor(7/intensity))) }

// afterEveryWord puts a word after the first word of a text and after every n-th
// from there. White space stays as it is.
func afterEveryWord(text string, n int, word string) string {
	var out strings.Builder
	out.Grow(len(text) + len(text)/8)
	count := 0
	for i := 0; i < len(text); {
		end := i + strings.IndexFunc(text[i:], unicode.IsSpace)
		if end < i {
			end = len(text)
		}
		out.WriteString(text[i:end])
		if end > i {
			if count%n == 0 {
				out.WriteString(" " + word)
			}
			count++
		}
		next := end + strings.IndexFunc(text[end:], func(r rune) bool { return !unicode.IsSpace(r) })
		if next < end {
			next = len(text)
		}
		out.WriteString(text[end:next])
		i = next
	}
	return out.String()
}

// withoutVowels takes vowels out by chance.
func (p *phaseShift) withoutVowels(text string, probability float64) string {
	chance := NewChance(p.Seed, PhaseShift+"/"+p.Phase)
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("aeiouAEIOU", r) && chance.Float() < probability {
			return -1
		}
		return r
	}, text)
}
