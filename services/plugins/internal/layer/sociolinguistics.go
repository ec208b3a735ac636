package layer

import (
	"strings"
	"unicode/utf8"
)

// The register is formal from the first bound up and informal from the second
// down.
const (
	formalFrom   = 0.6
	informalUpTo = 0.4
)

// wordsPerNeutralMarker is how long a text may be for each neutral marker that
// the formality score takes for granted on either side.
const wordsPerNeutralMarker = 50

// SociolinguisticsOutput is the sociolinguistics layer.
type SociolinguisticsOutput struct {
	// ContractionCount counts shortened forms such as "don't", "we'll" and
	// "it's"; a possessive ("Ada's") is none.
	ContractionCount int `json:"contraction_count"`
	// FormalityScore weighs formal against informal markers, between 0 and 1:
	//
	//	(formal + k) / (formal + informal + 2k),  k = 1 + words/50
	//
	// It is 0.5 without evidence, and a single marker moves a long text less
	// than a short one. Formal are marker words and nominalisations (-tion,
	// -sion, -ment, -ness, -ity: D. Biber, "Variation across Speech and Writing",
	// 1988); informal are marker words, contractions and exclamations.
	FormalityScore float64 `json:"formality_score"`
	// RegisterHint is formal (score from 0.6), informal (up to 0.4) or neutral.
	RegisterHint string `json:"register_hint"`
}

// Sociolinguistics estimates the register of a text.
func (a *Analyzer) Sociolinguistics(t *Text) SociolinguisticsOutput {
	contractions, nominalisations := 0, 0
	for folded, seen := range t.vocabulary {
		count := seen.count
		if isContraction(folded) {
			contractions += count
		}
		if isNominalisation(folded) {
			nominalisations += count
		}
	}
	_, exclamations := countClosings(t.raw)
	score := formality(
		total(a.formal.count(t.words))+nominalisations,
		total(a.informal.count(t.words))+contractions+exclamations,
		len(t.words),
	)
	return SociolinguisticsOutput{
		ContractionCount: contractions,
		FormalityScore:   score,
		RegisterHint:     register(score),
	}
}

func formality(formal, informal, words int) float64 {
	neutral := wordsPerNeutralMarker + words
	part := wordsPerNeutralMarker*formal + neutral
	whole := wordsPerNeutralMarker*(formal+informal) + 2*neutral
	return ratio(part, whole)
}

func register(score float64) string {
	switch {
	case score >= formalFrom:
		return "formal"
	case score <= informalUpTo:
		return "informal"
	}
	return "neutral"
}

func isContraction(folded string) bool {
	for _, ending := range []string{"n't", "'re", "'ve", "'ll", "'m", "'d"} {
		if stem, found := strings.CutSuffix(folded, ending); found {
			return stem != ""
		}
	}
	stem, found := strings.CutSuffix(folded, "'s")
	return found && takesShortIs(stem)
}

// takesShortIs reports words after which 's stands for "is", "has" or "us".
func takesShortIs(stem string) bool {
	switch stem {
	case "it", "he", "she", "that", "this", "there", "here", "what", "who", "where", "when", "why", "how", "let":
		return true
	}
	return false
}

// minNominalisation, in code points, spares words such as "city" and "comment".
const minNominalisation = 8

func isNominalisation(folded string) bool {
	if utf8.RuneCountInString(folded) < minNominalisation {
		return false
	}
	for _, ending := range []string{"tion", "sion", "ment", "ness", "ity"} {
		if strings.HasSuffix(folded, ending) {
			return true
		}
	}
	return false
}
