package plaintext

import "strings"

// InConflict tells whether a line of the text begins with one of the markers a
// version control system leaves in a file it could not merge. A Markdown
// heading underlined with seven or more equals signs counts too: it cannot be
// told from a marker by its line alone.
func InConflict(text string) bool {
	for line := range strings.Lines(text) {
		for _, marker := range [...]string{"<<<<<<<", "=======", ">>>>>>>", "|||||||"} {
			if strings.HasPrefix(line, marker) {
				return true
			}
		}
	}
	return false
}
