package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
)

// MinOutputBytes is room for any baseline output: its word lists are bounded in
// number and length.
const MinOutputBytes = 16 << 10

// MaxRunBytes bounds the outputs of one run together, so that the run fits one
// message with everything around them.
const MaxRunBytes = contract.MaxMessage - 104<<10

// allFailed is the reason given when a chain names no plugin at all.
const allFailed = "all_plugins_failed"

// Layer is a computed layer and who computed it.
type Layer struct {
	Name     layer.Name
	Provider string
	Version  string
	// Runtime is how long the provider took; 0 when the chain was exhausted.
	Runtime time.Duration
	// FallbackReason lists what was passed over, joined by ";": plugin_not_found:x,
	// plugin_unsupported:y, name:error. Empty when the first plugin served.
	FallbackReason string
	Confidence     float64
	// Output is a JSON object.
	Output json.RawMessage
}

// Run computes layers of a text through the chain of a profile, in the order
// given. For each layer the first plugin that supports it and does not fail
// wins; when none does, the baseline stands in. Run fails only when ctx ends or
// a layer does not exist.
func (r *Registry) Run(ctx context.Context, profile string, layers []layer.Name, text *layer.Text) ([]Layer, error) {
	computed := make([]Layer, 0, len(layers))
	room := MaxRunBytes
	for i, name := range layers {
		reserved := (len(layers) - i - 1) * MinOutputBytes
		one, err := r.runLayer(ctx, profile, name, text, min(r.limits.OutputBytes, room-reserved))
		if err != nil {
			return nil, fmt.Errorf("compute layer %s: %w", name, err)
		}
		room -= len(one.Output)
		computed = append(computed, one)
	}
	return computed, nil
}

func (r *Registry) runLayer(ctx context.Context, profile string, name layer.Name, text *layer.Text, limit int) (Layer, error) {
	ctx, span := r.tracer.Start(ctx, "analyze layer "+string(name))
	defer span.End()
	request := Request{
		Layer: name, Modality: contract.Modality(text.Modality()), Text: text,
		Baseline: r.baseline(name, text),
	}
	computed, err := r.runChain(ctx, r.profiles[r.profiles.Resolve(profile)], request, limit)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		return Layer{}, err
	}
	span.SetAttributes(
		attribute.String("nexus.layer", string(name)), attribute.String("nexus.plugin.provider", computed.Provider),
		attribute.String("nexus.plugin.fallback_reason", computed.FallbackReason),
	)
	return computed, nil
}

// baseline returns a function that computes the baseline once and hands out
// copies, so that no plugin can change what the next one gets.
func (r *Registry) baseline(name layer.Name, text *layer.Text) func() (json.RawMessage, error) {
	once := sync.OnceValues(func() (json.RawMessage, error) { return r.analyzer.JSON(name, text) })
	return func() (json.RawMessage, error) {
		body, err := once()
		return append(json.RawMessage(nil), body...), err
	}
}

func (r *Registry) runChain(ctx context.Context, chain []string, request Request, limit int) (Layer, error) {
	var reasons []string
	for _, name := range chain {
		g := r.byName[name]
		if g == nil {
			reasons = append(reasons, "plugin_not_found:"+name)
			continue
		}
		computed, err := r.runPlugin(ctx, g, request, limit)
		switch {
		case err == nil:
			computed.FallbackReason = strings.Join(reasons, ";")
			return computed, nil
		case ctx.Err() != nil:
			return Layer{}, err
		case errors.Is(err, errUnsupported):
			reasons = append(reasons, "plugin_unsupported:"+name)
		default:
			reasons = append(reasons, name+":"+err.Error())
		}
	}
	return exhausted(request, reasons)
}

// errUnsupported says that a plugin does not take the layer or the modality.
var errUnsupported = errors.New("the plugin does not support this layer")

// exhausted makes the layer that stands in when no plugin served.
func exhausted(request Request, reasons []string) (Layer, error) {
	body, err := request.Baseline()
	if err != nil {
		return Layer{}, fmt.Errorf("compute the baseline: %w", err)
	}
	if len(reasons) == 0 {
		reasons = []string{allFailed}
	}
	return Layer{
		Name: request.Layer, Provider: deterministicName, Version: deterministicVersion,
		FallbackReason: strings.Join(reasons, ";"), Confidence: request.Layer.Confidence(), Output: body,
	}, nil
}

// attempt is what a call of one plugin came to.
type attempt struct {
	supported bool
	output    Output
}

func (r *Registry) runPlugin(ctx context.Context, g *guard, request Request, limit int) (Layer, error) {
	if !slices.Contains(g.modalities, request.Modality) {
		return Layer{}, errUnsupported
	}
	ctx, span := r.tracer.Start(ctx, "run plugin "+g.name, trace.WithAttributes(
		attribute.String("nexus.plugin.name", g.name), attribute.String("nexus.plugin.version", g.version),
	))
	defer span.End()
	started := time.Now()
	tried, err := call(ctx, g, func(ctx context.Context) (attempt, error) {
		if !g.plugin.Supports(request.Layer, request.Modality) {
			return attempt{}, nil
		}
		output, err := g.plugin.Run(ctx, request)
		return attempt{supported: true, output: output}, err
	})
	runtime := time.Since(started)
	if err == nil && !tried.supported {
		return Layer{}, errUnsupported
	}
	var body json.RawMessage
	if err == nil {
		body, err = admit(tried.output, limit)
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		return Layer{}, err
	}
	return Layer{
		Name: request.Layer, Provider: g.name, Version: g.version, Runtime: runtime,
		Confidence: tried.output.Confidence, Output: body,
	}, nil
}
