package plugin

import (
	"context"
	"fmt"
	"slices"

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

// Version implements [Plugin].
func (Deterministic) Version() string { return deterministicVersion }

// Modalities implements [Plugin].
func (Deterministic) Modalities() []contract.Modality { return contract.Modalities() }

// Health implements [Plugin]: nothing can be wrong with it.
func (Deterministic) Health(context.Context) error { return nil }

// Supports implements [Plugin].
func (Deterministic) Supports(l layer.Name, m contract.Modality) bool {
	return slices.Contains(layer.Names(), l) && slices.Contains(contract.Modalities(), m)
}

// Run implements [Plugin].
func (Deterministic) Run(_ context.Context, r Request) (Output, error) {
	body, err := r.Baseline()
	if err != nil {
		return Output{}, fmt.Errorf("compute the baseline: %w", err)
	}
	return Output{Body: body, Confidence: r.Layer.Confidence()}, nil
}
