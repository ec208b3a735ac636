package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	"nexus.internal/chaos/internal/openapi"
)

const (
	// mutateNode is how rarely one place of a body is made wrong.
	mutateNode = 14
	// deepest is how deep random values nest by themselves.
	deepest = 6
	// enough bounds a body that grows by chance, in bytes.
	enough = 256 << 10
)

// writer builds JSON text, which may be wrong on purpose.
type writer struct {
	*Source
	bytes.Buffer
}

// JSON is a value that nearly follows a schema, as text.
func (s *Source) JSON(schema *openapi.Schema) []byte {
	w := &writer{Source: s}
	w.value("", schema, 0)
	return s.spoil(w.Bytes())
}

func (w *writer) value(name string, schema *openapi.Schema, depth int) {
	if w.one(mutateNode) || w.Len() > enough {
		w.WriteString(w.wrongValue())
		return
	}
	schema = w.doc.Resolve(schema)
	if len(schema.Enum) > 0 && !w.has(schema, "array") {
		w.encode(pick(w.Source, schema.Enum))
		return
	}
	switch {
	case w.has(schema, "object"):
		w.object(schema, depth)
	case w.has(schema, "array"):
		w.array(name, schema, depth)
	case w.has(schema, "string"):
		w.text(w.word(name, schema))
	case w.has(schema, "integer"), w.has(schema, "number"):
		w.number(schema)
	case w.has(schema, "boolean"):
		w.WriteString(pick(w.Source, []string{"true", "false"}))
	case name == "payload_schema":
		w.WriteString(w.jsonSchema(0))
	default:
		w.anything(depth)
	}
}

func (w *writer) has(schema *openapi.Schema, kind string) bool {
	for _, t := range schema.Type {
		if t == kind {
			return true
		}
	}
	return false
}

func (w *writer) encode(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte("null")
	}
	w.Write(text)
}

func (w *writer) object(schema *openapi.Schema, depth int) {
	required := map[string]bool{}
	for _, name := range schema.Required {
		required[name] = true
	}
	names := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		names = append(names, name)
	}
	sort.Strings(names)
	w.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	w.WriteByte('{')
	separator := ""
	field := func(name string, of *openapi.Schema) {
		w.WriteString(separator)
		separator = ","
		w.text(w.spelled(name))
		w.WriteByte(':')
		w.value(name, of, depth+1)
	}
	for _, name := range names {
		if required[name] && !w.one(25) || !required[name] && w.one(3) {
			field(name, schema.Properties[name])
			if w.one(40) {
				field(name, schema.Properties[name]) // twice
			}
		}
	}
	if w.one(20) {
		field(w.wrongText(), nil)
	}
	w.WriteByte('}')
}

// spelled is a field's name, seldom in another case or with an end of its own.
func (w *writer) spelled(name string) string {
	if !w.one(40) {
		return name
	}
	return pick(w.Source, []string{strings.ToUpper(name), strings.Title(name), name + " ", name + "\x00", "\ufeff" + name, strings.ReplaceAll(name, "s", "\u017f"), strings.ReplaceAll(name, "k", "\u212a")}) //nolint:staticcheck // words need no more
}

func (w *writer) array(name string, schema *openapi.Schema, depth int) {
	n := w.IntN(4)
	if schema.MinItems != nil {
		n += *schema.MinItems
	}
	if w.one(60) {
		n = 1100
	}
	w.WriteByte('[')
	for i := range n {
		if i > 0 {
			w.WriteByte(',')
		}
		w.value(name, schema.Items, depth+1)
	}
	w.WriteByte(']')
}

func (w *writer) number(schema *openapi.Schema) {
	low, high := 0.0, 1000.0
	if schema.Minimum != nil {
		low = *schema.Minimum
	}
	if schema.Maximum != nil {
		high = *schema.Maximum
	}
	if w.one(6) {
		edge := pick(w.Source, []float64{low, high, low - 1, high + 1, low + 0.5})
		w.WriteString(strconv.FormatFloat(edge, 'f', -1, 64))
		return
	}
	w.WriteString(strconv.FormatFloat(math.Floor(low+w.Float64()*math.Min(high-low, 100)), 'f', -1, 64))
}

// anything is a value that no schema describes, such as a payload.
func (w *writer) anything(depth int) {
	kind := w.IntN(7)
	if depth >= deepest {
		kind = w.IntN(4)
	}
	if depth <= 1 {
		kind = 6
	}
	switch kind {
	case 0:
		w.WriteString(w.wrongNumber())
	case 1:
		w.text(w.wrongText())
	case 2, 3:
		w.WriteString(pick(w.Source, []string{"null", "true", "0", `"x"`, "{}", "[]"}))
	case 4, 5:
		w.WriteByte('[')
		for i := range w.IntN(5) {
			if i > 0 {
				w.WriteByte(',')
			}
			w.anything(depth + 2)
		}
		w.WriteByte(']')
	default:
		w.WriteByte('{')
		for i := range w.IntN(4) {
			if i > 0 {
				w.WriteByte(',')
			}
			w.text(w.payloadField())
			w.WriteByte(':')
			w.anything(depth + 2)
		}
		w.WriteByte('}')
	}
}

