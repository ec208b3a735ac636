package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a plugin whose behaviour a test chooses; it behaves well by default.
type fake struct {
	name       string
	modalities []contract.Modality
	health     func(context.Context) error
	describe   func(context.Context) (plugin.Description, error)
	run        func(context.Context, plugin.Request) (plugin.Output, error)
}

func (f fake) Name() string              { return f.name }
func (f fake) Kind() contract.PluginKind { return contract.PluginGo }

func (f fake) Describe(ctx context.Context) (plugin.Description, error) {
	if f.describe != nil {
		return f.describe(ctx)
	}
	d := plugin.Description{Version: "9.9", Modalities: f.modalities, Layers: layer.Names()}
	if f.modalities == nil {
		d.Modalities = contract.Modalities()
	}
	return d, nil
}

func (f fake) Health(ctx context.Context) error {
	if f.health == nil {
		return nil
	}
	return f.health(ctx)
}

func (f fake) Run(ctx context.Context, r plugin.Request) (plugin.Output, error) {
	if f.run == nil {
		return plugin.Output{Body: shaped(r, `"from":"`+f.name+`"`), Confidence: .5}, nil
	}
	return f.run(ctx, r)
}

// shaped is an output of the shape of the layer asked for, with further fields.
func shaped(r plugin.Request, fields string) json.RawMessage {
	body, err := r.Baseline()
	if err != nil {
		return nil
	}
	return append(append(append([]byte("{"), fields...), ','), body[1:]...)
}

// adding is a plugin whose output has further fields.
func adding(fields string, confidence float64) fake {
	return fake{name: "odd", run: func(_ context.Context, r plugin.Request) (plugin.Output, error) {
		return plugin.Output{Body: shaped(r, fields), Confidence: confidence}, nil
	}}
}

// returning is a plugin with a fixed output.
func returning(body string, confidence float64) fake {
	return fake{name: "odd", run: func(context.Context, plugin.Request) (plugin.Output, error) {
		return plugin.Output{Body: json.RawMessage(body), Confidence: confidence}, nil
	}}
}

// hanging is a plugin that ignores its context until release is closed.
func hanging(release <-chan struct{}) fake {
	return fake{name: "odd", run: func(_ context.Context, r plugin.Request) (plugin.Output, error) {
		<-release
		return plugin.Output{Body: shaped(r, `"late":true`), Confidence: 1}, nil
	}}
}

// hostileError is an error that does not survive being read.
type hostileError struct{}

func (hostileError) Error() string { panic("not even the error") }

func failing(err error) fake {
	return fake{name: "odd", run: func(context.Context, plugin.Request) (plugin.Output, error) {
		return plugin.Output{}, err
	}}
}

func panicking(value any) fake {
	return fake{name: "odd", run: func(context.Context, plugin.Request) (plugin.Output, error) { panic(value) }}
}

func exiting() fake {
	return fake{name: "odd", run: func(context.Context, plugin.Request) (plugin.Output, error) {
		runtime.Goexit()
		return plugin.Output{}, errors.New("unreachable")
	}}
}

func limits() plugin.Limits {
	return plugin.Limits{Timeout: 10 * time.Second, OutputBytes: 256 << 10, Calls: 2, Failures: 100, RestFor: time.Minute}
}

// oddFirst chains the plugin named odd before deterministic.
func oddFirst() plugin.Profiles {
	profiles := plugin.BuiltInProfiles()
	profiles["odd_first"] = []string{"odd", "deterministic"}
	profiles["odd_only"] = []string{"odd"}
	profiles["nobody"] = []string{}
	profiles["ghosts"] = []string{"ghost", "odd", "deterministic"}
	return profiles
}

func registry(t *testing.T, plugins ...plugin.Plugin) *plugin.Registry {
	t.Helper()
	r, err := plugin.NewRegistry(layer.NewAnalyzer(), limits(), oddFirst(), noop.NewTracerProvider(), plugins...)
	require.NoError(t, err)
	return r
}

func builtIn(t *testing.T, mlEnabled bool) *plugin.Registry {
	t.Helper()
	return registry(t, plugin.Deterministic{}, plugin.NewMLStub(mlEnabled))
}

// baseline is what the layer's own algorithm says.
func baseline(t *testing.T, name layer.Name, text *layer.Text) string {
	t.Helper()
	body, err := layer.NewAnalyzer().JSON(name, text)
	require.NoError(t, err)
	return string(body)
}
