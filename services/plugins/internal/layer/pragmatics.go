package layer

// PragmaticsOutput is the pragmatics layer.
type PragmaticsOutput struct {
	// QuestionCount counts groups of closing marks that hold a question mark:
	// "What?!" asks once. Marks inside a word or an address do not count.
	QuestionCount int `json:"question_count"`
	// ExclamationCount counts groups that hold an exclamation mark.
	ExclamationCount int `json:"exclamation_count"`
	// HedgeCount counts words and phrases that weaken a claim, such as "perhaps".
	HedgeCount int `json:"hedge_count"`
	// SpeechActHint is directive where a sentence that asks nothing says should,
	// must or let us. Otherwise it is what most sentences do: interrogative,
	// directive, exclamative or assertive, ties in this order; none without
	// sentences.
	SpeechActHint string `json:"speech_act_hint"`
}

// Pragmatics looks at what a text does to its reader.
func (a *Analyzer) Pragmatics(t *Text) PragmaticsOutput {
	questions, exclamations := countClosings(t.raw)
	return PragmaticsOutput{
		QuestionCount:    questions,
		ExclamationCount: exclamations,
		HedgeCount:       total(a.hedges.count(t.words)),
		SpeechActHint:    speechActHint(t),
	}
}

// countClosings counts the groups of . ? and ! that hold ? and those that hold !.
func countClosings(raw string) (questions, exclamations int) {
	asks, exclaims := false, false
	for _, char := range raw {
		if isStop(char) {
			asks = asks || isQuestionMark(char)
			exclaims = exclaims || isExclamationMark(char)
			continue
		}
		if !isWordCharacter(char) {
			questions += one(asks)
			exclamations += one(exclaims)
		}
		asks, exclaims = false, false
	}
	return questions + one(asks), exclamations + one(exclaims)
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func speechActHint(t *Text) string {
	if len(t.sentences) == 0 {
		return "none"
	}
	var interrogative, directive, exclamative, assertive int
	for _, s := range t.sentences {
		switch {
		case s.asks:
			interrogative++
		case urges(t.words[s.from:s.to]):
			return "directive"
		case isDirective(t.words[s.from:s.to]):
			directive++
		case s.exclaims:
			exclamative++
		default:
			assertive++
		}
	}
	hint, most := "interrogative", interrogative
	if directive > most {
		hint, most = "directive", directive
	}
	if exclamative > most {
		hint, most = "exclamative", exclamative
	}
	if assertive > most {
		hint = "assertive"
	}
	return hint
}

// urges reports a sentence that says should, must or let us.
func urges(words []word) bool {
	for i, w := range words {
		if w.folded == "should" || w.folded == "must" || w.folded == "us" && i > 0 && words[i-1].folded == "let" {
			return true
		}
	}
	return false
}

// isDirective reports a sentence that opens like a command or request, or that
// lays a duty on the reader.
func isDirective(words []word) bool {
	if opensAsRequest(words[0].folded) {
		return true
	}
	for i, w := range words[1:] {
		if isSecondPerson(words[i].folded) && isObligation(w.folded) {
			return true
		}
	}
	return false
}

func opensAsRequest(folded string) bool {
	switch folded {
	case "please", "let's", "do", "don't", "never", "always", "stop", "go", "come", "look", "listen", "remember",
		"consider", "note", "see", "read", "write", "open", "close", "run", "use", "make", "take", "give", "keep",
		"put", "try", "wait", "call", "send", "bring", "tell", "ask", "turn", "click", "ensure", "avoid", "check":
		return true
	}
	return false
}

func isSecondPerson(folded string) bool {
	switch folded {
	case "you", "thou", "ye", "y'all":
		return true
	}
	return false
}

func isObligation(folded string) bool {
	switch folded {
	case "must", "should", "shall", "shalt", "ought", "need", "mustn't", "shouldn't":
		return true
	}
	return false
}
