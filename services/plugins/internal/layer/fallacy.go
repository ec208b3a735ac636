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
	if n, first := countEitherOr(t.words); n > 0 {
		dilemmas.add("either … or", n, first)
	}
	candidates := []struct {
		name  string
		found tallies
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
// is over, and says where the first is answered.
func countEitherOr(words []word) (found, first int) {
	since := maxEitherOr
	for i, w := range words {
		since++
		switch {
		case w.folded == "either":
			since = 0
		case w.afterStop:
			since = maxEitherOr
		case w.folded == "or" && since <= maxEitherOr:
			if found == 0 {
				first = i
			}
			found++
			since = maxEitherOr
		}
	}
	return found, first
}

// countInsults counts insults in sentences that also speak of a person.
func (f fallacies) countInsults(t *Text) tallies {
	counts := tallies{}
	for _, s := range t.sentences {
		words := t.words[s.from:s.to]
		if !slices.ContainsFunc(words, func(w word) bool { return f.opponent.holds(w.folded) }) {
			continue
		}
		for term, seen := range f.insults.count(words) {
			counts.add(term, seen.count, s.from+seen.first)
		}
	}
	return counts
}
