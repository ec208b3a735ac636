// Package wellformed reads JSON that outsiders sent once, before anything decodes
// it, and says what is wrong with it. What the JSON means does not belong here.
package wellformed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxDigits is how many digits a number may have, before its exponent.
	MaxDigits = 400
	// MaxExponent is how far from zero its exponent may be.
	MaxExponent = 400
	// maxPlace and maxPlaceName bound how a place in a text is told, in bytes.
	maxPlace, maxPlaceName = 300, 80
)

// Kind says what sort of thing is wrong with a text.
type Kind int

// What can be wrong with a text.
const (
	// Syntax: it is no JSON at all.
	Syntax Kind = iota
	Encoding
	Depth
	NUL
	Number
	Twice
)

// Problem is what is wrong with a text, and where. It holds no more of the text
// than the names that lead to the place, and one character.
type Problem struct {
	Kind Kind
	// At is the place, such as ".payload.items[3]"; empty for the text as a whole.
	At string
	// Detail says what is wrong there.
	Detail string
}

// Error implements error.
func (p *Problem) Error() string { return strings.TrimPrefix(p.At+": "+p.Detail, ": ") }

// Rules are what a text may be beside being JSON.
type Rules struct {
	// Depth is how many levels it may be nested.
	Depth int
	// Free are names whose values may give a name twice in one object: what is in
	// them is passed on as it came. FreeAll says so of the whole text.
	Free    []string
	FreeAll bool
}

// Check reads a text once and reports what is wrong with it, or nil. It must be
// one JSON value in valid UTF-8, without the character NUL, without a name twice in
// one object, and with numbers that a 64 bit floating point number can stand for,
// written in at most MaxDigits digits and with an exponent of at most MaxExponent
// either way.
//
// It takes time and memory in proportion to the text, whatever the text holds, and
// nothing may decode what outsiders sent before it has passed: decoders differ in
// which of two equal names counts, and a number of eight characters can be made
// one of a million digits.
func Check(text []byte, rules Rules) *Problem {
	if !utf8.Valid(text) {
		return &Problem{Kind: Encoding, Detail: "not valid UTF-8"}
	}
	s := scan{
		text: text, rules: rules, free: -1,
		dec: jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)),
	}
	if rules.FreeAll {
		s.free = 0
	}
	for begun := false; !begun || s.dec.StackDepth() > 0; begun = true {
		if err := s.next(); err != nil {
			return s.broken(err)
		}
	}
	if len(bytes.TrimLeft(text[s.dec.InputOffset():], " \t\r\n")) > 0 {
		return &Problem{Kind: Syntax, Detail: goesOn}
	}
	return s.found
}

// scan reads a text. What is wrong with its content is found once, and then only
// whether the rest is JSON.
type scan struct {
	text  []byte
	rules Rules
	dec   *jsontext.Decoder
	found *Problem
	// names are those of the objects that the scan is in, by depth; free is the
	// depth from which on they do not matter, or -1.
	names []map[string]struct{}
	free  int
}

// next reads one token.
func (s *scan) next() error {
	kind := s.dec.PeekKind()
	if kind != '0' && kind != '"' {
		_, err := s.dec.ReadToken()
		if err == nil {
			s.moved(kind)
		}
		return err
	}
	depth := s.dec.StackDepth()
	in, read := s.dec.StackIndex(depth)
	value, err := s.dec.ReadValue()
	if err != nil || s.found != nil {
		return err
	}
	switch {
	case kind == '0':
		if problem := numberProblem(value); problem != "" {
			s.find(Number, problem)
		}
	case holdsNUL(value):
		s.find(NUL, `must hold printable characters only, not NUL (\u0000)`)
	case in == '{' && read%2 == 0:
		s.named(depth, value)
	}
	return nil
}

// moved follows the scan into a value and out of it.
func (s *scan) moved(kind jsontext.Kind) {
	depth := s.dec.StackDepth()
	if kind == '{' || kind == '[' {
		if s.found == nil && depth > s.rules.Depth {
			s.find(Depth, fmt.Sprintf("nested deeper than %d levels", s.rules.Depth))
		}
		return
	}
	if kind == '}' || kind == ']' {
		if len(s.names) > depth+1 {
			s.names = s.names[:depth+1]
		}
		if depth < s.free {
			s.free = -1
		}
	}
}

