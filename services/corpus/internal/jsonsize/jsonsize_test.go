package jsonsize_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/corpus/internal/jsonsize"
)

func FuzzOfIsWhatJSONTakes(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x01\b\f\n\r\t\x1f\x7f", `"\/`, "<&>", "þ日🙂\u2028\u2029", "\xff\xc3", "\uFFFD"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		data, err := json.Marshal(s)
		require.NoError(t, err)
		require.Equal(t, len(data)-2, jsonsize.Of(s))
	})
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s              string
		limit, encoded int
		want           string
	}{
		{"", 0, 0, ""},
		{"abc", 3, 3, "abc"},
		{"abc", 2, 9, "ab"},
		{"abc", 9, 2, "ab"},
		{"abc", 0, 9, ""},
		{"aþb", 2, 9, "a"},
		{"aþb", 3, 9, "aþ"},
		{"🙂", 3, 9, ""},
		{"<<<", 9, 12, "<<"},
		{"<<<", 9, 17, "<<"},
		{"a\n\"b", 9, 5, "a\n\""},
	} {
		require.Equal(t, c.want, jsonsize.Cut(c.s, c.limit, c.encoded), "%q %d %d", c.s, c.limit, c.encoded)
	}
}

func FuzzCutFits(f *testing.F) {
	f.Add("a<þ日🙂\n", 5, 7)
	f.Fuzz(func(t *testing.T, s string, limit, encoded int) {
		got := jsonsize.Cut(s, limit, encoded)
		require.True(t, strings.HasPrefix(s, got))
		require.LessOrEqual(t, len(got), max(limit, 0))
		require.LessOrEqual(t, jsonsize.Of(got), max(encoded, 0))
		if utf8.ValidString(s) {
			require.True(t, utf8.ValidString(got))
		}
	})
}
