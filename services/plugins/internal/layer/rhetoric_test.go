package layer_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/plugins/internal/layer"
)

func rhetoric(text string) layer.RhetoricOutput {
	return layer.NewAnalyzer().Rhetoric(layer.Read(text, "text"))
}

func TestRhetoricAppeals(t *testing.T) {
	t.Parallel()
	// 16 words. Ethos: according to, experts. Pathos: fear. Logos: data, because.
	// 50/66, 25/41, 50/66.
	got := rhetoric("According to experts the data is clear. We fear rain because it is wet and cold.")
	require.Equal(t, layer.RhetoricOutput{
		EthosScore: .7576, PathosScore: .6098, LogosScore: .7576,
		Strategies: []string{"ethos", "pathos", "logos"},
		Devices:    []string{},
		Fallacies:  []string{},
		Explainability: layer.Explainability{
			Method:       got.Explainability.Method,
			TokenCount:   16,
			MarkerCounts: layer.MarkerCounts{Ethos: 2, Pathos: 1, Logos: 2},
			LinkedSpans: []layer.LinkedSpan{
				{"according to", 0}, {"experts", 2}, {"data", 4}, {"fear", 8}, {"because", 10},
			},
			FallacyEvidence: map[string][]layer.Count{},
		},
	}, got)
	require.NotEmpty(t, got.Explainability.Method)
}

func TestRhetoricScoresGrowWithDensity(t *testing.T) {
	t.Parallel()
	// One marker in 25 words scores one half.
	sparse := rhetoric("evidence b c d e f g h i j k l m n o p q r s t u v w x y")
	require.InDelta(t, .5, sparse.LogosScore, 0)
	require.InDelta(t, .9615, rhetoric("evidence").LogosScore, 0)
	require.InDelta(t, 0, rhetoric("b c d").LogosScore, 0)
}

func TestRhetoricDevices(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want []string
	}{
		"none":                      {"A plain line.", []string{}},
		"direct address":            {"Mind your step.", []string{"direct_address"}},
		"questioning":               {"Is it so? It is.", []string{"questioning"}},
		"anaphora":                  {"We shall fight here. We shall fight there.", []string{"anaphora"}},
		"sentences too short":       {"We shall. We shall.", []string{}},
		"not side by side":          {"We shall fight here. No. We shall fight there.", []string{}},
		"one common word is no art": {"The cat sat down. The dog sat down.", []string{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, rhetoric(c.text).Devices)
		})
	}
}

func TestLinkedSpansAreBounded(t *testing.T) {
	t.Parallel()
	got := rhetoric(strings.Repeat("fear data ", 100)).Explainability
	require.Len(t, got.LinkedSpans, 50)
	require.Equal(t, layer.LinkedSpan{Marker: "data", Index: 49}, got.LinkedSpans[49])
	require.Equal(t, layer.MarkerCounts{Pathos: 100, Logos: 100}, got.MarkerCounts)
}

func TestRhetoricFallacies(t *testing.T) {
	t.Parallel()
	type evidence = map[string][]layer.Count
	cases := map[string]struct {
		text string
		want evidence
	}{
		"none": {"It rained, and we stayed in.", evidence{}},
		"bandwagon": {
			"Everyone knows it. EVERYONE KNOWS it; millions of people agree.",
			evidence{"bandwagon": {{"everyone knows", 2}, {"millions of people", 1}}},
		},
		"false dilemma, either or": {
			"Either we act now or we perish.",
			evidence{"false_dilemma": {{"either … or", 1}}},
		},
		"either is answered once": {
			"Either tea or milk or water.",
			evidence{"false_dilemma": {{"either … or", 1}}},
		},
		"or in the next sentence": {"I like either. Or neither.", evidence{}},
		"either says nothing":     {"I like either one.", evidence{}},
		"or without either":       {"Tea or milk.", evidence{}},
		"or in the twelfth word": {
			"either 1 2 3 4 5 6 7 8 9 10 11 or",
			evidence{"false_dilemma": {{"either … or", 1}}},
		},
		"or comes too late": {"either 1 2 3 4 5 6 7 8 9 10 11 12 or", evidence{}},
		"false dilemma, phrases": {
			"There is no alternative. You are with us or against us.",
			evidence{"false_dilemma": {{"no alternative", 1}, {"with us or against us", 1}}},
		},
		"ad hominem": {
			"You are a liar and a fool.",
			evidence{"ad_hominem": {{"liar", 1}, {"fool", 1}}},
		},
		"an insult to nobody":            {"A foolish thing to do.", evidence{}},
		"the person is another sentence": {"He came. What a stupid rain.", evidence{}},
		"all three, in fixed order": {
			"My opponent is a clown. Now or never! Most people agree.",
			evidence{
				"bandwagon":     {{"most people agree", 1}},
				"false_dilemma": {{"now or never", 1}},
				"ad_hominem":    {{"clown", 1}},
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := rhetoric(c.text)
			require.Equal(t, c.want, got.Explainability.FallacyEvidence)
			named := []string{}
			for _, fallacy := range []string{"bandwagon", "false_dilemma", "ad_hominem"} {
				if len(c.want[fallacy]) > 0 {
					named = append(named, fallacy)
				}
			}
			require.Equal(t, named, got.Fallacies)
		})
	}
}
