package layer

import "unicode/utf8"

// Text is a document prepared for analysis: split once into words and
// sentences for all layers. It does not change after [Read] and may be shared
// between goroutines.
type Text struct {
	raw        string
	modality   string
	words      []word
	sentences  []sentence
	vocabulary tallies
}

// word is a token of the text.
type word struct {
	// form is the word as written, in Unicode NFC, with plain ' and -.
	form string
	// folded is form in lower case.
	folded string
	// opens is true for the first word of a sentence.
	opens bool
	// afterStop is true when . ! or ? and space, or a blank line, came since
	// the word before. A line end alone does not set it: wrapped lines go on.
	afterStop bool
}

// sentence is a stretch of words that ends after . ! or ? and space, or at a
// line end. It holds at least one word.
type sentence struct {
	// from and to delimit the words: words[from:to].
	from, to int
	// asks and exclaims are true when ? or ! is among its closing marks.
	asks, exclaims bool
}

// Read prepares a text of the given modality (text, pdf, image, audio or
// binary). Bytes that are not UTF-8 count as U+FFFD. Time and memory are linear
// in the length of the text: roughly 20 bytes per byte of English.
func Read(raw, modality string) *Text {
	r := reader{text: &Text{raw: raw, modality: modality, vocabulary: tallies{}}}
	for i := 0; i < len(raw); {
		if end, proper := scanWord(raw, i); end > i {
			r.run(raw[i:end], proper)
			i = end
			continue
		}
		char, size := utf8.DecodeRuneInString(raw[i:])
		i += size
		next, _ := utf8.DecodeRuneInString(raw[i:])
		r.mark(char, next)
	}
	r.endSentence()
	return r.text
}

// Modality is the modality given to [Read].
func (t *Text) Modality() string { return t.modality }

// Raw is the text given to [Read].
func (t *Text) Raw() string { return t.raw }

// reader collects the words and sentences of a text from left to right.
type reader struct {
	text *Text
	// from is the first word of the sentence being read.
	from int
	// lineBlank is true while the current line has shown nothing but space.
	lineBlank bool
	stopped   bool
	asks      bool
	exclaims  bool
}

// run takes in a run of word characters; an improper one ("___") is no word.
func (r *reader) run(written string, proper bool) {
	r.lineBlank = false
	if !proper {
		return
	}
	form, folded := normalise(written)
	r.text.vocabulary.add(folded, 1, len(r.text.words))
	r.text.words = append(r.text.words, word{
		form:      form,
		folded:    folded,
		opens:     len(r.text.words) == r.from,
		afterStop: r.stopped,
	})
	r.stopped, r.asks, r.exclaims = false, false, false
}

// mark takes in a character outside words, knowing the one after it.
func (r *reader) mark(char, next rune) {
	switch {
	case char == '\r' && next == '\n':
		// The pair is one line end, seen at its second half.
	case isLineEnd(char):
		r.stopped = r.stopped || r.lineBlank
		r.lineBlank = true
		r.endSentence()
	case isStop(char):
		r.lineBlank = false
		r.asks = r.asks || isQuestionMark(char)
		r.exclaims = r.exclaims || isExclamationMark(char)
		if isSpace(next) {
			r.stopped = true
			r.endSentence()
		}
	case !isSpace(char):
		r.lineBlank = false
	}
}

func (r *reader) endSentence() {
	to := len(r.text.words)
	if to == r.from {
		return
	}
	r.text.sentences = append(r.text.sentences, sentence{from: r.from, to: to, asks: r.asks, exclaims: r.exclaims})
	r.from = to
}
