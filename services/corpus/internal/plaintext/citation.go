package plaintext

import (
	"iter"
	"regexp"
)

// citationPattern matches a number in square brackets, as in [12], or names
// followed by a year in round brackets, as in (Name, 1999) or
// (de la Cruz & Poe, 2004b). Names begin with a capital after at most three
// particles.
var citationPattern = regexp.MustCompile(
	`\[[0-9]+\]` +
		`|\((?:\p{Ll}{1,4}\s){0,3}\p{Lu}[\p{L}\p{M}'’.&\s,-]{0,100},\s*[0-9]{4}[a-z]?\)`)

// citations yields the citation markers of a text in order of appearance.
func citations(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for text != "" {
			at := citationPattern.FindStringIndex(text)
			if at == nil || !yield(text[at[0]:at[1]]) {
				return
			}
			text = text[at[1]:]
		}
	}
}
