package plaintext

import (
	"path/filepath"
	"strings"
)

func isYAML(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".yaml" || ext == ".yml"
}

// cutFrontMatter parts the YAML header between two "---" lines at the very
// start of a Markdown file from the text after it.
func cutFrontMatter(text string) (header, body string) {
	rest, found := strings.CutPrefix(text, "---\n")
	if !found {
		return "", text
	}
	header, body, found = strings.Cut(rest, "\n---\n")
	if !found {
		return "", text
	}
	return header, body
}
