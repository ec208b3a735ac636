package natsplugin_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/natsplugin"
	"nexus.internal/services/plugins/internal/plugin"
)

const sample = "Lanterns, lanterns and harbours: the harbours keep lanterns."

func registry(t *testing.T, nc *nats.Conn, timeout time.Duration) *plugin.Registry {
	t.Helper()
	remote, err := natsplugin.New(nc, "keywords", time.Now)
	require.NoError(t, err)
	profiles, err := plugin.ParseProfiles("careful=keywords,deterministic")
	require.NoError(t, err)
	r, err := plugin.NewRegistry(layer.NewAnalyzer(),
		plugin.Limits{Timeout: timeout, OutputBytes: 256 << 10, Calls: 8, Failures: 100, RestFor: time.Minute},
		profiles, noop.NewTracerProvider(), plugin.Deterministic{}, remote)
	require.NoError(t, err)
	return r
}

func token(t *testing.T, r *plugin.Registry, text string) plugin.Layer {
	t.Helper()
	layers, err := r.Run(t.Context(), "careful", []layer.Name{layer.Token}, layer.Read(text, "text"))
	require.NoError(t, err)
	return layers[0]
}

// TestAPluginInAnotherLanguage runs the example in JavaScript, with the official
// client.
func TestAPluginInAnotherLanguage(t *testing.T) {
	t.Parallel()
	server, err := embednats.Start(embednats.Options{Listen: "127.0.0.1:-1", StoreDir: t.TempDir(), Log: zerolog.Nop()})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	nc, err := nats.Connect(server.ClientURL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	r := registry(t, nc, 20*time.Second)
	require.Equal(t, "keywords:nobody answers on nexus.plugin.keywords", token(t, r, sample).FallbackReason)

	program := testkit.Node(t, "examples/plugins/node", "keywords.mjs", "NATS_URL="+server.ClientURL())
	program.Said("keywords answers")
	computed, err := r.Run(t.Context(), "careful", layer.Names(), layer.Read(sample, "text"))
	require.NoError(t, err)
	l := computed[0]
	require.Equal(t, "keywords", l.Provider, l.FallbackReason)
	require.Equal(t, "1.0.0", l.Version)
	require.InDelta(t, .8, l.Confidence, 0)
	var output struct {
		TokenCount int      `json:"token_count"`
		Keywords   []string `json:"keywords"`
	}
	require.NoError(t, json.Unmarshal(l.Output, &output))
	require.Equal(t, 8, output.TokenCount)
	require.Equal(t, []string{"lanterns", "harbours"}, output.Keywords)
	for _, other := range computed[1:] {
		require.Equal(t, "plugin_unsupported:keywords", other.FallbackReason)
	}
	health := r.Health(t.Context()).Plugins[1]
	require.Equal(t, contract.PluginNATS, health.Kind)
	require.Equal(t, contract.PluginOK, health.Health)
	require.Equal(t, []string{"token"}, health.Layers)
	require.EqualValues(t, 1, health.Latency.Calls)
	require.Positive(t, health.Latency.AvgMS)

	program.Kill()
	require.Equal(t, "keywords:nobody answers on nexus.plugin.keywords", token(t, r, sample).FallbackReason)
	require.Equal(t, contract.PluginFailing, r.Health(t.Context()).Plugins[1].Health)
}

// serve answers runs as a test says, and describes itself well.
func serve(t *testing.T, nc *nats.Conn, run func(micro.Request)) {
	t.Helper()
	service, err := micro.AddService(nc, micro.Config{Name: "keywords", Version: "1.0.0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Stop()) })
	require.NoError(t, service.AddEndpoint("run", micro.HandlerFunc(func(r micro.Request) {
		var call contract.PluginCall
		if json.Unmarshal(r.Data(), &call) == nil && call.Operation == contract.PluginDescribe {
			_ = r.Respond([]byte(`{"version":"1.0.0","modalities":["text"],"layers":["token","astrology"]}`))
			return
		}
		run(r)
	}), micro.WithEndpointSubject("nexus.plugin.keywords")))
	require.NoError(t, nc.Flush())
}

func TestMisbehavingPlugins(t *testing.T) {
	t.Parallel()
	good := `"output":{"token_count":1,"unique_tokens":1,"top_tokens":[]}`
	cases := map[string]struct {
		run    func(micro.Request)
		reason string
	}{
		"hangs":             {func(micro.Request) {}, "keywords:no answer within 500ms"},
		"says no JSON":      {func(r micro.Request) { _ = r.Respond([]byte("tokens!")) }, "keywords:its answer is not JSON as it should be"},
		"says nothing":      {func(r micro.Request) { _ = r.Respond(nil) }, "keywords:its answer is not JSON as it should be"},
		"says a list":       {func(r micro.Request) { _ = r.Respond([]byte("[]")) }, "keywords:its answer is not JSON as it should be"},
		"is not a number":   {func(r micro.Request) { _ = r.Respond([]byte("{" + good + `,"confidence":null}`)) }, "keywords:its answer has no confidence"},
		"is NaN":            {func(r micro.Request) { _ = r.Respond([]byte("{" + good + `,"confidence":NaN}`)) }, "keywords:its answer is not JSON as it should be"},
		"is too sure":       {func(r micro.Request) { _ = r.Respond([]byte("{" + good + `,"confidence":7}`)) }, "keywords:confidence 7 is not between 0 and 1"},
		"has another shape": {func(r micro.Request) { _ = r.Respond([]byte(`{"output":{"emoji_count":1},"confidence":1}`)) }, "keywords:output has not the shape of its layer: token: missing properties 'token_count', 'unique_tokens', 'top_tokens'"},
		"floods": {func(r micro.Request) {
			_ = r.Respond([]byte(`{"output":{"a":"` + strings.Repeat("x", 900<<10) + `"},"confidence":1}`))
		}, "keywords:output has 921608 bytes and the limit is 262144"},
		"floods the broker":   {func(r micro.Request) { _ = r.Respond(make([]byte, 50<<20)) }, "keywords:no answer within 500ms"},
		"complains":           {func(r micro.Request) { _ = r.Respond([]byte(`{"error":"no model; none"}`)) }, "keywords:no model  none"},
		"complains as micros": {func(r micro.Request) { _ = r.Error("500", "no model", nil) }, "keywords:error 500: no model"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc := testkit.NATS(t)
			serve(t, nc, c.run)
			within := 30 * time.Second
			if strings.HasSuffix(c.reason, "no answer within 500ms") {
				within = 500 * time.Millisecond
			}
			l := token(t, registry(t, nc, within), sample)
			require.Equal(t, "deterministic", l.Provider)
			require.Equal(t, c.reason, l.FallbackReason)
		})
	}
}

func TestALongTextIsNotCarried(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	serve(t, nc, func(r micro.Request) { _ = r.Respond([]byte("x")) })
	r := registry(t, nc, time.Minute)
	l := token(t, r, strings.Repeat("a ", contract.MaxMessage/2+1))
	require.Equal(t, "keywords:a text of 1024002 bytes does not fit the message that would carry it", l.FallbackReason)
	require.Equal(t, contract.PluginOK, r.Health(t.Context()).Plugins[1].Health)
	// It grows when it is written as JSON.
	l = token(t, r, strings.Repeat("\x01 ", 200_000))
	require.Equal(t, "keywords:a text of 400000 bytes does not fit the message that would carry it", l.FallbackReason)
}

func TestBadDescriptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, reason string }{
		"no JSON":   {"x", "keywords:its description is not JSON as it should be"},
		"nothing":   {"{}", "keywords:its description lacks version, layers or modalities"},
		"no layers": {`{"version":"1","modalities":["text"],"layers":[]}`, "keywords:its description lacks version, layers or modalities"},
		"others":    {`{"version":"1","modalities":["smell"],"layers":["astrology"]}`, "plugin_unsupported:keywords"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc := testkit.NATS(t)
			_, err := nc.Subscribe("nexus.plugin.keywords", func(m *nats.Msg) { _ = m.Respond([]byte(c.body)) })
			require.NoError(t, err)
			require.NoError(t, nc.Flush())
			require.Equal(t, c.reason, token(t, registry(t, nc, 20*time.Second), sample).FallbackReason)
		})
	}
}

func TestNamesAreWords(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "a.b", "*", ">", "a b"} {
		_, err := natsplugin.New(nil, bad, time.Now)
		require.Error(t, err, bad)
	}
}
