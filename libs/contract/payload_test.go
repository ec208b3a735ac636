package contract_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
)

// nested makes a JSON object of n levels.
func nested(n int) string {
	return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
}

// sized makes a JSON object of exactly n bytes.
func sized(n int) string { return `{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"}` }

func TestGoodPayloads(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"empty":                   `{}`,
		"spaces around":           " \t\r\n{ } \n",
		"nested":                  `{"a":[{"b":null}],"c":-1.5e3}`,
		"any language":            `{"text":"Straße 東京 🚀"}`,
		"a character before NUL":  `{"a":"\u0001"}`,
		"zeroes in another place": `{"a":"\u00a0000"}`,
		"a backslash and u0000":   `{"a":"\\u0000"}`,
		"two backslashes":         `{"a":"\\\\u0000"}`,
		"backslash in the key":    `{"\\u0000":1}`,
		"ends with a backslash":   `{"a":"\\"}`,
		"escape at the end":       `{"a":"\n"}`,
		"u0000 without one":       `{"a":"u0000"}`,
		"half a pair":             `{"a":"\ud800"}`,
		"as large as allowed":     sized(contract.MaxPayload),
		"as deep as allowed":      nested(contract.MaxPayloadDepth),
		"wide, not deep":          `{"a":[` + strings.Repeat("[],", 200) + `{}]}`,
		"deep only in a text":     `{"a":"` + strings.Repeat(`[{\"`, 200) + `"}`,
	} {
		require.NoError(t, contract.CheckPayload([]byte(payload)), name)
	}
}

func TestBadPayloads(t *testing.T) {
	t.Parallel()
	const (
		notJSON   = "payload is not valid JSON"
		notObject = "payload must be a JSON object"
		notUTF8   = "payload is not valid UTF-8"
		nul       = `payload must not contain the character NUL (\u0000)`
	)
	for name, tc := range map[string]struct{ payload, problem string }{
		"nothing":                 {"", notJSON},
		"spaces":                  {"  \n", notJSON},
		"words":                   {"hello", notJSON},
		"cut off":                 {`{"a":`, notJSON},
		"two objects":             {`{} {}`, notJSON},
		"trailing comma":          {`{"a":1,}`, notJSON},
		"comment":                 {`{} // c`, notJSON},
		"byte order mark":         {"\ufeff{}", notJSON},
		"NUL byte in a string":    {"{\"a\":\"\x00\"}", notJSON},
		"NUL byte behind":         {"{}\x00", notJSON},
		"upper-case escape":       {`{"a":"\U0000"}`, notJSON},
		"a level too deep":        {nested(contract.MaxPayloadDepth + 1), "payload is nested deeper than 100 levels"},
		"a level of objects":      {strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101), "payload is nested deeper than 100 levels"},
		"behind an escaped quote": {`{"\\\"":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "payload is nested deeper than 100 levels"},
		"deeper than Go reads":    {nested(10_001), notJSON},
		"array":                   {`[]`, notObject},
		"array of objects":        {` [{"a":1}]`, notObject},
		"text":                    {`"{}"`, notObject},
		"number":                  {`1`, notObject},
		"null":                    {`null`, notObject},
		"true":                    {`true`, notObject},
		"escaped NUL":             {`{"a":"\u0000"}`, nul},
		"escaped NUL in a key":    {`{"\u0000":1}`, nul},
		"behind one backslash":    {`{"a":"\\\u0000"}`, nul},
		"behind two backslashes":  {`{"a":"\\\\\u0000"}`, nul},
		"behind another escape":   {`{"a":"\n\u0000"}`, nul},
		"behind a harmless one":   {`{"a":"\\u0000 \u0000"}`, nul},
		"as the last character":   {`{"a":"b\u0000"}`, nul},
		"nested":                  {`{"a":[{"b":["\u0000"]}]}`, nul},
		"invalid byte":            {"{\"a\":\"\xff\"}", notUTF8},
		"cut character":           {"{\"a\":\"\xe6\x9d\"}", notUTF8},
		"overlong NUL":            {"{\"a\":\"\xc0\x80\"}", notUTF8},
		"surrogate in UTF-8":      {"{\"a\":\"\xed\xa0\x80\"}", notUTF8},
		"one byte too large":      {sized(contract.MaxPayload + 1), "payload has 33554433 bytes; the limit is 33554432"},
	} {
		require.EqualError(t, contract.CheckPayload([]byte(tc.payload)), tc.problem, name)
	}
	require.EqualError(t, contract.CheckPayload(nil), notJSON)
}

// What passes is what the database and every reader can take. The function
// under test looks at the text; this one looks at what a decoder makes of it.
func FuzzCheckPayload(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":"\u0000"}`, `{"a":"\\u0000"}`, `{"a":"\\\u0000"}`, `{"\u0000":{"b":["\u0000"]}}`, `{"a":"\u0000","a":1}`, `[1]`, `null`, ``,
		"{\"a\":\"\xff\"}", "{\"a\":\"\x00\"}", nested(contract.MaxPayloadDepth), nested(contract.MaxPayloadDepth + 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		good := len(p) <= contract.MaxPayload && utf8.Valid(p) && json.Valid(p)
		if good {
			object, nul, deepest := decode(t, p)
			good = object && !nul && deepest <= contract.MaxPayloadDepth
		}
		require.Equal(t, good, contract.CheckPayload(p) == nil, "%q", p)
	})
}

func decode(t *testing.T, p []byte) (object, nul bool, deepest int) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(p))
	decoder.UseNumber()
	for level, first := 0, true; ; first = false {
		token, err := decoder.Token()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			return object, nul, deepest
		}
		switch v := token.(type) {
		case json.Delim:
			object = object || first && v == '{'
			if v == '{' || v == '[' {
				level++
			} else {
				level--
			}
			deepest = max(deepest, level)
		case string:
			nul = nul || strings.ContainsRune(v, 0)
		}
	}
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "order-7", "a b", "schlüssel 東京", strings.Repeat("k", contract.MaxIdempotencyKey)} {
		require.NoError(t, contract.CheckIdempotencyKey(good), "%q", good)
	}
	const unprintable = "idempotency_key must hold printable characters only"
	for bad, problem := range map[string]string{
		"a\x00b": unprintable, "a\nb": unprintable, "\t": unprintable, "a\u200bb": unprintable, "a\u00a0b": unprintable, "\u202e": unprintable,
		"\xff": "idempotency_key is not valid UTF-8",
		strings.Repeat("k", contract.MaxIdempotencyKey+1): "idempotency_key has 201 bytes; the limit is 200",
		strings.Repeat("é", 101):                          "idempotency_key has 202 bytes; the limit is 200",
	} {
		require.EqualError(t, contract.CheckIdempotencyKey(bad), problem, "%q", bad)
	}
}
