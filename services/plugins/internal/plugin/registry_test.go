package plugin_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
)

func allLayers() []string {
	names := []string{}
	for _, n := range layer.Names() {
		names = append(names, string(n))
	}
	return names
}

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
			d := described(t, c.plugin)
			require.Equal(t, []contract.PluginHealth{{
				Name: c.plugin.Name(), Version: d.Version, Kind: contract.PluginGo, Modalities: d.Modalities, Layers: allLayers(),
				Health: c.status, Detail: c.detail, Circuit: "closed", TimeLimitMS: 10_000, LastErrors: []contract.PluginError{},
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
		require.Equal(t, contract.PluginFailing, plugins[0].Health)
		require.Equal(t, "no answer within 2s", plugins[0].Detail)
		require.Equal(t, 1, plugins[0].Abandoned)
		require.Equal(t, contract.PluginOK, plugins[1].Health)
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
	require.ErrorContains(t, err, "limit of calls is 0")
	require.ErrorContains(t, err, "a plugin rests for 0s after 0 failures")
	bad := limits()
	bad.Timeouts = map[string]time.Duration{"a": 0}
	require.ErrorContains(t, build(bad, good), "timeout of a is 0s")
}

// TestAPluginThatKeepsFailingIsLeftAlone for a while; then one call finds out
// whether it is well again. Others are not touched.
func TestAPluginThatKeepsFailingIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limits()
		l.Failures, l.RestFor = 3, time.Minute
		sick, calls := true, 0
		moody := fake{name: "odd", run: func(_ context.Context, r plugin.Request) (plugin.Output, error) {
			calls++
			if sick {
				return plugin.Output{}, errors.New("no model")
			}
			return plugin.Output{Body: shaped(r, `"well":true`)}, nil
		}}
		r, err := plugin.NewRegistry(layer.NewAnalyzer(), l, oddFirst(), noop.NewTracerProvider(), moody, plugin.Deterministic{})
		require.NoError(t, err)
		for range 3 {
			require.Equal(t, "odd:no model", runToken(t, r, "odd_first").FallbackReason)
		}
		left := runToken(t, r, "odd_first")
		requireBaseline(t, left)
		require.Equal(t, "odd:not called, it has failed too often", left.FallbackReason)
		require.Equal(t, 3, calls)
		odd := r.Health(t.Context()).Plugins[0]
		require.Equal(t, contract.PluginFailing, odd.Health)
		require.Equal(t, "open", odd.Circuit)
		require.Equal(t, "9.9", odd.Version)
		require.EqualValues(t, 3, odd.Latency.Failures)
		require.Equal(t, "no model", odd.LastErrors[0].Error)
		require.Equal(t, "token", odd.LastErrors[0].Layer)

		<-time.After(time.Minute + time.Second)
		require.Equal(t, "odd:no model", runToken(t, r, "odd_first").FallbackReason)
		require.Equal(t, "odd:not called, it has failed too often", runToken(t, r, "odd_first").FallbackReason)

		<-time.After(time.Minute + time.Second)
		sick = false
		require.Equal(t, "odd", runToken(t, r, "odd_first").Provider)
		require.Equal(t, "odd", runToken(t, r, "odd_first").Provider)
		odd = r.Health(t.Context()).Plugins[0]
		require.Equal(t, "closed", odd.Circuit)
		require.Equal(t, contract.PluginOK, odd.Health)
		require.EqualValues(t, 2, odd.Latency.Calls)
	})
}

// TestRefusalsAreNotFailures: a text that a plugin cannot take, a layer that it
// does not support and a job that was stopped say nothing of the plugin.
func TestRefusalsAreNotFailures(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"a refusal": plugin.Refusal("too long"), "unsupported": plugin.ErrUnsupported} {
		l := limits()
		l.Failures = 1
		r, newErr := plugin.NewRegistry(layer.NewAnalyzer(), l, oddFirst(), noop.NewTracerProvider(), failing(err), plugin.Deterministic{})
		require.NoError(t, newErr)
		for range 5 {
			require.NotContains(t, runToken(t, r, "odd_first").FallbackReason, "too often", name)
		}
		odd := r.Health(t.Context()).Plugins[0]
		require.Equal(t, contract.PluginOK, odd.Health)
		require.Empty(t, odd.LastErrors)
	}
}

// TestARefusalDuringTheTrialIsNoAnswer: the trial call of a plugin that was left
// alone may be refused; the next one is the trial then.
func TestARefusalDuringTheTrialIsNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limits()
		l.Failures, l.RestFor = 1, time.Minute
		answer := errors.New("no model")
		moody := fake{name: "odd", run: func(_ context.Context, r plugin.Request) (plugin.Output, error) {
			return plugin.Output{Body: shaped(r, `"well":true`)}, answer
		}}
		r, err := plugin.NewRegistry(layer.NewAnalyzer(), l, oddFirst(), noop.NewTracerProvider(), moody, plugin.Deterministic{})
		require.NoError(t, err)
		runToken(t, r, "odd_first")
		<-time.After(time.Minute + time.Second)
		answer = plugin.Refusal("too long")
		for range 3 {
			require.Equal(t, "odd:too long", runToken(t, r, "odd_first").FallbackReason)
		}
		answer = nil
		require.Equal(t, "odd", runToken(t, r, "odd_first").Provider)
	})
}

// TestAPluginHasItsOwnTimeLimit.
func TestAPluginHasItsOwnTimeLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limits()
		l.Timeouts = map[string]time.Duration{"odd": 300 * time.Millisecond}
		release := make(chan struct{})
		r, err := plugin.NewRegistry(layer.NewAnalyzer(), l, oddFirst(), noop.NewTracerProvider(), hanging(release), plugin.Deterministic{})
		require.NoError(t, err)
		started := time.Now()
		require.Equal(t, "odd:no answer within 300ms", runToken(t, r, "odd_first").FallbackReason)
		require.Equal(t, 300*time.Millisecond, time.Since(started))
		require.EqualValues(t, 300, r.Health(t.Context()).Plugins[0].TimeLimitMS)
		close(release)
	})
}

// TestWithoutLearning: one registry, the same guards, and those that learn passed
// over.
func TestWithoutLearning(t *testing.T) {
	t.Parallel()
	r := builtIn(t, true)
	plain := runToken(t, r.WithoutLearning(), "ml_first")
	requireBaseline(t, plain)
	require.Equal(t, "plugin_unsupported:ml_stub", plain.FallbackReason)
	require.Equal(t, "ml_stub", runToken(t, r, "ml_first").Provider)
	require.EqualValues(t, 1, r.Health(t.Context()).Plugins[0].Latency.Calls)
	require.EqualValues(t, 1, r.WithoutLearning().Health(t.Context()).Plugins[1].Latency.Calls)
}

// TestLayersRunAtOnce: a run takes as long as its slowest layer where the plugin
// may be called often enough at once.
func TestLayersRunAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limits()
		l.Calls = 9
		slow := fake{name: "odd", run: func(_ context.Context, r plugin.Request) (plugin.Output, error) {
			<-time.After(time.Second)
			return plugin.Output{Body: shaped(r, `"slow":true`)}, nil
		}}
		r, err := plugin.NewRegistry(layer.NewAnalyzer(), l, oddFirst(), noop.NewTracerProvider(), slow)
		require.NoError(t, err)
		started := time.Now()
		computed, err := r.Run(t.Context(), "odd_only", layer.Names(), text())
		require.NoError(t, err)
		require.Len(t, computed, 9)
		require.Equal(t, time.Second, time.Since(started))
	})
}
