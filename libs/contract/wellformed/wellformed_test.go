package wellformed_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract/wellformed"
)

var rules = wellformed.Rules{Depth: 20, Free: []string{"free"}}

func TestWellFormed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`, ` null `, `1`, `-0`, `1.5e-3`, `1e308`, `1E+0308`, `1e-400`, `0.` + strings.Repeat("0", 398) + `1`, strings.Repeat("9", 308), `-1.7e308`,
		`[1,1,{"a":1},{"a":1}]`, `{"a":{"a":1},"A":1}`, `"\\u0000"`, `"\ud800"`, strings.Repeat("[", 20) + strings.Repeat("]", 20),
	} {
		require.Nil(t, wellformed.Check([]byte(text), rules), text)
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("1", 200_000)
	for text, want := range map[string]struct {
		kind   wellformed.Kind
		detail string
	}{
		``:                          {wellformed.Syntax, "not valid JSON, it ends too early"},
		` `:                         {wellformed.Syntax, "not valid JSON, it ends too early"},
		`{"a":`:                     {wellformed.Syntax, "not valid JSON, it ends too early"},
		`{"a":"`:                    {wellformed.Syntax, "not valid JSON, it ends too early"},
		`nul`:                       {wellformed.Syntax, "not valid JSON, it ends too early"},
		`good`:                      {wellformed.Syntax, "not valid JSON"},
		`{"a":x}`:                   {wellformed.Syntax, "not valid JSON"},
		`{"a" 1}`:                   {wellformed.Syntax, "not valid JSON"},
		`{} {}`:                     {wellformed.Syntax, "not valid JSON, there is more after top-level value"},
		`{}}`:                       {wellformed.Syntax, "not valid JSON, there is more after top-level value"},
		"{}\x00":                    {wellformed.Syntax, "not valid JSON, there is more after top-level value"},
		`[1e-1000001,`:              {wellformed.Syntax, "not valid JSON, it ends too early"},
		strings.Repeat("[", 30_000): {wellformed.Syntax, "nested deeper than 20 levels"},
		"\"\xff\"":                  {wellformed.Encoding, "not valid UTF-8"},
		strings.Repeat("[", 21) + strings.Repeat("]", 21): {wellformed.Depth, "nested deeper than 20 levels"},
		`{"a":["x","\u0000"]}`:                            {wellformed.NUL, `.a[1]: must hold printable characters only, not NUL (\u0000)`},
		`{"a\u0000":1}`:                                   {wellformed.NUL, "NUL"},
		`{"a":1,"b":2,"a":3}`:                             {wellformed.Twice, ".a: given twice"},
		`{"j":[{"p":{"x":1,"\u0078":2}}]}`:                {wellformed.Twice, ".j[0].p.x: given twice"},
		`{"free":{"a":1,"a":1},"b":{"a":1,"a":2}}`:        {wellformed.Twice, ".b.a: given twice"},
		`{"free":{"a":1,"a":1},"free":1}`:                 {wellformed.Twice, ".free: given twice"},
		`{"free":[{"a":1e999}]}`:                          {wellformed.Number, ".free[0].a: "},
		`{"payload":{"n":1e-1000001}}`:                    {wellformed.Number, ".payload.n: the exponent of the number is out of range: want -400 to 400"},
		`{"n":[0,1E+000401]}`:                             {wellformed.Number, ".n[1]: the exponent of the number is out of range: want -400 to 400"},
		`1e9223372036854775808`:                           {wellformed.Number, "the exponent of the number is out of range: want -400 to 400"},
		`{"n":` + long + `}`:                              {wellformed.Number, ".n: the number has 200000 digits; the limit is 400"},
		`{"n":-0.` + long + `}`:                           {wellformed.Number, ".n: the number has 200001 digits; the limit is 400"},
		`1e309`:                                           {wellformed.Number, "the number is too large: want -1.7e308 to 1.7e308"},
		`-` + strings.Repeat("9", 310):                    {wellformed.Number, "the number is too large: want -1.7e308 to 1.7e308"},
		strings.Repeat("9", 200) + `e200`:                 {wellformed.Number, "the number is too large: want -1.7e308 to 1.7e308"},
		`{"` + strings.Repeat("x", 10_000) + `":1e999}`:   {wellformed.Number, "out of range"},
	} {
		found := wellformed.Check([]byte(text), rules)
		require.NotNil(t, found, "%.80s", text)
		require.Equal(t, want.kind, found.Kind, "%.80s: %s", text, found)
		require.Contains(t, found.Error(), want.detail, "%.80s", text)
		require.Less(t, len(found.Error()), 500)
	}
}

func BenchmarkCheck(b *testing.B) {
	for name, text := range map[string]string{
		"small":   `{"job_type":"noop","payload":{"a":1,"b":"text","c":[1,2,3]}}`,
		"numbers": `[` + strings.Repeat("1e-400,", 500_000) + `1]`,
		"names":   `{"a":{"b":1},"c":[{},{"d":[]}]}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if found := wellformed.Check([]byte(text), wellformed.Rules{Depth: 100, FreeAll: true}); found != nil {
					b.Fatal(found)
				}
			}
		})
	}
}
