package remix_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/corpus/internal/remix"
)

const (
	source = "One. Two! Three?\n\nFour five."
	target = "Alpha beta.\n\nGamma.\n\nDelta."
)

func mix(t *testing.T, strategy, a, b string, seed int64) string {
	t.Helper()
	text, ok := remix.Texts(a, b, strategy, seed)
	require.True(t, ok)
	return text
}

func TestInterleave(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a x b y c", mix(t, remix.Interleave, "a b c", "x\ny", 0))
	require.Equal(t, "x y", mix(t, remix.Interleave, "", "x\ny", 0))
}

func TestThematicBlend(t *testing.T) {
	t.Parallel()
	all := []string{"One.", "Two!", "Three?", "Four five.", "Alpha beta.", "Gamma.", "Delta."}
	text := mix(t, remix.ThematicBlend, source, target, 1)
	rest := text
	count := 0
	for _, s := range all {
		if strings.Contains(text, s) {
			rest = strings.Replace(rest, s, "", 1)
			count++
		}
	}
	require.Empty(t, strings.TrimSpace(rest))
	require.Equal(t, 4, count, "as many as the longer text has")
}

func TestTemporalLayer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("A paragraph.\n\n", 1000)
	parts := strings.Split(mix(t, remix.TemporalLayer, "Source.", long, 3), "\n\n")
	require.Equal(t, "Source.", parts[0])
	require.InDelta(t, 700, len(parts)-1, 60)
	for _, p := range parts[1:] {
		require.Equal(t, "[temporal overlay] A paragraph.", p)
	}
}

func TestGlyphCollide(t *testing.T) {
	t.Parallel()
	text := mix(t, remix.GlyphCollide, "a b c", "axc yz", 5)
	require.Len(t, text, 5)
	require.Equal(t, "a", text[:1])
	require.Contains(t, "bx", text[1:2])
	require.Equal(t, "cyz", text[2:])
	require.Len(t, mix(t, remix.GlyphCollide, strings.Repeat("a ", 5000), "b", 0), 2000)
}

func TestChanceFollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	for _, strategy := range remix.Strategies() {
		first := mix(t, strategy, source, target, 7)
		require.Equal(t, first, mix(t, strategy, source, target, 7))
		require.Empty(t, mix(t, strategy, "", "", 7))
	}
	seen := map[string]bool{}
	for seed := range int64(20) {
		seen[mix(t, remix.ThematicBlend, source, target, seed)] = true
	}
	require.Greater(t, len(seen), 10)
	_, ok := remix.Texts(source, target, "stir", 0)
	require.False(t, ok)
	require.False(t, slices.Contains(remix.Strategies(), "stir"))
}
