package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	// Output is a JSON object of the layer's shape.
	Output json.RawMessage
}

// Run computes layers of a text through the chain of a profile, all at once, and
// returns them in the order given. For each layer the first plugin that supports
// it and does not fail wins; when none does, the baseline stands in. Run fails
// only when ctx ends or a layer does not exist.
func (r *Registry) Run(ctx context.Context, profile string, layers []layer.Name, text *layer.Text) ([]Layer, error) {
	tries := make([]*attempt, len(layers))
	errs := make([]error, len(layers))
	limit := min(r.limits.OutputBytes, MaxRunBytes-max(0, len(layers)-1)*MinOutputBytes)
	var working sync.WaitGroup
	for i, name := range layers {
		tries[i] = r.attempt(profile, name, text)
		working.Go(func() { errs[i] = tries[i].goOn(ctx, limit) })
	}
	working.Wait()
	for i, name := range layers {
		if errs[i] != nil {
			return nil, fmt.Errorf("compute layer %s: %w", name, errs[i])
		}
	}
	done, err := fit(ctx, tries)
	r.measures.passedOver(done)
	return done, err
}

// fit has the layers that do not fit the run together computed by the next of
// their chains, in the order given.
func fit(ctx context.Context, tries []*attempt) ([]Layer, error) {
	layers := make([]Layer, len(tries))
	room := MaxRunBytes
	for i, a := range tries {
		limit := room - (len(tries)-i-1)*MinOutputBytes
		if err := checkSize(len(a.done.Output), limit); err != nil && !a.exhausted {
			a.reasons = append(a.reasons, a.done.Provider+":"+err.Error())
			if err := a.goOn(ctx, limit); err != nil {
				return nil, fmt.Errorf("compute layer %s: %w", a.request.Layer, err)
			}
		}
		room -= len(a.done.Output)
		layers[i] = a.done
	}
	return layers, nil
}

// attempt is the way of one layer along a chain.
type attempt struct {
	registry *Registry
	request  Request
	// left are the plugins not tried yet, reasons say why the others were passed
	// over.
	left    []string
	reasons []string
	done    Layer
	// exhausted says that the chain has ended and the baseline stands in.
	exhausted bool
}

func (r *Registry) attempt(profile string, name layer.Name, text *layer.Text) *attempt {
	return &attempt{registry: r, left: r.profiles[r.profiles.Resolve(profile)], request: Request{
		Layer: name, Modality: contract.Modality(text.Modality()), Text: text, Baseline: r.baseline(name, text),
	}}
}

// baseline returns a function that computes the baseline once and hands out
// copies, so that no plugin can change what the next one gets.
func (r *Registry) baseline(name layer.Name, text *layer.Text) func() (json.RawMessage, error) {
	once := sync.OnceValues(func() (body json.RawMessage, err error) {
		defer func() {
			if p := recover(); p != nil {
				body, err = nil, fmt.Errorf("the baseline panicked: %v", p)
			}
		}()
		return r.analyzer.JSON(name, text)
	})
	return func() (json.RawMessage, error) {
		body, err := once()
		return append(json.RawMessage(nil), body...), err
	}
}

// goOn tries the plugins that are left, until one serves. It runs beside other
// layers: what panics here must not end the process.
func (a *attempt) goOn(ctx context.Context, limit int) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, span := a.registry.tracer.Start(ctx, "analyze layer "+string(a.request.Layer))
	defer span.End()
	if err := a.tryLeft(ctx, limit); err != nil {
		span.SetStatus(codes.Error, err.Error())
		return err
	}
	a.done.FallbackReason = strings.Join(a.reasons, ";")
	span.SetAttributes(
		attribute.String("nexus.layer", string(a.request.Layer)), attribute.String("nexus.plugin.provider", a.done.Provider),
		attribute.String("nexus.plugin.fallback_reason", a.done.FallbackReason),
	)
	return nil
}

func (a *attempt) tryLeft(ctx context.Context, limit int) error {
	for len(a.left) > 0 {
		name := a.left[0]
		a.left = a.left[1:]
		g := a.registry.byName[name]
		if g == nil {
			a.reasons = append(a.reasons, "plugin_not_found:"+name)
			continue
		}
		done, err := a.registry.runPlugin(ctx, g, a.request, limit)
		switch {
		case err == nil:
			a.done = done
			return nil
		case ctx.Err() != nil:
			return err
		case errors.Is(err, ErrUnsupported):
			a.reasons = append(a.reasons, "plugin_unsupported:"+name)
		default:
			a.reasons = append(a.reasons, name+":"+err.Error())
		}
	}
	return a.exhaust()
}

// exhaust lets the baseline stand in where no plugin served.
func (a *attempt) exhaust() error {
	body, err := a.request.Baseline()
	if err != nil {
		return fmt.Errorf("compute the baseline: %w", err)
	}
	if len(a.reasons) == 0 {
		a.reasons = []string{allFailed}
	}
	a.exhausted = true
	a.done = Layer{
		Name: a.request.Layer, Provider: deterministicName, Version: deterministicVersion,
		Confidence: a.request.Layer.Confidence(), Output: body,
	}
	return nil
}

func (r *Registry) runPlugin(ctx context.Context, g *guard, request Request, limit int) (Layer, error) {
	if g.learns && r.withoutLearning {
		return Layer{}, ErrUnsupported
	}
	kind := trace.SpanKindInternal
	if g.kind == contract.PluginNATS {
		kind = trace.SpanKindClient
	}
	ctx, span := r.tracer.Start(ctx, "run plugin "+g.name, trace.WithSpanKind(kind), trace.WithAttributes(
		attribute.String("nexus.plugin.name", g.name), attribute.String("nexus.plugin.kind", string(g.kind)),
	))
	defer span.End()
	start := time.Now()
	done, err := g.run(ctx, request, func(o Output) (Output, error) {
		body, err := admit(r.shapes, request.Layer, o, limit)
		return Output{Body: body, Confidence: o.Confidence}, err
	})
	r.measures.called(ctx, g.name, start, err)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		return Layer{}, err
	}
	span.SetAttributes(attribute.String("nexus.plugin.version", done.version))
	return Layer{
		Name: request.Layer, Provider: g.name, Version: contract.Cut(cleanReason(done.version), contract.MaxToken), Runtime: done.runtime,
		Confidence: done.output.Confidence, Output: done.output.Body,
	}, nil
}
