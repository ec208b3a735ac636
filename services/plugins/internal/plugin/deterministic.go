package plugin

import (
	"context"
	"fmt"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
)

const (
	deterministicName    = "deterministic"
	deterministicVersion = "2.0"
)

// Deterministic returns the baseline of every layer, for every modality.
type Deterministic struct{}

// Name implements [Plugin].
func (Deterministic) Name() string { return deterministicName }

// Kind implements [Plugin].
func (Deterministic) Kind() contract.PluginKind { return contract.PluginGo }

// Describe implements [Plugin].
func (Deterministic) Describe(context.Context) (Description, error) {
	return Description{Version: deterministicVersion, Modalities: contract.Modalities(), Layers: layer.Names()}, nil
}

// Health implements [Plugin]: nothing can be wrong with it.
func (Deterministic) Health(context.Context) error { return nil }

// Run implements [Plugin].
func (Deterministic) Run(_ context.Context, r Request) (Output, error) {
	body, err := r.Baseline()
	if err != nil {
		return Output{}, fmt.Errorf("compute the baseline: %w", err)
	}
	return Output{Body: body, Confidence: r.Layer.Confidence()}, nil
}
