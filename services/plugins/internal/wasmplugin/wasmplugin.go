// Package wasmplugin runs plugins that are WebAssembly modules, built for WASI
// preview 1: a module reads one call from its standard input, writes the answer
// to its standard output and ends. Each call has an instance, and so a memory, of
// its own.
//
// A module sees nothing of the machine: no file, no network, no environment, no
// real clock and no real chance, so that the same call has the same answer. Its
// memory, its output and its time are bounded.
package wasmplugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/plugins/internal/plugin"
)

const (
	// maxModules bounds the modules of a folder, maxModuleBytes each of them.
	maxModules     = 64
	maxModuleBytes = 64 << 20
	// maxComplaint is how much of a module's standard error is looked at.
	maxComplaint = 1 << 10
	pagesPerMiB  = 16
	extension    = ".wasm"
)

// Limits are what one call may cost.
type Limits struct {
	// MemoryMiB is the memory of an instance.
	MemoryMiB int
	// OutputBytes is how much it may write.
	OutputBytes int
}

// Host holds the modules of a folder. It is a run.Component: modules are made
// ready when it starts, and until then their plugins say so.
type Host struct {
	limits  Limits
	log     zerolog.Logger
	modules []*Plugin
}

// Open finds the modules in a folder, each a plugin named after its file. It
// reads none of them yet.
func Open(dir string, limits Limits, log zerolog.Logger) (*Host, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for WebAssembly plugins: %w", err)
	}
	h := &Host{limits: limits, log: log}
	for _, e := range entries {
		name, isModule := strings.CutSuffix(e.Name(), extension)
		if !isModule {
			continue
		}
		if !contract.ValidToken(name) {
			return nil, fmt.Errorf("WebAssembly plugin %q: want a name of 1 to %d of a-z A-Z 0-9 _ -", name, contract.MaxToken)
		}
		h.modules = append(h.modules, &Plugin{name: name, path: filepath.Join(dir, e.Name()), limits: limits})
	}
	if len(h.modules) > maxModules {
		return nil, fmt.Errorf("%s holds %d WebAssembly plugins: the limit is %d", dir, len(h.modules), maxModules)
	}
	return h, nil
}

// Plugins are the plugins of the folder.
func (h *Host) Plugins() []*Plugin { return slices.Clone(h.modules) }

// Name implements run.Component.
func (h *Host) Name() string { return "wasm plugins" }

// Run implements run.Component. A module that cannot be used costs only itself.
func (h *Host) Run(ctx context.Context, ready func()) error {
	base := context.WithoutCancel(ctx)
	runtime := wazero.NewRuntimeWithConfig(base, wazero.NewRuntimeConfig().
		WithCloseOnContextDone(true).WithMemoryLimitPages(uint32(h.limits.MemoryMiB*pagesPerMiB))) //nolint:gosec // the settings bound it
	defer func() {
		for _, m := range h.modules {
			m.ready.Store(nil)
		}
		if err := runtime.Close(base); err != nil {
			h.log.Warn().Err(err).Msg("could not close the WebAssembly runtime")
		}
	}()
	if _, err := wasi_snapshot_preview1.Instantiate(base, runtime); err != nil {
		return fmt.Errorf("start the WebAssembly runtime: %w", err)
	}
	for _, m := range h.modules {
		if err := m.prepare(ctx, runtime); err != nil {
			h.log.Error().Err(err).Str("plugin", m.name).Msg("a WebAssembly plugin cannot be used")
		}
	}
	ready()
	<-ctx.Done()
	return nil
}

// Plugin is one module.
type Plugin struct {
	name, path string
	limits     Limits
	ready      atomic.Pointer[module]
}

// module is a compiled module with its description, or why there is none.
type module struct {
	runtime   wazero.Runtime
	compiled  wazero.CompiledModule
	described plugin.Description
	broken    error
}