func (w *writer) payloadField() string {
	return pick(w.Source, []string{"n", "items", "document_id", "branch_id", "mode", "layers", "source_paths", "modalities", "parse_options", "plugin_profile", "a", ""})
}

// text writes a string. Bytes that are no UTF-8, and a few others, stay as they
// are now and then.
func (w *writer) text(s string) {
	if w.one(50) {
		w.WriteString(`"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(s) + `"`)
		return
	}
	w.encode(s)
}

// spoil makes a whole text wrong, seldom.
func (s *Source) spoil(text []byte) []byte {
	if !s.one(12) || len(text) == 0 {
		return text
	}
	switch s.IntN(9) {
	case 0:
		return text[:s.IntN(len(text))]
	case 1:
		return append(text, pick(s, []string{"}", "{}", "null", "\x00", ",", "//x", "\n{}"})...)
	case 2:
		return append([]byte("\xef\xbb\xbf"), text...)
	case 3:
		return append(bytes.Repeat([]byte(" \n"), s.IntN(40_000)), text...)
	case 4:
		out := bytes.Clone(text)
		for range 1 + s.IntN(4) {
			out[s.IntN(len(out))] = byte(s.Uint32())
		}
		return out
	case 5:
		return nil
	case 6:
		return bytes.ReplaceAll(text, []byte(`"`), []byte(`'`))
	case 7:
		// UTF-16, as a few clients send it.
		var out bytes.Buffer
		for _, b := range text {
			out.Write([]byte{b, 0})
		}
		return out.Bytes()
	default:
		return []byte(s.wrongValue())
	}
}

// jsonSchema is a schema for payloads, right or wrong.
func (w *writer) jsonSchema(depth int) string {
	if depth > 4 {
		return "true"
	}
	n, t := w.wrongNumber(), quoted(w.wrongText())
	sub := func() string { return w.jsonSchema(depth + 1) }
	switch w.IntN(14) {
	case 0:
		return `{"properties":{"n":{"minimum":` + n + `}}}`
	case 1:
		return `{"properties":{"items":{"items":{"minimum":0,"multipleOf":` + n + `}}}}`
	case 2:
		return `{"$ref":` + pick(w.Source, []string{`"file:///etc/passwd"`, `"http://127.0.0.1:1/x"`, `"#"`, `"#/$defs/a"`, `"urn:x"`, t}) + `}`
	case 3:
		return `{"$defs":{"a":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}`
	case 4:
		return `{"allOf":[` + sub() + "," + sub() + "," + sub() + `]}`
	case 5:
		return `{"anyOf":[` + sub() + "," + sub() + `],"not":` + sub() + `}`
	case 6:
		return `{"pattern":` + pick(w.Source, []string{`"(a+)+$"`, `"("`, `"(((((((((((a{1,1000}){1,1000}"`, t}) + `}`
	case 7:
		return `{"maxLength":` + n + `,"minItems":` + n + `,"minProperties":` + n + `}`
	case 8:
		return `{"type":` + pick(w.Source, []string{`"object"`, `["object","null"]`, `"x"`, `[]`, `1`}) + `,"properties":{"n":` + sub() + `}}`
	case 9:
		return `{"enum":[` + n + "," + t + `],"const":` + n + `}`
	case 10:
		return `{"$schema":` + pick(w.Source, []string{`"https://json-schema.org/draft/2020-12/schema"`, `"http://json-schema.org/draft-04/schema#"`, `"x"`, `1`}) + `,"format":"regex","items":` + sub() + `}`
	case 11:
		return `{"patternProperties":{"^(a|aa)+$":` + sub() + `},"propertyNames":` + sub() + `,"additionalProperties":false}`
	case 12:
		return `{"$id":` + t + `,"$anchor":` + t + `,"$dynamicRef":"#x","unevaluatedProperties":` + sub() + `}`
	default:
		return `{"type":"object"}`
	}
}

func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(text)
}

// nested is a value n deep.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func nestedObjects(n int) string {
	return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)
}

// wrongValue is a value for a place that wants another.
func (s *Source) wrongValue() string {
	switch s.IntN(12) {
	case 0, 1, 2:
		return s.wrongNumber()
	case 3, 4:
		return quoted(s.wrongText())
	case 5:
		return pick(s, []string{`"\ud800"`, `"\udfff\ud800"`, `"\u0000"`, "\"\x00\"", "\"\xff\xfe\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", `"\x41"`, "\"\n\"", `"\u12"`})
	case 6:
		return quoted(s.wrongTime())
	case 7:
		return pick(s, []string{nested(20), nested(300), nested(10_001), nestedObjects(300), nestedObjects(9_000), strings.Repeat("[", 5000), strings.Repeat(`{"a":`, 5000)})
	case 8:
		return "[" + strings.TrimSuffix(strings.Repeat("null,", 1+s.IntN(3000)), ",") + "]"
	case 9:
		return "[" + strings.TrimSuffix(strings.Repeat(s.wrongNumber()+",", 1+s.IntN(50)), ",") + "]"
	case 10:
		return fmt.Sprintf(`{"a":1,"a":%s,"A":[]}`, s.wrongNumber())
	default:
		return pick(s, []string{"null", "true", "false", "{}", "[]", `""`, "0", "undefined", "NaN", "'x'", "/**/1", "Infinity", ""})
	}
}
