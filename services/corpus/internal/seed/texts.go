package seed

import (
	"path"
	"strings"
)

// folder is where seed texts are in the corpus root.
const folder = "seeds"

// Text is a text that a corpus may begin with.
type Text struct {
	Title, Author, Language string
	// SourceURL is where the text is published, in UTF-8.
	SourceURL string
}

// Texts lists the seed texts. All are in the public domain.
func Texts() []Text {
	return []Text{
		{"The Odyssey", "Homer", "English", "https://www.gutenberg.org/cache/epub/1727/pg1727.txt"},
		{"The Divine Comedy", "Dante Alighieri", "English", "https://www.gutenberg.org/cache/epub/1004/pg1004.txt"},
		{"Leaves of Grass", "Walt Whitman", "English", "https://www.gutenberg.org/cache/epub/1322/pg1322.txt"},
		{"Ulysses", "James Joyce", "English", "https://www.gutenberg.org/cache/epub/4300/pg4300.txt"},
		{"Frankenstein", "Mary Shelley", "English", "https://www.gutenberg.org/cache/epub/84/pg84.txt"},
	}
}

// Find returns the seed text with a title.
func Find(title string) (Text, bool) {
	for _, t := range Texts() {
		if t.Title == title {
			return t, true
		}
	}
	return Text{}, false
}

// file is the name of the text's file.
func (t Text) file() string {
	return strings.ReplaceAll(strings.ToLower(t.Title), " ", "_") + ".txt"
}

// Path is the text's place in the corpus root, with slashes.
func (t Text) Path() string { return path.Join(folder, t.file()) }
