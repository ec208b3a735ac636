package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
)

const (
	mlStubName    = "ml_stub"
	mlStubVersion = "0.1"
	// mlStubNote is what the stub adds to a baseline, under provider_note.
	mlStubNote = "ml_stub_enrichment"
	// mlStubGain is how much more confident the stub is than the baseline, up to
	// mlStubMost.
	mlStubGain = 0.1
	mlStubMost = 0.95
)

// MLStub stands where a learned model will: it marks the baseline as enriched
// and claims more confidence. It takes every modality but binary.
type MLStub struct {
	enabled bool
}

// NewMLStub makes the plugin; while it is not enabled it computes nothing.
func NewMLStub(enabled bool) MLStub { return MLStub{enabled: enabled} }

// Name implements [Plugin].
func (MLStub) Name() string { return mlStubName }

// Kind implements [Plugin].
func (MLStub) Kind() contract.PluginKind { return contract.PluginGo }

// Learns implements [Learner]: what stands in for a learned model is ruled as
// one.
func (MLStub) Learns() bool { return true }

// Describe implements [Plugin].
func (MLStub) Describe(context.Context) (Description, error) {
	modalities := slices.DeleteFunc(contract.Modalities(), func(m contract.Modality) bool { return m == contract.ModalityBinary })
	return Description{Version: mlStubVersion, Modalities: modalities, Layers: layer.Names()}, nil
}

// Health implements [Plugin].
func (p MLStub) Health(context.Context) error {
	if !p.enabled {
		return ErrDisabled
	}
	return nil
}

// Run implements [Plugin]. It returns [ErrDisabled] while the plugin is switched
// off.
func (p MLStub) Run(_ context.Context, r Request) (Output, error) {
	if !p.enabled {
		return Output{}, ErrDisabled
	}
	body, err := r.Baseline()
	if err != nil {
		return Output{}, fmt.Errorf("compute the baseline: %w", err)
	}
	var enriched map[string]any
	if err := json.Unmarshal(body, &enriched); err != nil {
		return Output{}, fmt.Errorf("read the baseline: %w", err)
	}
	enriched["provider_note"] = mlStubNote
	if body, err = json.Marshal(enriched); err != nil {
		return Output{}, fmt.Errorf("encode the enriched baseline: %w", err)
	}
	return Output{Body: body, Confidence: mlStubConfidence(r.Layer)}, nil
}

// mlStubConfidence is rounded to two decimals, as the baseline's are: 0.61 + 0.1
// is not exactly 0.71 in binary.
func mlStubConfidence(l layer.Name) float64 {
	return min(math.Round((l.Confidence()+mlStubGain)*100)/100, mlStubMost)
}
