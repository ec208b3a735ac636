package governance_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/corpus/internal/governance"
)

func policy(t *testing.T, terms string) *governance.Policy {
	t.Helper()
	list, err := governance.ParseTerms(terms)
	require.NoError(t, err)
	return governance.New(list)
}

func TestTermsMatchAsWholeWords(t *testing.T) {
	t.Parallel()
	p := policy(t, "kill, Self-Harm ,ethnic   cleansing,é")
	for text, want := range map[string][]string{
		"":                               {},
		"They KILL it.":                  {"kill"},
		"skill killer kill_ 9kill killé": {},
		"kill":                           {"kill"},
		"self-harm and self-harms":       {"self-harm"},
		"self harm":                      {},
		"Ethnic\n\tCleansing":            {"ethnic cleansing"},
		"ethnic" + strings.Repeat(" ", 20) + "cleansing": {},
		"ké é":             {"é"},
		"kill kill, kill!": {"kill"},
		"\xffkill\xff":     {"kill"},
	} {
		d := p.Evaluate(text, governance.ModePublic)
		require.Equal(t, want, d.PolicyHits, "%q", text)
		require.Equal(t, len(want) == 0, d.Allow, "%q", text)
		require.Equal(t, d.Allow, d.Trace.Allow)
	}
}

func TestPlacesCountCharacters(t *testing.T) {
	t.Parallel()
	d := policy(t, "hate").Evaluate("Æ Hate, hate", governance.ModePublic)
	require.Equal(t, []governance.Hit{
		{Term: "hate", Start: 2, End: 6, MatchedText: "Hate", Rule: "blocked_terms", Mode: "PUBLIC"},
		{Term: "hate", Start: 8, End: 12, MatchedText: "hate", Rule: "blocked_terms", Mode: "PUBLIC"},
	}, d.Trace.Hits)
	require.Equal(t, 1, d.Trace.HardBlockThreshold)
	require.Equal(t, "[REDACTED]", d.Trace.RedactionStyle)
}

func TestRawFlagsAndAllows(t *testing.T) {
	t.Parallel()
	d := policy(t, "hate").Evaluate(strings.Repeat("hate ", 2000), governance.ModeRaw)
	require.True(t, d.Allow, "however many hits there are")
	require.Equal(t, 2000, d.Trace.HitCount)
	require.Len(t, d.Trace.Hits, 200)
	require.Equal(t, 999, d.Trace.HardBlockThreshold)
	require.Equal(t, "[FLAGGED]", d.Trace.RedactionStyle)
	require.Equal(t, []string{"[FLAGGED] hate"}, d.Redactions)
}

func TestTermsThatAreRefused(t *testing.T) {
	t.Parallel()
	many := make([]string, governance.MaxTerms+1)
	for i := range many {
		many[i] = fmt.Sprint("t", i)
	}
	for _, bad := range []string{strings.Join(many, ","), strings.Repeat("x", governance.MaxTerm+1), "a\xff"} {
		_, err := governance.ParseTerms(bad)
		require.Error(t, err)
	}
	none, err := governance.ParseTerms(" , ,")
	require.NoError(t, err)
	require.True(t, governance.New(none).Evaluate("kill", governance.ModePublic).Allow)
	twice, err := governance.ParseTerms("a,A , a")
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, twice)
}
