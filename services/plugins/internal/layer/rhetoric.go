package layer

const topMarkers = 10

// wordsPerMarker is the density at which an appeal scores one half: a marker in
// every 25 words.
const wordsPerMarker = 25

// RhetoricOutput is the rhetoric layer.
type RhetoricOutput struct {
	// The scores rate the appeals to character (ethos), feeling (pathos) and
	// reason (logos) by how thick their marker words stand, from 0 up to, but
	// short of, 1 before rounding:
	//
	//	markers / (markers + words/25)
	EthosScore  float64 `json:"ethos_score"`
	PathosScore float64 `json:"pathos_score"`
	LogosScore  float64 `json:"logos_score"`
	// Strategies are those found, in this order: appeal_to_authority,
	// appeal_to_emotion, appeal_to_reason, direct_address, questioning, anaphora.
	Strategies []string `json:"strategies"`
	// Fallacies are those the text may commit, in this order: bandwagon,
	// false_dilemma, ad_hominem.
	Fallacies      []string       `json:"fallacies"`
	Explainability Explainability `json:"explainability"`
}

// Explainability shows what the rhetoric output rests on.
type Explainability struct {
	// Method says in one sentence how the scores are made.
	Method string `json:"method"`
	// WordCount is the length that the markers are set against.
	WordCount int `json:"word_count"`
	// Each list holds the 10 most frequent markers of its appeal.
	EthosMarkers  []Count `json:"ethos_markers"`
	PathosMarkers []Count `json:"pathos_markers"`
	LogosMarkers  []Count `json:"logos_markers"`
	// FallacyEvidence lists, by fallacy, the patterns found and how often.
	FallacyEvidence map[string][]Count `json:"fallacy_evidence"`
}

type appeals struct {
	ethos, pathos, logos lexicon
}

func newAppeals() appeals {
	return appeals{
		ethos:  newLexicon(ethosMarkers()),
		pathos: newLexicon(pathosMarkers()),
		logos:  newLexicon(logosMarkers()),
	}
}

// Rhetoric looks for the means of persuasion in a text.
func (a *Analyzer) Rhetoric(t *Text) RhetoricOutput {
	ethos := a.appeals.ethos.count(t.words)
	pathos := a.appeals.pathos.count(t.words)
	logos := a.appeals.logos.count(t.words)
	names, evidence := a.fallacies.find(t)
	return RhetoricOutput{
		EthosScore:  appealScore(total(ethos), len(t.words)),
		PathosScore: appealScore(total(pathos), len(t.words)),
		LogosScore:  appealScore(total(logos), len(t.words)),
		Strategies:  strategies(t, len(ethos) > 0, len(pathos) > 0, len(logos) > 0),
		Fallacies:   names,
		Explainability: Explainability{
			Method:          "Marker words counted against the length of the text; patterns suggest fallacies, they do not prove them.",
			WordCount:       len(t.words),
			EthosMarkers:    top(ethos, topMarkers),
			PathosMarkers:   top(pathos, topMarkers),
			LogosMarkers:    top(logos, topMarkers),
			FallacyEvidence: evidence,
		},
	}
}

func appealScore(markers, words int) float64 {
	return ratio(wordsPerMarker*markers, wordsPerMarker*markers+words)
}

func strategies(t *Text, ethos, pathos, logos bool) []string {
	candidates := []struct {
		name  string
		found bool
	}{
		{"appeal_to_authority", ethos},
		{"appeal_to_emotion", pathos},
		{"appeal_to_reason", logos},
		{"direct_address", addressesReader(t.words)},
		{"questioning", asksAnything(t.sentences)},
		{"anaphora", hasAnaphora(t)},
	}
	found := []string{}
	for _, c := range candidates {
		if c.found {
			found = append(found, c.name)
		}
	}
	return found
}

func addressesReader(words []word) bool {
	for _, w := range words {
		if isSecondPerson(w.folded) || w.folded == "your" || w.folded == "yours" {
			return true
		}
	}
	return false
}

func asksAnything(sentences []sentence) bool {
	for _, s := range sentences {
		if s.asks {
			return true
		}
	}
	return false
}

// hasAnaphora reports two neighbouring sentences that open with the same two
// words and go on from there.
func hasAnaphora(t *Text) bool {
	for i := 1; i < len(t.sentences); i++ {
		before, after := t.words[t.sentences[i-1].from:t.sentences[i-1].to], t.words[t.sentences[i].from:t.sentences[i].to]
		if len(before) > 2 && len(after) > 2 && before[0].folded == after[0].folded && before[1].folded == after[1].folded {
			return true
		}
	}
	return false
}
