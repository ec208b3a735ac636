package plaintext

import (
	"iter"
	"strings"
	"unicode/utf8"

	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/atom"
)

// Provenance travels in messages of bounded size, so the lists in it are
// bounded: the first so many entries, each of at most so many characters.
const (
	maxBlocks        = 200
	maxPreviewRunes  = 160
	maxHeadings      = 100
	maxHeadingRunes  = 200
	maxCitations     = 200
	maxCitationRunes = 120
)

// Segments describes a text: its size in lines and characters, the paragraphs
// that blank lines part, the lines that may be headings and the citation
// markers. Lists that were cut set ListsTruncated; the counts are of the whole
// text.
func Segments(path, text string) contract.TextSegments {
	segments := contract.TextSegments{
		LineCount: lineCount(text),
		CharCount: utf8.RuneCountInString(text),
	}
	var more bool
	segments.ParagraphBlocks, more = paragraphBlocks(text)
	segments.ListsTruncated = more
	segments.HeadingCandidates, more = firstOf(headingWords(path, text), maxHeadings, maxHeadingRunes)
	segments.ListsTruncated = segments.ListsTruncated || more
	segments.CitationMarkers, more = firstOf(citations(text), maxCitations, maxCitationRunes)
	segments.ListsTruncated = segments.ListsTruncated || more
	return segments
}

func lineCount(text string) int {
	count := strings.Count(text, "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		count++
	}
	return count
}

func paragraphBlocks(text string) (blocks []contract.ParagraphBlock, more bool) {
	blocks = []contract.ParagraphBlock{}
	for paragraph := range atom.Paragraphs(text) {
		if len(blocks) == maxBlocks {
			return blocks, true
		}
		blocks = append(blocks, contract.ParagraphBlock{
			Index:     len(blocks) + 1,
			CharCount: utf8.RuneCountInString(paragraph),
			Preview:   atom.FirstRunes(paragraph, maxPreviewRunes),
		})
	}
	return blocks, false
}

// headingWords yields no headings for YAML, where `#` opens a comment.
func headingWords(path, text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if isYAML(path) {
			return
		}
		_, body := cutFrontMatter(text)
		for h := range headings(body) {
			if !yield(h.words) {
				return
			}
		}
	}
}

// firstOf collects at most limit strings, each cut to maxRunes characters.
func firstOf(all iter.Seq[string], limit, maxRunes int) (list []string, more bool) {
	list = []string{}
	for s := range all {
		if len(list) == limit {
			return list, true
		}
		list = append(list, atom.FirstRunes(s, maxRunes))
	}
	return list, false
}