func (p *Plugin) prepare(ctx context.Context, runtime wazero.Runtime) error {
	m := &module{runtime: runtime}
	code, err := read(p.path)
	if err == nil {
		m.compiled, err = runtime.CompileModule(ctx, code)
	}
	if err != nil {
		// What is wrong inside goes to the log; outsiders learn that something is.
		m.broken = errors.New("the module cannot be read or compiled")
		p.ready.Store(m)
		return fmt.Errorf("prepare %s: %w", p.path, err)
	}
	if m.described, err = p.describe(ctx, m); err != nil {
		m.broken = fmt.Errorf("the module does not describe itself: %w", err)
	}
	p.ready.Store(m)
	return m.broken
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the folder is a setting
	if err != nil {
		return nil, err
	}
	code, err := io.ReadAll(io.LimitReader(file, maxModuleBytes+1))
	if err == nil && len(code) > maxModuleBytes {
		err = fmt.Errorf("the module is larger than %d bytes", maxModuleBytes)
	}
	return code, errors.Join(err, file.Close())
}

// describeWithin bounds the description at the start.
const describeWithin = 10 * time.Second

func (p *Plugin) describe(ctx context.Context, m *module) (plugin.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, describeWithin)
	defer cancel()
	call, err := plugin.EncodeDescribe()
	if err != nil {
		return plugin.Description{}, err
	}
	answer, err := p.call(ctx, m, call)
	if err != nil {
		return plugin.Description{}, err
	}
	return plugin.DecodeDescription(answer)
}

// Name implements [plugin.Plugin].
func (p *Plugin) Name() string { return p.name }

// Kind implements [plugin.Plugin].
func (p *Plugin) Kind() contract.PluginKind { return contract.PluginWASM }

// Describe implements [plugin.Plugin]. A module does not change while it is
// loaded, so it is asked once.
func (p *Plugin) Describe(context.Context) (plugin.Description, error) {
	m, err := p.module()
	if err != nil {
		return plugin.Description{}, err
	}
	return m.described, nil
}

func (p *Plugin) module() (*module, error) {
	m := p.ready.Load()
	if m == nil {
		return nil, plugin.Refusal("the module is not ready")
	}
	return m, m.broken
}

// Health implements [plugin.Plugin].
func (p *Plugin) Health(context.Context) error {
	_, err := p.module()
	return err
}

// Run implements [plugin.Plugin].
func (p *Plugin) Run(ctx context.Context, r plugin.Request) (plugin.Output, error) {
	m, err := p.module()
	if err != nil {
		return plugin.Output{}, err
	}
	call, err := plugin.EncodeRun(r)
	if err != nil {
		return plugin.Output{}, err
	}
	answer, err := p.call(ctx, m, call)
	if err != nil {
		return plugin.Output{}, err
	}
	return plugin.DecodeAnswer(answer)
}

// call runs an instance from its start to its end.
func (p *Plugin) call(ctx context.Context, m *module, call []byte) ([]byte, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// A module that floods is stopped: it need not heed the error of a write.
	out := &bounded{limit: p.limits.OutputBytes, over: stop}
	complaint := &bounded{limit: maxComplaint}
	sees := wazero.NewModuleConfig().WithName("").WithStdin(bytes.NewReader(call)).WithStdout(out).WithStderr(complaint)
	if parent := telemetry.TraceParent(ctx); parent != "" {
		sees = sees.WithEnv("TRACEPARENT", parent)
	}
	instance, err := m.runtime.InstantiateModule(ctx, m.compiled, sees)
	if instance != nil {
		_ = instance.Close(context.WithoutCancel(ctx))
	}
	var exit *sys.ExitError
	switch {
	case out.flooded:
		return nil, fmt.Errorf("it writes more than %d bytes", p.limits.OutputBytes)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &exit) && exit.ExitCode() == 0:
		return out.Bytes(), nil
	case errors.As(err, &exit):
		return nil, fmt.Errorf("it ends with code %d: %s", exit.ExitCode(), firstLine(complaint.Bytes()))
	case err != nil:
		return nil, errors.New("it traps: " + firstLine(complaint.Bytes()))
	}
	return out.Bytes(), nil
}

func firstLine(complaint []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(complaint)), "\n")
	if line == "" {
		return "it does not say why"
	}
	return line
}

// bounded keeps what is written, up to a limit.
type bounded struct {
	bytes.Buffer
	limit   int
	over    func()
	flooded bool
}

// Write implements io.Writer.
func (b *bounded) Write(data []byte) (int, error) {
	if room := b.limit - b.Len(); len(data) > room {
		b.flooded = true
		_, _ = b.Buffer.Write(data[:max(0, room)])
		if b.over == nil {
			// The rest is of no interest.
			return len(data), nil
		}
		b.over()
		return 0, errors.New("too much is written")
	}
	return b.Buffer.Write(data)
}
