package evolve_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/corpus/internal/evolve"
)

func apply(t *testing.T, eventType, payload, text string) (string, map[string]any) {
	t.Helper()
	event, _, err := evolve.Parse(eventType, json.RawMessage(payload))
	require.NoError(t, err)
	return event.Apply(text)
}

func TestSoundChanges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"the path":         "þe paþ",
		"THE Aegis":        "þE ægis",
		"phlox":            "fioss", // through flox and fiox
		"back nation":      "bak nacion",
		"act plan":         "att pian",
		"clear scene":      "chiear shene",
		"sigh":             "seye",
		"knight":           "knt", // ni goes before kn and igh can
		"write thumb":      "rite þum",
		"":                 "",
		"ÆÐ 漢字 \U0001F600": "ÆÐ 漢字 \U0001F600",
	} {
		got, _ := apply(t, evolve.NaturalDrift, `{}`, text)
		require.Equal(t, want, got, text)
	}
	_, facts := apply(t, evolve.NaturalDrift, "", "the thin moth")
	require.Equal(t, map[string]any{"replacements": 3}, facts)
}

func TestTheWayBackTakesTheLongestFirst(t *testing.T) {
	t.Parallel()
	got, facts := apply(t, evolve.ReverseDrift, `{}`, "þe nacion chi quill")
	require.Equal(t, "the nation cl cwill", got)
	require.Equal(t, map[string]any{"reversals": 4}, facts)
}

func TestGlyphFusion(t *testing.T) {
	t.Parallel()
	got, facts := apply(t, evolve.GlyphFusion, `{}`, "AEON AEA ae")
	require.Equal(t, "ÆON ÆA ae", got)
	require.Equal(t, map[string]any{"fusions": 2, "pair": "AE", "fused": "Æ"}, facts)
	got, _ = apply(t, evolve.GlyphFusion, `{"left":"o","right":"e","fused":"œ"}`, "phoenix")
	require.Equal(t, "phœnix", got)
}

func TestSyntheticMutation(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("one two3 four_five, six! ", 100)
	none, facts := apply(t, evolve.SyntheticMutation, `{"mutation_rate":0}`, text)
	require.Equal(t, text, none)
	require.Equal(t, map[string]any{"mutations": 0}, facts)
	all, facts := apply(t, evolve.SyntheticMutation, `{"mutation_rate":1}`, text)
	require.Equal(t, map[string]any{"mutations": 200}, facts)
	require.NotContains(t, all, "one")
	require.Equal(t, 100, strings.Count(all, "two3 four_five, "), "only words of letters change, and nothing between them")
	for _, r := range strings.NewReplacer("two3", "", "four_five,", "", "!", "", " ", "").Replace(all) {
		require.Contains(t, "∆ÆΩ§☲⟁ΨΦΘΞ", string(r))
	}
	a, _ := apply(t, evolve.SyntheticMutation, `{"seed":1,"mutation_rate":0.5}`, text)
	b, _ := apply(t, evolve.SyntheticMutation, `{"seed":1,"mutation_rate":0.5}`, text)
	c, _ := apply(t, evolve.SyntheticMutation, `{"seed":2,"mutation_rate":0.5}`, text)
	require.Equal(t, a, b)
	require.NotEqual(t, a, c)
	_, facts = apply(t, evolve.SyntheticMutation, `{"seed":3}`, strings.Repeat("word ", 10_000))
	require.InDelta(t, 800, facts["mutations"], 150, "the default rate is 8 in a hundred")
}

func TestPhases(t *testing.T) {
	t.Parallel()
	got, facts := apply(t, evolve.PhaseShift, `{"phase":"expansion"}`, "1 2 3 4 5 6 7\n8 9")
	require.Equal(t, "1 mythic 2 3 4 5 6 7\n8 mythic 9", got)
	require.Equal(t, map[string]any{"phase": "expansion", "acceleration": 1.0, "intensity": 1.0}, facts)
	got, facts = apply(t, evolve.PhaseShift, `{"phase":"expansion","acceleration":10}`, " a  b ")
	require.Equal(t, " a mythic  b mythic ", got, "intensity ends at 5, and 7 / 5 is 1")
	require.InDelta(t, 5, facts["intensity"], 1e-9)
	got, _ = apply(t, evolve.PhaseShift, `{"phase":"peak"}`, "so it is")
	require.Equal(t, "SO IT IS", got, "1.5 is not more than 1.5")
	got, _ = apply(t, evolve.PhaseShift, `{"phase":"peak","acceleration":2}`, "a b c d")
	require.Equal(t, "A MYTHIC B C MYTHIC D", got, "intensity 3: every second word")
	got, _ = apply(t, evolve.PhaseShift, `{"phase":"compression","acceleration":2}`, "Aeiou vowels")
	require.Equal(t, " vwls", got)
	half, facts := apply(t, evolve.PhaseShift, `{"phase":"compression","seed":4}`, strings.Repeat("a", 10_000))
	require.InDelta(t, 4000, len(half), 250, "0.6 of the vowels go")
	require.InDelta(t, 1, facts["intensity"], 1e-9)
	born, facts := apply(t, evolve.PhaseShift, `{"phase":"rebirth","acceleration":0.1}`, "xyz")
	require.Equal(t, "xyz\n\n⟁ SONG-BIRTH ⟁", born)
	require.InDelta(t, 0.2, facts["intensity"], 1e-9)
}

func TestPayloadsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []struct{ eventType, payload, says string }{
		{"sideways", `{}`, "Unknown event_type 'sideways'"},
		{strings.Repeat("x", 9000), `{}`, "…'"},
		{"merge", `{}`, "/api/v1/branches/merge"},
		{"natural_drift", `{"speed":1}`, "does not know"},
		{"natural_drift", `[]`, "not a JSON object"},
		{"natural_drift", `7`, "not a JSON object"},
		{"natural_drift", `{} {}`, "not one JSON object"},
		{"natural_drift", `{`, "not valid JSON"},
		{"natural_drift", `{"seed":"a"}`, "seed is of the wrong type"},
		{"natural_drift", `{"seed":1e30}`, "seed is of the wrong type"},
		{"natural_drift", `{"expected_parent_event_index":-1}`, "is negative"},
		{"synthetic_mutation", `{"mutation_rate":1.01}`, "want 0 to 1"},
		{"synthetic_mutation", `{"mutation_rate":-1e-9}`, "want 0 to 1"},
		{"phase_shift", `{}`, "phase is ''"},
		{"phase_shift", `{"phase":"sleep"}`, "phase is 'sleep'"},
		{"phase_shift", `{"phase":"peak","acceleration":0}`, "acceleration is 0"},
		{"phase_shift", `{"phase":"peak","acceleration":1e300}`, "at most 1000"},
		{"glyph_fusion", `{"left":""}`, "left is empty"},
		{"glyph_fusion", `{"fused":""}`, "fused is empty"},
		{"glyph_fusion", `{"right":"` + strings.Repeat("e", 65) + `"}`, "more than 64 bytes"},
		{"remix", `{"strategy":"interleave"}`, "remixed_text is missing"},
	} {
		_, _, err := evolve.Parse(bad.eventType, json.RawMessage(bad.payload))
		var invalid *evolve.InvalidError
		require.ErrorAs(t, err, &invalid, "%.40s %s", bad.eventType, bad.payload)
		require.ErrorContains(t, err, bad.says)
		require.Less(t, len(err.Error()), 400)
	}
}

func TestMergeTexts(t *testing.T) {
	t.Parallel()
	left, right := "a b c d", "a x d"
	for strategy, want := range map[string]string{evolve.LeftWins: left, evolve.RightWins: right, evolve.Interleave: "a a b x c d d"} {
		text, s, err := evolve.MergeTexts(left, right, strategy)
		require.NoError(t, err)
		require.Equal(t, want, text)
		require.Equal(t, []int{7, 4, 5, 3, 2, 2, 1, 2, 2}, []int{
			s.LeftChars, s.LeftWords, s.RightChars, s.RightWords, s.SharedWordCount, s.LeftOnlyWordCount, s.RightOnlyWordCount, s.CommonPrefixChars, s.CommonSuffixChars,
		})
		require.Equal(t, utf8.RuneCountInString(text), s.MergedChars)
		require.Equal(t, strategy != evolve.Interleave, s.DropsNonSelectedInput)
		require.False(t, s.InputsIdentical)
	}
	text, s, err := evolve.MergeTexts(left, left, evolve.Interleave)
	require.NoError(t, err)
	require.Equal(t, left, text)
	require.Equal(t, "identical_inputs word_interleave", s.Resolution+" "+s.StrategyEffect)
	require.True(t, s.InputsIdentical)
	_, _, err = evolve.MergeTexts(left, right, "coin_toss")
	require.ErrorContains(t, err, "Unknown strategy")
}

// FuzzEvent gives payloads to events: whatever is accepted gives the same text
// twice, in valid UTF-8 where it got that.
func FuzzEvent(f *testing.F) {
	for i, payload := range []string{`{}`, `{"seed":3,"mutation_rate":0.5}`, `{"phase":"rebirth","acceleration":3}`, `{"left":"\u0041","right":"E","fused":"\ud83d\ude00"}`, `{"remixed_text":"x"}`} {
		f.Add(i, payload, "The knight wrote.\n\nAE")
	}
	f.Fuzz(func(t *testing.T, which int, payload, text string) {
		types := append(evolve.Types(), evolve.Merge, payload)
		event, _, err := evolve.Parse(types[(which&0xff)%len(types)], json.RawMessage(payload))
		if err != nil {
			var invalid *evolve.InvalidError
			require.ErrorAs(t, err, &invalid)
			return
		}
		first, facts := event.Apply(text)
		second, _ := event.Apply(text)
		require.Equal(t, first, second)
		if utf8.ValidString(text) {
			require.True(t, utf8.ValidString(first))
		}
		_, err = json.Marshal(evolve.Summary("x", text, first, facts))
		require.NoError(t, err)
	})
}
