package plaintext

import (
	"path/filepath"
	"strings"

	"nexus.internal/services/corpus/internal/atom"
)

// maxTitleRunes bounds a title, in characters.
const maxTitleRunes = 200

// Title returns the title of a text: the top-level "title" of a YAML file or of
// the front matter, else the first Markdown heading, else the name of the file
// without its extension. The answer is one line of at most 200 characters.
func Title(path, text string) string {
	title := ""
	if isYAML(path) {
		title = yamlTitle(text)
	} else {
		header, body := cutFrontMatter(text)
		title = yamlTitle(header)
		if title == "" {
			title = firstMarkdownHeading(body)
		}
	}
	if title == "" {
		base := filepath.Base(path)
		title = strings.TrimSuffix(base, filepath.Ext(base))
	}
	return atom.FirstRunes(title, maxTitleRunes)
}

func isYAML(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".yaml" || ext == ".yml"
}

// yamlTitle finds a line of the form `title: words` that is not indented.
func yamlTitle(text string) string {
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(line, ":")
		if !found || !strings.EqualFold(key, "title") {
			continue
		}
		return unquote(strings.TrimSpace(value))
	}
	return ""
}

func unquote(value string) string {
	if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		return strings.TrimSpace(value[1 : len(value)-1])
	}
	return value
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

func firstMarkdownHeading(text string) string {
	for h := range headings(text) {
		if h.kind == markdown {
			return h.words
		}
	}
	return ""
}
