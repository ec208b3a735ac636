package analyze

import (
	"encoding/json"
	"fmt"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/worker"
)

// omittedBytes is room for the list of layers that are left out of a result.
const omittedBytes = 256

// resultOf makes the result of a job from the run it left behind.
func resultOf(run contract.AnalysisRun) (worker.Result, error) {
	value, err := valueOf(run)
	if err != nil {
		return worker.Result{}, fmt.Errorf("make the result of analysis run %s: %w", run.AnalysisRunID, err)
	}
	payload, err := json.Marshal(contract.AnalyzeArtifact{AnalysisRunID: run.AnalysisRunID, LayerCount: len(run.LayerOutputs)})
	if err != nil {
		return worker.Result{}, fmt.Errorf("encode the artifact of analysis run %s: %w", run.AnalysisRunID, err)
	}
	return worker.Result{
		Value:     value,
		Artifacts: []contract.Artifact{{Type: contract.ArtifactAnalyze, Ref: run.AnalysisRunID, Payload: payload}},
	}, nil
}

// valueOf takes in the outputs in order, as long as they fit the result of a job.
func valueOf(run contract.AnalysisRun) (contract.AnalyzeResult, error) {
	value := contract.AnalyzeResult{
		AnalysisRunID: run.AnalysisRunID, DocumentID: run.DocumentID, BranchID: run.BranchID, Mode: run.Mode, PluginProfile: run.PluginProfile, HypergraphIDs: run.HypergraphIDs,
		Layers:           make(map[string]json.RawMessage, len(run.LayerOutputs)),
		ConfidenceBundle: make(map[string]float64, len(run.LayerOutputs)),
		PluginProvenance: make(map[string]contract.LayerProvenance, len(run.LayerOutputs)),
	}
	for _, o := range run.LayerOutputs {
		value.Layers[o.Layer] = nil
		value.ConfidenceBundle[o.Layer] = o.Confidence
		value.PluginProvenance[o.Layer] = o.LayerProvenance
	}
	frame, err := json.Marshal(value)
	if err != nil {
		return contract.AnalyzeResult{}, err
	}
	room := contract.MaxInlineResult - len(frame) - omittedBytes
	for _, o := range run.LayerOutputs {
		output, err := json.Marshal(o.Output)
		if err != nil {
			return contract.AnalyzeResult{}, err
		}
		if len(output) > room {
			value.LayersOmitted = append(value.LayersOmitted, o.Layer)
			continue
		}
		room -= len(output)
		value.Layers[o.Layer] = output
	}
	return value, nil
}
