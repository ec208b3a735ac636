package layer

const topTokens = 20

// TokenOutput is the token layer. Tokens are words in lower case.
type TokenOutput struct {
	TokenCount   int `json:"token_count"`
	UniqueTokens int `json:"unique_tokens"`
	// TopTokens are the 20 most frequent.
	TopTokens []string `json:"top_tokens"`
}

// Token counts the words of a text.
func (a *Analyzer) Token(t *Text) TokenOutput {
	ranked := top(t.vocabulary, topTokens)
	words := make([]string, len(ranked))
	for i, c := range ranked {
		words[i] = c.Text
	}
	return TokenOutput{
		TokenCount:   len(t.words),
		UniqueTokens: len(t.vocabulary),
		TopTokens:    words,
	}
}
