package plugin

import (
	"context"
	"encoding/json"
	"errors"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
)

// Plugin computes layers. Its methods are called from many goroutines at once.
// Name, Version and Modalities are asked once, when the plugin is registered.
type Plugin interface {
	// Name is one word of a-z, A-Z, 0-9, '_' and '-'.
	Name() string
	Version() string
	// Modalities are those the plugin takes documents of.
	Modalities() []contract.Modality
	// Health returns nil when the plugin could run now, [ErrDisabled] when it is
	// switched off, and any other error when something is wrong.
	Health(ctx context.Context) error
	// Supports reports whether the plugin would compute this layer now.
	Supports(l layer.Name, m contract.Modality) bool
	// Run computes one layer. It must return soon after ctx ends, and its output
	// must be the same for the same request.
	Run(ctx context.Context, r Request) (Output, error)
}

// ErrDisabled says that a plugin is switched off by a setting.
var ErrDisabled = errors.New("the plugin is disabled")

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
