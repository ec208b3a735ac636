package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
)

const sample = "Either we walk, or we run! Ada didn't."

func text() *layer.Text { return layer.Read(sample, "text") }

// runToken runs the token layer alone.
func runToken(t *testing.T, r *plugin.Registry, profile string) plugin.Layer {
	t.Helper()
	computed, err := r.Run(t.Context(), profile, []layer.Name{layer.Token}, text())
	require.NoError(t, err)
	require.Len(t, computed, 1)
	return computed[0]
}

// requireBaseline says that a layer is the baseline, at baseline confidence.
func requireBaseline(t *testing.T, l plugin.Layer) {
	t.Helper()
	require.JSONEq(t, baseline(t, l.Name, text()), string(l.Output))
	require.Equal(t, "deterministic", l.Provider)
	require.Equal(t, "2.0", l.Version)
	require.InDelta(t, l.Name.Confidence(), l.Confidence, 0)
}

func TestRunDeterministic(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"deterministic", "", "no such profile"} {
		computed, err := builtIn(t, true).Run(t.Context(), profile, layer.Names(), text())
		require.NoError(t, err)
		require.Len(t, computed, 9)
		for i, l := range computed {
			require.Equal(t, layer.Names()[i], l.Name)
			requireBaseline(t, l)
			require.Empty(t, l.FallbackReason)
		}
	}
}

func TestRunMLFirst(t *testing.T) {
	t.Parallel()
	computed, err := builtIn(t, true).Run(t.Context(), "ml_first", layer.Names(), text())
	require.NoError(t, err)
	for _, l := range computed {
		require.Equal(t, "ml_stub", l.Provider)
		require.Equal(t, "0.1", l.Version)
		require.Empty(t, l.FallbackReason)
		require.InDelta(t, l.Name.Confidence()+.1, l.Confidence, 1e-9)
		var output map[string]any
		require.NoError(t, json.Unmarshal(l.Output, &output))
		require.Equal(t, "ml_stub_enrichment", output["provider_note"])
		delete(output, "provider_note")
		rest, err := json.Marshal(output)
		require.NoError(t, err)
		require.JSONEq(t, baseline(t, l.Name, text()), string(rest))
	}
}

func TestRunMLFirstDisabledFallsBack(t *testing.T) {
	t.Parallel()
	l := runToken(t, builtIn(t, false), "ml_first")
	requireBaseline(t, l)
	require.Equal(t, "plugin_unsupported:ml_stub", l.FallbackReason)
}

func TestRunMLOnlyDisabledIsExhausted(t *testing.T) {
	t.Parallel()
	l := runToken(t, builtIn(t, false), "ml_only")
	requireBaseline(t, l)
	require.Equal(t, "plugin_unsupported:ml_stub", l.FallbackReason)
	require.Zero(t, l.Runtime)
}

func TestRunMLOnlyOnBinaryIsExhausted(t *testing.T) {
	t.Parallel()
	computed, err := builtIn(t, true).Run(t.Context(), "ml_only", []layer.Name{layer.Semiotic}, layer.Read("", "binary"))
	require.NoError(t, err)
	require.Equal(t, "deterministic", computed[0].Provider)
	require.Equal(t, "plugin_unsupported:ml_stub", computed[0].FallbackReason)
}

func TestRunAnEmptyChain(t *testing.T) {
	t.Parallel()
	l := runToken(t, builtIn(t, true), "nobody")
	requireBaseline(t, l)
	require.Equal(t, "all_plugins_failed", l.FallbackReason)
	require.Zero(t, l.Runtime)
}

func TestRunListsEveryReasonInOrder(t *testing.T) {
	t.Parallel()
	l := runToken(t, registry(t, failing(errors.New("no model")), plugin.Deterministic{}), "ghosts")
	requireBaseline(t, l)
	require.Equal(t, "plugin_not_found:ghost;odd:no model", l.FallbackReason)
}

