package admission

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxWork is how much a payload may cost to check, in steps of some hundred
	// nanoseconds.
	maxWork = 4_000_000
	// maxPattern is the longest regular expression, in bytes, and maxProgram the
	// longest program one may become: repeats multiply.
	maxPattern, maxProgram = 1000, 10_000
	// visit is what it costs to hold a value against a part of a schema.
	visit = 8
	// shortNumber is how many digits a number has that is cheap to compute with.
	shortNumber = 40
)

var errTooMuchWork = errors.New("too much work")

// meter bounds the work of checking one payload. The library takes neither a
// context nor a budget, so every part of a schema is given a format that takes
// its cost before the part is worked on; what is too much ends in a panic that
// check recovers. It is not safe for concurrent use.
type meter struct{ left int }

func (m *meter) begin() { m.left = maxWork }

func (m *meter) spend(steps int) {
	if m.left -= steps; m.left < 0 {
		panic(errTooMuchWork) //nolint:forbidigo // nothing else stops the library; Schema.check recovers it
	}
}

// watch has the meter told of all work on a schema and the parts it leads to.
func (m *meter) watch(s *jsonschema.Schema, seen map[*jsonschema.Schema]bool) {
	if s == nil || s.Bool != nil || seen[s] {
		return
	}
	seen[s] = true
	parts := partsOf(s)
	own, each := leaf(s)+len(s.Required)+len(s.DependentRequired), 0
	for _, part := range parts.once {
		own += leaf(part)
	}
	for _, part := range parts.each {
		each += leaf(part)
	}
	inner := s.Format
	format := &jsonschema.Format{}
	if inner != nil {
		format.Name = inner.Name
	}
	format.Validate = func(v any) error {
		m.spend(own + costOf(v, each))
		if inner == nil {
			return nil
		}
		return inner.Validate(v)
	}
	s.Format = format
	for _, part := range append(parts.once, parts.each...) {
		m.watch(part, seen)
	}
}

// leaf is what a part costs before its format is asked.
func leaf(s *jsonschema.Schema) int {
	if s.Enum == nil {
		return visit
	}
	return visit + len(s.Enum.Values)
}

// costOf is what a value costs: each is the cost of the parts that every element
// of it is held against.
func costOf(v any, each int) int {
	switch v := v.(type) {
	case map[string]any:
		return len(v) * (1 + each)
	case []any:
		return len(v) * (1 + each)
	case string:
		return len(v) / 64
	case json.Number:
		return costOfNumber(string(v))
	}
	return 0
}

// costOfNumber is one step for each digit that the number has when it is written
// out, where these are many.
func costOfNumber(n string) int {
	digits := len(n)
	if i := strings.IndexAny(n, "eE"); i >= 0 {
		exponent, err := strconv.Atoi(n[i+1:])
		if err != nil {
			return maxWork
		}
		digits += max(exponent, -exponent)
	}
	if digits <= shortNumber {
		return 0
	}
	return digits
}

// parts are the parts of a schema: those that a value is held against once, and
// those that each element of it is.
type parts struct{ once, each []*jsonschema.Schema }

func partsOf(s *jsonschema.Schema) parts {
	var p parts
	once := func(all ...*jsonschema.Schema) {
		for _, part := range all {
			if part != nil {
				p.once = append(p.once, part)
			}
		}
	}
	each := func(all ...*jsonschema.Schema) {
		for _, part := range all {
			if part != nil {
				p.each = append(p.each, part)
			}
		}
	}
	once(s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else, s.ContentSchema)
	once(s.AllOf...)
	once(s.AnyOf...)
	once(s.OneOf...)
	once(s.PrefixItems...)
	each(s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems)
	for _, part := range s.Properties {
		once(part)
	}
	for _, part := range s.PatternProperties {
		each(part)
	}
	for _, part := range s.DependentSchemas {
		once(part)
	}
	for _, part := range s.Dependencies {
		if part, ok := part.(*jsonschema.Schema); ok {
			once(part)
		}
	}
	for _, part := range []any{s.AdditionalProperties, s.AdditionalItems, s.Items} {
		switch part := part.(type) {
		case *jsonschema.Schema:
			each(part)
		case []*jsonschema.Schema:
			once(part...)
		}
	}
	return p
}

// pattern compiles a regular expression whose use the meter counts.
func (m *meter) pattern(text string) (jsonschema.Regexp, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("a pattern has %d bytes; the limit is %d", len(text), maxPattern)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, errors.New("a pattern is no regular expression")
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxProgram {
		return nil, errors.New("a pattern is too large")
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, errors.New("a pattern is no regular expression")
	}
	return &pattern{compiled, m, len(program.Inst)}, nil
}

type pattern struct {
	*regexp.Regexp
	work *meter
	size int
}

// MatchString implements jsonschema.Regexp. Matching takes time in proportion to
// the text and, at worst, to the program.
func (p *pattern) MatchString(s string) bool {
	p.work.spend(1 + len(s)*p.size/32)
	return p.Regexp.MatchString(s)
}
