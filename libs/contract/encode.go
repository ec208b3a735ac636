package contract

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Encode writes v as JSON the way messages carry it: compact, and without the
// escapes for HTML that json.Marshal adds. Those turn one byte into six, and a
// message that fitted into one that does not.
func Encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Decode reads JSON into v the way json.Unmarshal does, at less than half of the
// cost: unknown fields are passed over, of repeated ones the last counts, and what
// is not UTF-8 is for others to refuse. Names of fields must be written exactly.
func Decode(data []byte, v any) error {
	return jsonv2.Unmarshal(data, v, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsonv1.FormatDurationAsNano(true))
}

// appendText appends s as a JSON string the way Encode writes it. Nearly every
// text on the hot paths is an id or a name, and stands as it is.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			// A string can always be encoded.
			text, _ := Encode(s)
			return append(dst, text...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// appendTextField appends a field that is left out when it is empty.
func appendTextField(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	dst = append(append(append(dst, ',', '"'), name...), '"', ':')
	return appendText(dst, s)
}

// appendNumberField appends a number behind the fields before it.
func appendNumberField(dst []byte, name string, n int) []byte {
	dst = append(append(append(dst, ',', '"'), name...), '"', ':')
	return strconv.AppendInt(dst, int64(n), 10)
}

func appendTime(dst []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
}

// ValidTime reports whether a time can be stored and said: its year is 1 to 9999
// in UTC, and it is less than a day away from UTC. A year that looks well in a zone
// of its own may not be, and a zone a day away can be read but not written.
func ValidTime(t time.Time) bool {
	const day = 24 * 60 * 60
	year := t.UTC().Year()
	_, away := t.Zone()
	return year >= 1 && year <= 9999 && away > -day && away < day
}
