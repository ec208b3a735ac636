package wasmplugin_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
	"nexus.internal/services/plugins/internal/wasmplugin"
)

// build builds a module for WASI with the Go toolchain that runs the test.
func build(t *testing.T, source, module string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", module, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0")
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
}

// start runs the modules of a folder. Compiling them takes its time under the race
// detector.
func start(t *testing.T, dir string) *wasmplugin.Host {
	t.Helper()
	host, err := wasmplugin.Open(dir, wasmplugin.Limits{MemoryMiB: 64, OutputBytes: 256 << 10}, zerolog.Nop())
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- host.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-stopped)
	})
	select {
	case <-ready:
	case err := <-stopped:
		stopped <- err
		require.NoError(t, err)
	}
	return host
}

// chain is a registry whose profile "odd" tries modules in turn, then
// deterministic.
func chain(t *testing.T, host *wasmplugin.Host, timeout time.Duration, names ...string) *plugin.Registry {
	t.Helper()
	plugins := []plugin.Plugin{plugin.Deterministic{}}
	for _, p := range host.Plugins() {
		plugins = append(plugins, p)
	}
	profiles, err := plugin.ParseProfiles("odd=" + strings.Join(append(names, "deterministic"), ","))
	require.NoError(t, err)
	r, err := plugin.NewRegistry(layer.NewAnalyzer(),
		plugin.Limits{Timeout: timeout, OutputBytes: 256 << 10, Calls: 2, Failures: 100, RestFor: time.Minute}, profiles, noop.NewTracerProvider(), plugins...)
	require.NoError(t, err)
	return r
}

func compute(t *testing.T, r *plugin.Registry, name layer.Name, text string) plugin.Layer {
	t.Helper()
	layers, err := r.Run(t.Context(), "odd", []layer.Name{name}, layer.Read(text, "text"))
	require.NoError(t, err)
	return layers[0]
}

// TestTheExample builds the example as its first lines say, and runs it.
func TestTheExample(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source, err := filepath.Abs("../../../../examples/plugins/wasm")
	require.NoError(t, err)
	build(t, source, filepath.Join(dir, "shout.wasm"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README.md"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broken.wasm"), []byte("\x00asm no module"), 0o600))
	r := chain(t, start(t, dir), 2*time.Minute, "broken", "shout")
	l := compute(t, r, layer.Pragmatics, "STOP it. I said STOP!")
	require.Equal(t, "shout", l.Provider, l.FallbackReason)
	require.Equal(t, "1.0.0", l.Version)
	require.InDelta(t, .75, l.Confidence, 0)
	require.Equal(t, "broken:the module cannot be read or compiled", l.FallbackReason)
	var output map[string]any
	require.NoError(t, json.Unmarshal(l.Output, &output))
	require.EqualValues(t, 2, output["shouted_words"])
	require.EqualValues(t, 1, output["exclamation_count"])
	require.Equal(t, string(l.Output), string(compute(t, r, layer.Pragmatics, "STOP it. I said STOP!").Output))
	require.Equal(t, "broken:the module cannot be read or compiled;plugin_unsupported:shout", compute(t, r, layer.Token, "x").FallbackReason)

	long := strings.Repeat("The lamp said NO. ", 128<<10/18)
	started := time.Now()
	require.Equal(t, "shout", compute(t, r, layer.Pragmatics, long).Provider)
	t.Logf("a text of 128 KiB took the module %s", time.Since(started))

	plugins := r.Health(t.Context()).Plugins
	require.Equal(t, contract.PluginFailing, plugins[1].Health)
	require.Equal(t, contract.PluginOK, plugins[2].Health)
	require.Equal(t, contract.PluginWASM, plugins[2].Kind)
	require.Equal(t, []string{"pragmatics"}, plugins[2].Layers)
}

func TestMisbehavingModules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	build(t, "testdata/odd", filepath.Join(dir, "odd.wasm"))
	// Only the one that hangs is to meet its limit, on a busy machine too.
	host := start(t, dir)
	r, impatient := chain(t, host, 2*time.Minute, "odd"), chain(t, host, time.Second, "odd")
	for behaviour, reason := range map[string]string{
		"panic":   "odd:it ends with code 2: panic: boom",
		"exit":    "odd:it ends with code 3: no model  none",
		"flood":   "odd:it writes more than 262144 bytes",
		"eat":     "odd:it ends with code 2: runtime: out of memory: cannot allocate ",
		"nothing": "odd:its answer is not JSON as it should be",
		"shape":   "odd:output has not the shape of its layer: token: missing properties 'token_count', 'unique_tokens', 'top_tokens'",
		"nan":     "odd:its answer is not JSON as it should be",
	} {
		l := compute(t, r, layer.Token, behaviour)
		require.Equal(t, "deterministic", l.Provider)
		require.True(t, strings.HasPrefix(l.FallbackReason, reason), "%s: %s", behaviour, l.FallbackReason)
	}
	require.Equal(t, "odd:no answer within 1s", compute(t, impatient, layer.Token, "hang").FallbackReason)
	require.Eventually(t, func() bool { return hung(t.Context(), r)+hung(t.Context(), impatient) == 0 }, 20*time.Second, 10*time.Millisecond, "a module is stopped, not left behind")
	l := compute(t, r, layer.Token, "look")
	require.Equal(t, "odd", l.Provider, l.FallbackReason)
	require.Contains(t, string(l.Output), `"files":false`)
	require.Contains(t, string(l.Output), `"environment":0`)
}

func hung(ctx context.Context, r *plugin.Registry) int {
	n := 0
	for _, p := range r.Health(ctx).Plugins {
		n += p.Abandoned
	}
	return n
}

func TestFoldersThatDoNotDo(t *testing.T) {
	t.Parallel()
	_, err := wasmplugin.Open(filepath.Join(t.TempDir(), "gone"), wasmplugin.Limits{}, zerolog.Nop())
	require.ErrorContains(t, err, "look for WebAssembly plugins")
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a b.wasm"), nil, 0o600))
	_, err = wasmplugin.Open(dir, wasmplugin.Limits{}, zerolog.Nop())
	require.ErrorContains(t, err, `WebAssembly plugin "a b"`)
}

// TestBeforeItRuns the host says that its modules are not ready.
func TestBeforeItRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "late.wasm"), nil, 0o600))
	host, err := wasmplugin.Open(dir, wasmplugin.Limits{MemoryMiB: 1, OutputBytes: 1}, zerolog.Nop())
	require.NoError(t, err)
	require.EqualError(t, host.Plugins()[0].Health(t.Context()), "the module is not ready")
}
