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
	supports   func(layer.Name, contract.Modality) bool
	run        func(context.Context, plugin.Request) (plugin.Output, error)
}

func (f fake) Name() string    { return f.name }
func (f fake) Version() string { return "9.9" }

func (f fake) Modalities() []contract.Modality {
	if f.modalities == nil {
		return contract.Modalities()
	}
	return f.modalities
}

func (f fake) Health(ctx context.Context) error {
	if f.health == nil {
		return nil
	}
	return f.health(ctx)
}

func (f fake) Supports(l layer.Name, m contract.Modality) bool {
	return f.supports == nil || f.supports(l, m)
}

func (f fake) Run(ctx context.Context, r plugin.Request) (plugin.Output, error) {
	if f.run == nil {
		return plugin.Output{Body: json.RawMessage(`{"from":"` + f.name + `"}`), Confidence: .5}, nil
	}
	return f.run(ctx, r)
}

// returning is a plugin with a fixed output.
func returning(body string, confidence float64) fake {
	return fake{name: "odd", run: func(context.Context, plugin.Request) (plugin.Output, error) {
		return plugin.Output{Body: json.RawMessage(body), Confidence: confidence}, nil
	}}
}

// hanging is a plugin that ignores its context until release is closed.
func hanging(release <-chan struct{}) fake {
	return fake{name: "odd", run: func(context.Context, plugin.Request) (plugin.Output, error) {
		<-release
		return plugin.Output{Body: json.RawMessage(`{}`), Confidence: 1}, nil
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
	return plugin.Limits{Timeout: 10 * time.Second, OutputBytes: 256 << 10, Abandoned: 2}
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