// named notes a name of the object at a depth.
func (s *scan) named(depth int, quoted []byte) {
	if s.free >= 0 && depth > s.free {
		return
	}
	// The value before has ended, if it was a free one.
	s.free = -1
	// Half a surrogate pair is replaced, as decoders do.
	name, _ := jsontext.AppendUnquote(nil, quoted)
	for len(s.names) <= depth {
		s.names = append(s.names, nil)
	}
	if s.names[depth] == nil {
		s.names[depth] = map[string]struct{}{}
	}
	if _, twice := s.names[depth][string(name)]; twice {
		s.find(Twice, "given twice")
		return
	}
	s.names[depth][string(name)] = struct{}{}
	if slices.Contains(s.rules.Free, string(name)) {
		s.free = depth
	}
}

func (s *scan) find(kind Kind, detail string) {
	s.found = &Problem{Kind: kind, At: place(s.dec.StackPointer()), Detail: detail}
	if kind == Depth {
		// The way there is as long as it is deep.
		s.found.At = ""
	}
}

// broken says why a text cannot be read on.
func (s *scan) broken(err error) *Problem {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return &Problem{Kind: Syntax, Detail: endsEarly}
	}
	at := int(min(max(syntax.ByteOffset, 0), int64(len(s.text))))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || at == len(s.text):
		return &Problem{Kind: Syntax, Detail: endsEarly}
	case s.dec.StackDepth() >= maxReadable:
		return &Problem{Kind: Syntax, Detail: fmt.Sprintf("nested deeper than %d levels", s.rules.Depth)}
	case strings.Contains(syntax.Err.Error(), "start of value"):
		return &Problem{Kind: Syntax, Detail: notJSON}
	default:
		return &Problem{Kind: Syntax, At: place(syntax.JSONPointer), Detail: notJSON}
	}
}

// What is said of a text that is no JSON. What stands in it is not repeated.
const (
	notJSON   = "not valid JSON"
	endsEarly = "not valid JSON, it ends too early"
	goesOn    = "not valid JSON, there is more after top-level value"
)

// maxReadable is how deep the decoder reads.
const maxReadable = 10_000

// place writes a JSON pointer the way people write it: .payload.items[3].
func place(p jsontext.Pointer) string {
	var out strings.Builder
	for token := range p.Tokens() {
		if out.Len() > maxPlace {
			out.WriteString("…")
			break
		}
		if _, err := strconv.ParseUint(token, 10, 32); err == nil {
			out.WriteString("[" + token + "]")
			continue
		}
		out.WriteString("." + cut(token))
	}
	return out.String()
}

// Place is where a JSON pointer leads, as a Problem tells it.
func Place(pointer string) string { return place(jsontext.Pointer(pointer)) }

func cut(name string) string {
	if len(name) <= maxPlaceName {
		return name
	}
	return strings.ToValidUTF8(name[:maxPlaceName], "") + "…"
}

// numberProblem says what is wrong with a JSON number; empty for nothing.
func numberProblem(n []byte) string {
	mantissa, exponent, _ := bytes.Cut(n, []byte("e"))
	if i := bytes.IndexByte(n, 'E'); i >= 0 {
		mantissa, exponent = n[:i], n[i+1:]
	}
	digits, whole := 0, -1
	for _, c := range mantissa {
		switch {
		case c == '.':
			whole = digits
		case c != '-':
			digits++
		}
	}
	if digits > MaxDigits {
		return fmt.Sprintf("the number has %d digits; the limit is %d", digits, MaxDigits)
	}
	if whole < 0 {
		whole = digits
	}
	e, ok := exponentOf(exponent)
	if !ok {
		return fmt.Sprintf("the exponent of the number is out of range: want -%d to %d", MaxExponent, MaxExponent)
	}
	if whole+e < 300 {
		return ""
	}
	if f, err := strconv.ParseFloat(string(n), 64); err != nil || math.IsInf(f, 0) {
		return "the number is too large: want -1.7e308 to 1.7e308"
	}
	return ""
}

func exponentOf(text []byte) (e int, ok bool) {
	negative := len(text) > 0 && text[0] == '-'
	text = bytes.TrimLeft(text, "+-")
	text = bytes.TrimLeft(text, "0")
	if len(text) > 4 {
		return 0, false
	}
	for _, c := range text {
		e = e*10 + int(c-'0')
	}
	if negative {
		e = -e
	}
	return e, e >= -MaxExponent && e <= MaxExponent
}

// holdsNUL looks for the escape \u0000 in valid JSON, where NUL itself cannot
// stand. A backslash that is itself escaped starts no escape.
func holdsNUL(p []byte) bool {
	for i := 0; i < len(p); i++ {
		if p[i] != '\\' {
			continue
		}
		if i+5 < len(p) && string(p[i+1:i+6]) == "u0000" {
			return true
		}
		i++
	}
	return false
}
