package analyze

import (
	"encoding/json"
	"fmt"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/worker"
)

// resultOf makes the result of a job from the run it left behind.
func resultOf(run contract.AnalysisRun) (worker.Result, error) {
	payload, err := json.Marshal(contract.AnalyzeArtifact{AnalysisRunID: run.AnalysisRunID, LayerCount: len(run.LayerOutputs)})
	if err != nil {
		return worker.Result{}, fmt.Errorf("encode the artifact of analysis run %s: %w", run.AnalysisRunID, err)
	}
	return worker.Result{
		Value:     valueOf(run),
		Artifacts: []contract.Artifact{{Type: contract.ArtifactAnalyze, Ref: run.AnalysisRunID, Payload: payload}},
	}, nil
}

func valueOf(run contract.AnalysisRun) contract.AnalyzeResult {
	value := contract.AnalyzeResult{
		AnalysisRunID: run.AnalysisRunID, DocumentID: run.DocumentID, BranchID: run.BranchID, Mode: run.Mode, PluginProfile: run.PluginProfile, HypergraphIDs: run.HypergraphIDs,
		Layers:           make(map[string]json.RawMessage, len(run.LayerOutputs)),
		ConfidenceBundle: make(map[string]float64, len(run.LayerOutputs)),
		PluginProvenance: make(map[string]contract.LayerProvenance, len(run.LayerOutputs)),
	}
	for _, o := range run.LayerOutputs {
		value.Layers[o.Layer] = o.Output
		value.ConfidenceBundle[o.Layer] = o.Confidence
		value.PluginProvenance[o.Layer] = o.LayerProvenance
	}
	return value
}