// TestMisbehavingPlugins: whatever a plugin does, its layer falls back with the
// reason, and the chain goes on.
func TestMisbehavingPlugins(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33)
	cases := map[string]struct {
		plugin fake
		reason string
	}{
		"fails":                      {failing(errors.New("no model")), "odd:no model"},
		"fails with a list of lies":  {failing(errors.New("a;plugin_not_found:b\n\x00c")), "odd:a plugin_not_found:b  c"},
		"fails at length":            {failing(errors.New(strings.Repeat("é", 1000))), "odd:" + strings.Repeat("é", 200) + "…"},
		"fails with invalid UTF-8":   {failing(errors.New("a\xffb")), "odd:a\uFFFDb"},
		"fails with a hostile error": {failing(hostileError{}), "odd:%!v(PANIC=Error method: not even the error)"},
		"panics":                     {panicking("boom"), "odd:panic: boom"},
		"panics with an error":       {panicking(errors.New("boom")), "odd:panic: boom"},
		"panics with nil":            {panicking(nil), "odd:panic: panic called with nil argument"},
		"reads beyond the end": {fake{name: "odd", run: func(context.Context, plugin.Request) (plugin.Output, error) {
			return plugin.Output{Body: json.RawMessage(strings.Fields("")[0])}, nil
		}}, "odd:panic: runtime error: index out of range [0] with length 0"},
		"panics when asked":  {fake{name: "odd", describe: func(context.Context) (plugin.Description, error) { panic("shy") }}, "odd:panic: shy"},
		"ends its goroutine": {exiting(), "odd:the call ended without returning"},
		"supports nothing":   {fake{name: "odd", describe: func(context.Context) (plugin.Description, error) { return plugin.Description{}, nil }}, "plugin_unsupported:odd"},
		"takes no text":      {fake{name: "odd", modalities: []contract.Modality{"audio"}}, "plugin_unsupported:odd"},
		"refuses":            {failing(plugin.Refusal("not; this")), "odd:not  this"},
		"would rather not":   {failing(plugin.ErrUnsupported), "plugin_unsupported:odd"},
		"is switched off":    {failing(plugin.ErrDisabled), "plugin_unsupported:odd"},
		"says 50 MB":         {returning(`{"a":"`+strings.Repeat("x", 50<<20)+`"}`, .5), "odd:output has 52428808 bytes and the limit is 262144"},
		"speaks of another layer": {
			returning(`{"emoji_count":1,"glyph_count":2,"symbol_density":0.5}`, .5),
			"odd:output has not the shape of its layer: token: missing properties 'token_count', 'unique_tokens', 'top_tokens'",
		},
		"has one field wrong": {
			returning(`{"token_count":1,"unique_tokens":1,"top_tokens":["a",{}]}`, .5),
			"odd:output has not the shape of its layer: token.top_tokens.1: got object, want string",
		},
		"floods":                  {returning(`{"a":"`+strings.Repeat("x", 256<<10)+`"}`, .5), "odd:output has 262152 bytes and the limit is 262144"},
		"floods when encoded":     {adding(`"a":"`+strings.Repeat("<", 50<<10)+`"`, .5), "odd:output has 307304 bytes and the limit is 262144"},
		"says nothing":            {returning("", .5), "odd:output is not a JSON object"},
		"says null":               {returning("null", .5), "odd:output is not a JSON object"},
		"says a list":             {returning(`[{}]`, .5), "odd:output is not a JSON object"},
		"says a number":           {returning(`1`, .5), "odd:output is not a JSON object"},
		"says half an object":     {returning(`{"a":1`, .5), "odd:output is not a JSON object"},
		"says two objects":        {returning(`{} {}`, .5), "odd:output goes on after its JSON object"},
		"says an object and }":    {returning(`{}}`, .5), "odd:output goes on after its JSON object"},
		"says invalid UTF-8":      {returning("{\"a\":\"\xff\"}", .5), "odd:output is not UTF-8"},
		"says NUL":                {returning(`{"a":["b\u0000"]}`, .5), "odd:output holds a NUL character"},
		"says NUL in a key":       {returning(`{"a\u0000":1}`, .5), "odd:output holds a NUL character"},
		"says too large":          {returning(`{"a":{"b":1e400}}`, .5), "odd:output holds a number out of range"},
		"says too small":          {returning(`{"a":1.5E-400}`, .5), "odd:output holds a number out of range"},
		"says a long zero":        {returning(`{"token_count":0e999999999}`, .5), "odd:output holds a number out of range"},
		"says a number at length": {returning(`{"a":0.`+strings.Repeat("1", 100)+`}`, .5), "odd:output holds a number out of range"},
		"nests too deep":          {returning(deep, .5), "odd:output nests deeper than 32 levels"},
		"nests absurdly deep":     {returning(`{"a":`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000)+"}", .5), "odd:output is not a JSON object"},
		"is too sure":             {returning(`{}`, 1.01), "odd:confidence 1.01 is not between 0 and 1"},
		"is less than unsure":     {returning(`{}`, -.01), "odd:confidence -0.01 is not between 0 and 1"},
		"is not a number":         {returning(`{}`, math.NaN()), "odd:confidence NaN is not between 0 and 1"},
		"is infinitely sure":      {returning(`{}`, math.Inf(1)), "odd:confidence +Inf is not between 0 and 1"},
		"reports its own limit":   {failing(context.DeadlineExceeded), "odd:context deadline exceeded"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registry(t, c.plugin, plugin.Deterministic{})
			first := runToken(t, r, "odd_first")
			requireBaseline(t, first)
			require.Equal(t, c.reason, first.FallbackReason)
			only := runToken(t, r, "odd_only")
			requireBaseline(t, only)
			require.Equal(t, c.reason, only.FallbackReason)
			require.Zero(t, only.Runtime)
		})
	}
}

