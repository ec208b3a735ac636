package layer

// SyntaxOutput is the syntax layer.
type SyntaxOutput struct {
	// SentenceCount counts stretches that hold a word and end after . ! or ?
	// and space, or at a line end.
	SentenceCount int `json:"sentence_count"`
	// AvgSentenceLength is in words; 0 without sentences.
	AvgSentenceLength float64       `json:"avg_sentence_length"`
	ClauseMarkers     ClauseMarkers `json:"clause_markers"`
}

// ClauseMarkers counts the marks that part clauses, wherever they stand, in
// their Latin, full-width, ideographic and Arabic forms.
type ClauseMarkers struct {
	Commas     int `json:"commas"`
	Semicolons int `json:"semicolons"`
	Colons     int `json:"colons"`
}

// Syntax measures the sentences of a text.
func (a *Analyzer) Syntax(t *Text) SyntaxOutput {
	return SyntaxOutput{
		SentenceCount:     len(t.sentences),
		AvgSentenceLength: ratio(len(t.words), len(t.sentences)),
		ClauseMarkers:     countClauseMarkers(t.raw),
	}
}

func countClauseMarkers(raw string) ClauseMarkers {
	var markers ClauseMarkers
	for _, char := range raw {
		switch char {
		case ',', '，', '、', '،':
			markers.Commas++
		case ';', '；', '؛':
			markers.Semicolons++
		case ':', '：':
			markers.Colons++
		}
	}
	return markers
}
