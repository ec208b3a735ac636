package trail_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/audit/internal/trail"
)

func TestText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abc", 2, "ab"},
		{"abc", 0, ""},
		{"a\x00b", 10, "a\uFFFDb"},
		{"a\xffb", 10, "a\uFFFDb"},
		{"aé", 2, "a"},
		{"aé", 3, "aé"},
		{"a😀", 4, "a"},
		{"\xff\xff", 3, "\uFFFD"},
		{"\x00", 2, ""},
	} {
		require.Equal(t, c.want, trail.Text(c.in, c.limit), "%q", c.in)
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x00b\xff", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(0, limit)
		got := trail.Text(s, limit)
		require.LessOrEqual(t, len(got), limit)
		require.True(t, utf8.ValidString(got))
		require.NotContains(t, got, "\x00")
	})
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	out, err := trail.Headers(map[string][]string{
		"Nexus-Reason": {"why"}, "Color": {"red", "blue"}, "Empty": {}, "Bad\xff": {"a\x00b"},
		"X-Nexus-API-Key": {"s3cret"}, "authorization": {"Bearer s3cret"}, "My-Token": {"s3cret", "s3cret"},
		"Long": {strings.Repeat("x", 5000)},
	})
	require.NoError(t, err)
	require.NotContains(t, string(out), "s3cret")
	require.NotContains(t, string(out), `\u0000`, "jsonb refuses it")
	var got map[string][]string
	require.NoError(t, json.Unmarshal(out, &got))
	require.Len(t, got["Long"][0], 2048)
	delete(got, "Long")
	require.Equal(t, map[string][]string{
		"Nexus-Reason": {"why"}, "Color": {"red", "blue"}, "Bad\uFFFD": {"a\uFFFDb"},
		"X-Nexus-API-Key": {"[removed]"}, "authorization": {"[removed]"}, "My-Token": {"[removed]", "[removed]"},
	}, got)

	out, err = trail.Headers(nil)
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(out))
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	many := map[string][]string{"A": make([]string, 1000)}
	for i := range 1000 {
		many[fmt.Sprint("B", i)] = []string{"v"}
	}
	out, err := trail.Headers(many)
	require.NoError(t, err)
	var got map[string][]string
	require.NoError(t, json.Unmarshal(out, &got))
	require.Len(t, got, 64)
	require.Len(t, got["A"], 64)
}
