package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/plugins/internal/store"
)

// Shadow compares a run with its shadow.
func (a *Answers) Shadow(ctx context.Context, req contract.ShadowRequest) (contract.ShadowReply, error) {
	run, err := a.Run(ctx, contract.AnalysisRunRequest(req))
	if err != nil {
		return contract.ShadowReply{}, err
	}
	if run.ShadowJobID == nil {
		return contract.ShadowReply{}, fault.NotFoundf("This analysis run has no shadow")
	}
	reply := contract.ShadowReply{ShadowJobID: *run.ShadowJobID, Comparison: contract.ShadowComparison{
		Layers: map[string]contract.LayerDifference{}, ChangedLayers: []string{},
	}}
	id, err := a.runs.RunOfJob(ctx, *run.ShadowJobID)
	if errors.Is(err, store.ErrNotFound) {
		return reply, nil
	}
	if err != nil {
		return contract.ShadowReply{}, err
	}
	shadow, err := a.runs.Run(ctx, id)
	if err != nil {
		return contract.ShadowReply{}, err
	}
	reply.ShadowRunID = &shadow.AnalysisRunID
	reply.Comparison = compare(run, shadow)
	return reply, nil
}

// compare looks at every layer of either run. One that only one of them has is
// changed.
func compare(run, shadow contract.AnalysisRun) contract.ShadowComparison {
	c := contract.ShadowComparison{Layers: map[string]contract.LayerDifference{}, ChangedLayers: []string{}}
	left := make(map[string]contract.LayerOutput, len(shadow.LayerOutputs))
	for _, o := range shadow.LayerOutputs {
		left[o.Layer] = o
	}
	add := func(name string, d contract.LayerDifference) {
		c.Layers[name] = d
		if d.Changed {
			c.ChangedLayers = append(c.ChangedLayers, name)
		}
	}
	for _, o := range run.LayerOutputs {
		other, found := left[o.Layer]
		delete(left, o.Layer)
		add(o.Layer, contract.LayerDifference{
			Changed:         !found || !sameJSON(o.Output, other.Output),
			ConfidenceDelta: round(other.Confidence - o.Confidence), RuntimeDeltaMS: other.RuntimeMS - o.RuntimeMS,
		})
	}
	for _, o := range shadow.LayerOutputs {
		if _, only := left[o.Layer]; only {
			add(o.Layer, contract.LayerDifference{Changed: true, ConfidenceDelta: round(o.Confidence), RuntimeDeltaMS: o.RuntimeMS})
		}
	}
	return c
}

// sameJSON compares values and not how they are written, but for numbers.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var left, right any
	for data, into := range map[*json.RawMessage]*any{&a: &left, &b: &right} {
		decoder := json.NewDecoder(bytes.NewReader(*data))
		decoder.UseNumber()
		if decoder.Decode(into) != nil {
			return false
		}
	}
	return reflect.DeepEqual(left, right)
}

// round takes out what binary arithmetic adds to a difference of decimals.
func round(x float64) float64 { return math.Round(x*1e6) / 1e6 }
