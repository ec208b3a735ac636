package plugin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
)

func TestProfilesResolve(t *testing.T) {
	t.Parallel()
	profiles := plugin.BuiltInProfiles()
	require.Equal(t, plugin.Profiles{
		"deterministic": {"deterministic"},
		"ml_first":      {"ml_stub", "deterministic"},
		"ml_only":       {"ml_stub"},
	}, profiles)
	for requested, resolved := range map[string]string{
		"deterministic": "deterministic", "ml_first": "ml_first", "ml_only": "ml_only",
		"": "deterministic", "ML_FIRST": "deterministic", "no such profile": "deterministic",
	} {
		require.Equal(t, resolved, profiles.Resolve(requested), requested)
		require.Equal(t, resolved, builtIn(t, false).Profile(requested), requested)
	}
}

func described(t *testing.T, p plugin.Plugin) plugin.Description {
	t.Helper()
	d, err := p.Describe(t.Context())
	require.NoError(t, err)
	return d
}

func TestProfilesOfSettings(t *testing.T) {
	t.Parallel()
	profiles, err := plugin.ParseProfiles(" careful = keywords , deterministic;pure=shouter; ")
	require.NoError(t, err)
	require.Equal(t, []string{"keywords", "deterministic"}, profiles["careful"])
	require.Equal(t, []string{"shouter"}, profiles["pure"])
	require.Len(t, profiles, 5)
	profiles, err = plugin.ParseProfiles("")
	require.NoError(t, err)
	require.Equal(t, plugin.BuiltInProfiles(), profiles)
	for text, want := range map[string]string{
		"careful":                             `"careful": want name=plugin,plugin`,
		"=a":                                  "want name=plugin,plugin",
		"a b=c":                               "want name=plugin,plugin",
		"ml_only=a":                           "there is a profile ml_only already",
		"a=b;a=c":                             "there is a profile a already",
		"a=":                                  `profile a: "" is no name of a plugin`,
		"a=b,c.d":                             `profile a: "c.d" is no name of a plugin`,
		"a=" + strings.Repeat("b,", 16) + "b": "profile a names 17 plugins",
	} {
		_, err := plugin.ParseProfiles(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestDeterministicSupportsEverything(t *testing.T) {
	t.Parallel()
	p := plugin.Deterministic{}
	require.Equal(t, "deterministic", p.Name())
	d := described(t, p)
	require.Equal(t, "2.0", d.Version)
	require.Equal(t, []contract.Modality{"text", "pdf", "image", "audio", "binary"}, d.Modalities)
	require.NoError(t, p.Health(t.Context()))
	for _, name := range layer.Names() {
		for _, m := range contract.Modalities() {
			require.True(t, d.Supports(name, m))
		}
	}
	require.False(t, d.Supports("astrology", contract.ModalityText))
	require.False(t, d.Supports(layer.Token, "smell"))
}

func TestMLStubIsGated(t *testing.T) {
	t.Parallel()
	off, on := plugin.NewMLStub(false), plugin.NewMLStub(true)
	require.Equal(t, "ml_stub", on.Name())
	d := described(t, on)
	require.Equal(t, "0.1", d.Version)
	require.Equal(t, []contract.Modality{"text", "pdf", "image", "audio"}, d.Modalities)
	require.True(t, on.Learns())
	require.ErrorIs(t, off.Health(t.Context()), plugin.ErrDisabled)
	require.NoError(t, on.Health(t.Context()))
	for _, m := range contract.Modalities() {
		require.Equal(t, m != contract.ModalityBinary, d.Supports(layer.Token, m))
	}
	require.False(t, d.Supports("astrology", contract.ModalityText))
	_, err := off.Run(t.Context(), plugin.Request{})
	require.ErrorIs(t, err, plugin.ErrDisabled)
}

func TestMLStubAddsToTheBaseline(t *testing.T) {
	t.Parallel()
	expected := map[layer.Name]float64{
		"token": .82, "morphology": .78, "syntax": .76, "semantics": .74, "pragmatics": .72,
		"discourse": .71, "sociolinguistics": .69, "rhetoric": .84, "semiotic": .73,
	}
	for name, confidence := range expected {
		output, err := plugin.NewMLStub(true).Run(t.Context(), plugin.Request{
			Layer: name, Baseline: func() (json.RawMessage, error) { return json.RawMessage(`{"a":1}`), nil },
		})
		require.NoError(t, err)
		require.JSONEq(t, `{"a":1,"provider_note":"ml_stub_enrichment"}`, string(output.Body))
		require.InDelta(t, confidence, output.Confidence, 0, name)
	}
}

func TestBuiltInPluginsPassOnFailuresOfTheBaseline(t *testing.T) {
	t.Parallel()
	broken := plugin.Request{Baseline: func() (json.RawMessage, error) { return nil, &layer.UnknownError{Requested: "x"} }}
	var unknown *layer.UnknownError
	_, err := plugin.Deterministic{}.Run(t.Context(), broken)
	require.ErrorAs(t, err, &unknown)
	_, err = plugin.NewMLStub(true).Run(t.Context(), broken)
	require.ErrorAs(t, err, &unknown)
	odd := plugin.Request{Baseline: func() (json.RawMessage, error) { return json.RawMessage(`[]`), nil }}
	_, err = plugin.NewMLStub(true).Run(t.Context(), odd)
	require.ErrorContains(t, err, "read the baseline")
}
