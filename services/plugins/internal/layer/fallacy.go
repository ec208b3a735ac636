package layer

import "slices"

const (
	bandwagon    = "bandwagon"
	falseDilemma = "false_dilemma"
	adHominem    = "ad_hominem"
)

// maxEitherOr is how many words may stand from "either" to its "or".
const maxEitherOr = 12

// fallacies holds the patterns of the fallacies that the rhetoric layer knows.
type fallacies struct {
	crowd    lexicon
	dilemma  lexicon
	insults  lexicon
	opponent lexicon
}

func newFallacies() fallacies {
	return fallacies{
		crowd:    newLexicon(crowdPhrases()),
		dilemma:  newLexicon(dilemmaPhrases()),
		insults:  newLexicon(insults()),
		opponent: newLexicon(opponents()),
	}
}

// find returns the names of the fallacies suggested, in fixed order, and the
// evidence for each.
func (f fallacies) find(t *Text) ([]string, map[string][]Count) {
	dilemmas := f.dilemma.count(t.words)
	if n := countEitherOr(t.words); n > 0 {
		dilemmas["either … or"] = n
	}
	candidates := []struct {
		name  string
		found map[string]int
	}{
		{bandwagon, f.crowd.count(t.words)},
		{falseDilemma, dilemmas},
		{adHominem, f.countInsults(t)},
	}
	names, evidence := []string{}, map[string][]Count{}
	for _, c := range candidates {
		if len(c.found) > 0 {
			names = append(names, c.name)
			evidence[c.name] = top(c.found, topMarkers)
		}
	}
	return names, evidence
}

// countEitherOr counts each "either" that an "or" answers before the sentence
// is over.
func countEitherOr(words []word) int {
	found, since := 0, maxEitherOr
	for _, w := range words {
		since++
		switch {
		case w.folded == "either":
			since = 0
		case w.afterStop:
			since = maxEitherOr
		case w.folded == "or" && since <= maxEitherOr:
			found++
			since = maxEitherOr
		}
	}
	return found
}

// countInsults counts insults in sentences that also speak of a person.
func (f fallacies) countInsults(t *Text) map[string]int {
	counts := map[string]int{}
	for _, s := range t.sentences {
		words := t.words[s.from:s.to]
		if !slices.ContainsFunc(words, func(w word) bool { return f.opponent.holds(w.folded) }) {
			continue
		}
		for term, n := range f.insults.count(words) {
			counts[term] += n
		}
	}
	return counts
}