// TestOneBadLayerCostsOnlyItself: a plugin that fails for one layer still serves
// the others.
func TestOneBadLayerCostsOnlyItself(t *testing.T) {
	t.Parallel()
	moody := fake{name: "odd", run: func(_ context.Context, r plugin.Request) (plugin.Output, error) {
		if r.Layer == layer.Syntax {
			panic("not syntax")
		}
		return plugin.Output{Body: shaped(r, `"ok":true`), Confidence: 1}, nil
	}}
	computed, err := registry(t, moody, plugin.Deterministic{}).Run(t.Context(), "odd_first", layer.Names(), text())
	require.NoError(t, err)
	for _, l := range computed {
		if l.Name == layer.Syntax {
			requireBaseline(t, l)
			require.Equal(t, "odd:panic: not syntax", l.FallbackReason)
			continue
		}
		require.Equal(t, "odd", l.Provider)
		require.Equal(t, "9.9", l.Version)
		require.Contains(t, string(l.Output), `"ok":true`)
		require.InDelta(t, 1, l.Confidence, 0)
	}
}

func TestAcceptedOutputsAreCanonical(t *testing.T) {
	t.Parallel()
	l := runToken(t, registry(t, returning(
		" {\"b\" : 1.50, \"a\":\"\\ud800<\", \"b\": 2e3, \"n\": 0.0, \"token_count\":1.0,\"unique_tokens\" :1, \"top_tokens\":[ ]} \n", 0)), "odd_only")
	canonical := strings.Join([]string{`{"a":"`, "\uFFFD", `\u003c","b":2e3,"n":0.0,"token_count":1.0,"top_tokens":[],"unique_tokens":1}`}, "")
	require.Equal(t, canonical, string(l.Output))
	require.InDelta(t, 0, l.Confidence, 0)
	require.Empty(t, l.FallbackReason)
}

// TestPluginsCannotSpoilTheBaseline: what one plugin does to the baseline it was
// given does not reach the next.
func TestPluginsCannotSpoilTheBaseline(t *testing.T) {
	t.Parallel()
	vandal := fake{name: "odd", run: func(_ context.Context, r plugin.Request) (plugin.Output, error) {
		body, err := r.Baseline()
		clear(body)
		return plugin.Output{Body: body}, err
	}}
	requireBaseline(t, runToken(t, registry(t, vandal, plugin.Deterministic{}), "odd_first"))
}

// TestOutputsAreTheRunsOwn: what a plugin does to its output after returning it
// does not reach the run.
func TestOutputsAreTheRunsOwn(t *testing.T) {
	t.Parallel()
	const tokens = `{"token_count":1,"unique_tokens":1,"top_tokens":["a"]}`
	kept := json.RawMessage(tokens)
	keeper := fake{name: "odd", run: func(context.Context, plugin.Request) (plugin.Output, error) {
		return plugin.Output{Body: kept}, nil
	}}
	l := runToken(t, registry(t, keeper), "odd_only")
	clear(kept)
	require.JSONEq(t, tokens, string(l.Output))
}

// TestRunFitsOneMessage: outputs that are within their own limit are refused once
// they would not fit the run together; the layers after them still do.
func TestRunFitsOneMessage(t *testing.T) {
	t.Parallel()
	big := adding(`"a":"`+strings.Repeat("x", 255<<10)+`"`, .5)
	computed, err := registry(t, big, plugin.Deterministic{}).Run(t.Context(), "odd_first", layer.Names(), text())
	require.NoError(t, err)
	total, served := 0, 0
	for _, l := range computed {
		total += len(l.Output)
		if l.Provider == "odd" {
			served++
			continue
		}
		requireBaseline(t, l)
		require.Contains(t, l.FallbackReason, "odd:output has 261")
	}
	require.Equal(t, 3, served)
	require.LessOrEqual(t, total, plugin.MaxRunBytes)
	require.Less(t, plugin.MaxRunBytes, contract.MaxMessage)
}

func TestAHangingPluginIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := registry(t, hanging(release), plugin.Deterministic{})
		started := time.Now()
		l := runToken(t, r, "odd_first")
		require.Equal(t, limits().Timeout, time.Since(started))
		requireBaseline(t, l)
		require.Equal(t, "odd:no answer within 10s", l.FallbackReason)
		require.Zero(t, l.Runtime)
		close(release)
	})
}

