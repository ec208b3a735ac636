package plugin

import (
	"encoding/json"
	"errors"
	"fmt"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
)

// EncodeDescribe is the call that asks a plugin outside the process what it
// takes.
func EncodeDescribe() ([]byte, error) {
	return contract.Encode(contract.PluginCall{Operation: contract.PluginDescribe})
}

// EncodeRun is the call that asks a plugin outside the process for a layer.
func EncodeRun(r Request) ([]byte, error) {
	baseline, err := r.Baseline()
	if err != nil {
		return nil, fmt.Errorf("compute the baseline: %w", err)
	}
	body, err := contract.Encode(contract.PluginCall{
		Operation: contract.PluginRun, Layer: string(r.Layer), Modality: r.Modality, Text: r.Text.Raw(), Baseline: baseline,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the call: %w", err)
	}
	return body, nil
}

// DecodeDescription reads what a plugin says it takes. Layers and modalities that
// do not exist are passed over.
func DecodeDescription(body []byte) (Description, error) {
	var said contract.PluginDescription
	if err := contract.Decode(body, &said); err != nil {
		return Description{}, errors.New("its description is not JSON as it should be")
	}
	if said.Version == "" || len(said.Layers) == 0 || len(said.Modalities) == 0 {
		return Description{}, errors.New("its description lacks version, layers or modalities")
	}
	d := Description{Version: said.Version, Modalities: said.Modalities, Layers: make([]layer.Name, len(said.Layers))}
	for i, l := range said.Layers {
		d.Layers[i] = layer.Name(l)
	}
	return d, nil
}

// DecodeAnswer reads what a plugin has computed. What is inside the output is
// looked at later.
func DecodeAnswer(body []byte) (Output, error) {
	var said struct {
		Output json.RawMessage `json:"output"`
		// Nothing is not the same as none: NaN is null in JSON.
		Confidence *float64 `json:"confidence"`
		Error      string   `json:"error"`
	}
	if err := contract.Decode(body, &said); err != nil {
		return Output{}, errors.New("its answer is not JSON as it should be")
	}
	switch {
	case said.Error != "":
		return Output{}, errors.New(contract.Cut(said.Error, 4*maxReasonRunes))
	case said.Confidence == nil:
		return Output{}, errors.New("its answer has no confidence")
	}
	return Output{Body: said.Output, Confidence: *said.Confidence}, nil
}
