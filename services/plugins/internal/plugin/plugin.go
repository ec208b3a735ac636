package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
)

// Plugin computes layers. Its methods are called from many goroutines at once.
// Name and Kind are asked once, when the plugin is registered.
type Plugin interface {
	// Name is one word of a-z, A-Z, 0-9, '_' and '-'.
	Name() string
	Kind() contract.PluginKind
	// Describe says what the plugin takes. It is asked before every run; a plugin
	// that is somewhere else remembers the answer for a while.
	Describe(ctx context.Context) (Description, error)
	// Health returns nil when the plugin could run now, [ErrDisabled] when it is
	// switched off, and any other error when something is wrong.
	Health(ctx context.Context) error
	// Run computes one layer. It must return soon after ctx ends, and its output
	// must be the same for the same request. [ErrUnsupported] and [ErrDisabled]
	// say that it would rather not, a [Refusal] why it cannot take this request;
	// none of them is held against the plugin.
	Run(ctx context.Context, r Request) (Output, error)
}

// Learner is implemented by plugins that learn. They run only where that is
// allowed.
type Learner interface {
	Learns() bool
}

// Description is what a plugin takes.
type Description struct {
	Version    string
	Modalities []contract.Modality
	Layers     []layer.Name
}

// Supports reports whether the plugin computes a layer of documents of a
// modality.
func (d Description) Supports(l layer.Name, m contract.Modality) bool {
	return slices.Contains(d.Layers, l) && slices.Contains(d.Modalities, m)
}

// Errors of plugins that are not failures.
var (
	// ErrDisabled says that a plugin is switched off by a setting.
	ErrDisabled = errors.New("the plugin is disabled")
	// ErrUnsupported says that a plugin does not take the layer or the modality.
	ErrUnsupported = errors.New("the plugin does not support this layer")
)

// Refusal says why a plugin cannot take one request, though it is well.
type Refusal string

// Error implements error.
func (r Refusal) Error() string { return string(r) }

// Request asks for one layer of one document.
type Request struct {
	Layer    layer.Name
	Modality contract.Modality
	// Text is shared with other plugins and must not be changed.
	Text *layer.Text
	// Baseline computes the baseline output, a JSON object that is the caller's
	// own. However often it is called, the work is done once.
	Baseline func() (json.RawMessage, error)
}

// Output is a computed layer.
type Output struct {
	// Body is a JSON object.
	Body json.RawMessage
	// Confidence is 0 to 1.
	Confidence float64
}