// TestHungCallsAreBounded: a plugin that keeps hanging is called no more than
// the limit allows, and again once its calls have returned.
func TestHungCallsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := registry(t, hanging(release), plugin.Deterministic{})
		computed, err := r.Run(t.Context(), "odd_first", layer.Names(), text())
		require.NoError(t, err)
		reasons := map[string]int{}
		for _, l := range computed {
			requireBaseline(t, l)
			reasons[l.FallbackReason]++
		}
		require.Equal(t, map[string]int{
			"odd:no answer within 10s": limits().Calls, "odd:2 calls have not returned": len(layer.Names()) - limits().Calls,
		}, reasons)
		odd := r.Health(t.Context()).Plugins[0]
		require.Equal(t, contract.PluginFailing, odd.Health)
		require.Equal(t, "2 calls have not returned", odd.Detail)
		require.Equal(t, 2, odd.Abandoned)

		close(release)
		synctest.Wait()
		odd = r.Health(t.Context()).Plugins[0]
		require.Equal(t, contract.PluginOK, odd.Health)
		require.Zero(t, odd.Abandoned)
		require.EqualValues(t, 2, odd.Latency.Failures)
		require.Len(t, odd.LastErrors, 2)
		require.Equal(t, "no answer within 10s", odd.LastErrors[0].Error)
		require.Equal(t, "odd", runToken(t, r, "odd_first").Provider)
	})
}

func TestAPluginThatHeedsItsTimeLimitLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := fake{name: "odd", run: func(ctx context.Context, _ plugin.Request) (plugin.Output, error) {
			<-ctx.Done()
			return plugin.Output{}, ctx.Err()
		}}
		r := registry(t, slow, plugin.Deterministic{})
		computed, err := r.Run(t.Context(), "odd_first", layer.Names(), text())
		require.NoError(t, err)
		for _, l := range computed {
			require.Equal(t, "odd:no answer within 10s", l.FallbackReason)
		}
		synctest.Wait()
		require.Zero(t, r.Health(t.Context()).Plugins[0].Abandoned)
	})
}

func TestRuntimeIsTheProvidersOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := fake{name: "odd", run: func(ctx context.Context, r plugin.Request) (plugin.Output, error) {
			timer := time.NewTimer(1500 * time.Millisecond)
			select {
			case <-timer.C:
				return plugin.Output{Body: shaped(r, `"slow":true`)}, nil
			case <-ctx.Done():
				return plugin.Output{}, ctx.Err()
			}
		}}
		require.Equal(t, 1500*time.Millisecond, runToken(t, registry(t, slow), "odd_only").Runtime)
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		called := make(chan struct{})
		stuck := fake{name: "odd", run: func(context.Context, plugin.Request) (plugin.Output, error) {
			close(called)
			<-release
			return plugin.Output{}, nil
		}}
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("the job was cancelled")
		go func() {
			<-called
			cancel(reason)
		}()
		computed, err := registry(t, stuck, plugin.Deterministic{}).Run(ctx, "odd_first", layer.Names(), text())
		require.ErrorIs(t, err, reason)
		require.Nil(t, computed)
		close(release)
	})
}

func TestRunRefusesUnknownLayers(t *testing.T) {
	t.Parallel()
	_, err := builtIn(t, true).Run(t.Context(), "deterministic", []layer.Name{"astrology"}, text())
	var unknown *layer.UnknownError
	require.ErrorAs(t, err, &unknown)
}

// TestConcurrentRuns gives the race detector something to look at.
func TestConcurrentRuns(t *testing.T) {
	t.Parallel()
	r, shared := builtIn(t, true), text()
	errs := make(chan error, 16)
	var running sync.WaitGroup
	for range cap(errs) {
		running.Go(func() {
			computed, err := r.Run(t.Context(), "ml_first", layer.Names(), shared)
			if err == nil && len(computed) != 9 {
				err = fmt.Errorf("got %d layers", len(computed))
			}
			errs <- err
		})
	}
	running.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}

func TestRunIsTraced(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	r, err := plugin.NewRegistry(layer.NewAnalyzer(), limits(), oddFirst(), provider,
		failing(errors.New("no model")), plugin.Deterministic{})
	require.NoError(t, err)
	_, err = r.Run(t.Context(), "odd_first", []layer.Name{layer.Token}, text())
	require.NoError(t, err)
	spans := recorder.Ended()
	require.Len(t, spans, 3)
	require.Equal(t, "run plugin odd", spans[0].Name())
	require.Equal(t, "no model", spans[0].Status().Description)
	require.Equal(t, "run plugin deterministic", spans[1].Name())
	require.Equal(t, "analyze layer token", spans[2].Name())
	require.Equal(t, spans[2].SpanContext().SpanID(), spans[0].Parent().SpanID())
}
