package layer

import (
	"encoding/json"
	"fmt"
)

// Analyzer computes baseline layers. It only holds word lists, so one Analyzer
// serves any number of goroutines.
type Analyzer struct {
	functionWords lexicon
	hedges        lexicon
	connectives   lexicon
	formal        lexicon
	informal      lexicon
	appeals       appeals
	fallacies     fallacies
}

// NewAnalyzer builds the word lists.
func NewAnalyzer() *Analyzer {
	return &Analyzer{
		functionWords: newLexicon(functionWords()),
		hedges:        newLexicon(hedges()),
		connectives:   newLexicon(connectives()),
		formal:        newLexicon(formalWords()),
		informal:      newLexicon(informalWords()),
		appeals:       newAppeals(),
		fallacies:     newFallacies(),
	}
}

// JSON computes one layer and returns it as a JSON object. The error is an
// [*UnknownError] for a layer that does not exist.
func (a *Analyzer) JSON(n Name, t *Text) (json.RawMessage, error) {
	output, err := a.compute(n, t)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(output)
	if err != nil {
		return nil, fmt.Errorf("encode layer %s: %w", n, err)
	}
	return body, nil
}

func (a *Analyzer) compute(n Name, t *Text) (any, error) {
	switch n {
	case Token:
		return a.Token(t), nil
	case Morphology:
		return a.Morphology(t), nil
	case Syntax:
		return a.Syntax(t), nil
	case Semantics:
		return a.Semantics(t), nil
	case Pragmatics:
		return a.Pragmatics(t), nil
	case Discourse:
		return a.Discourse(t), nil
	case Sociolinguistics:
		return a.Sociolinguistics(t), nil
	case Rhetoric:
		return a.Rhetoric(t), nil
	case Semiotic:
		return a.Semiotic(t), nil
	}
	return nil, &UnknownError{Requested: clip(string(n))}
}
