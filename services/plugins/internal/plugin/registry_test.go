package plugin_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	bad := func(health func(context.Context) error) fake { return fake{name: "odd", health: health} }
	cases := map[string]struct {
		plugin plugin.Plugin
		status contract.PluginStatus
		detail string
	}{
		"deterministic":     {plugin.Deterministic{}, contract.PluginOK, ""},
		"ml_stub, enabled":  {plugin.NewMLStub(true), contract.PluginOK, ""},
		"ml_stub, disabled": {plugin.NewMLStub(false), contract.PluginDisabled, "the plugin is disabled"},
		"sick":              {bad(func(context.Context) error { return errors.New("no model") }), contract.PluginFailing, "no model"},
		"panics":            {bad(func(context.Context) error { panic("boom") }), contract.PluginFailing, "panic: boom"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply := registry(t, c.plugin).Health(t.Context())
			require.Equal(t, []contract.PluginHealth{{
				Name: c.plugin.Name(), Version: c.plugin.Version(), Modalities: c.plugin.Modalities(),
				Status: c.status, Detail: c.detail,
			}}, reply.Plugins)
			require.Equal(t, []string{"ml_stub", "deterministic"}, reply.Profiles["ml_first"])
			require.Equal(t, []string{}, reply.Profiles["nobody"])
		})
	}
}

func TestHealthDoesNotWaitForAHangingPlugin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stuck := fake{name: "odd", health: func(context.Context) error { <-release; return nil }}
		plugins := registry(t, stuck, plugin.Deterministic{}).Health(t.Context()).Plugins
		require.Equal(t, contract.PluginFailing, plugins[0].Status)
		require.Equal(t, "no answer within 10s", plugins[0].Detail)
		require.Equal(t, 1, plugins[0].Abandoned)
		require.Equal(t, contract.PluginOK, plugins[1].Status)
		close(release)
	})
}

func TestNewRegistryRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	build := func(l plugin.Limits, profiles plugin.Profiles, plugins ...plugin.Plugin) error {
		_, err := plugin.NewRegistry(layer.NewAnalyzer(), l, profiles, noop.NewTracerProvider(), plugins...)
		return err
	}
	good := plugin.BuiltInProfiles()
	require.ErrorContains(t, build(limits(), good, fake{name: "a"}, fake{name: "a"}), "plugin a is registered twice")
	require.ErrorContains(t, build(limits(), good, fake{name: ""}), `plugin name ""`)
	require.ErrorContains(t, build(limits(), good, fake{name: "a;b"}), `plugin name "a;b"`)
	require.ErrorContains(t, build(limits(), plugin.Profiles{}), "there is no profile deterministic")
	err := build(plugin.Limits{}, good)
	require.ErrorContains(t, err, "timeout is 0s")
	require.ErrorContains(t, err, "output limit is 0: want at least 16384 bytes")
	require.ErrorContains(t, err, "limit of abandoned calls is 0")
}
