package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
)

// healthWithin bounds how long a plugin may take to say how it is doing.
const healthWithin = 2 * time.Second

// notCalled is why a plugin that keeps failing was passed over.
const notCalled = Refusal("not called, it has failed too often")

// maxChecks bounds the health checks of one plugin at once.
const maxChecks = 4

// guard stands before one plugin: it calls it for a bounded time, a bounded
// number of times at once, and not at all for a while when it keeps failing.
type guard struct {
	plugin  Plugin
	name    string
	kind    contract.PluginKind
	learns  bool
	timeout time.Duration
	slots   *slots
	// checks are the slots of health checks.
	checks  *slots
	breaker *gobreaker.CircuitBreaker[computed]
	ledger  *ledger

	mu sync.Mutex
	// described is what the plugin said last.
	described Description
}

func newGuard(p Plugin, limits Limits) *guard {
	g := &guard{
		plugin: p, name: p.Name(), kind: p.Kind(), timeout: limits.timeout(p.Name()),
		slots: newSlots(limits.Calls), checks: newSlots(maxChecks), ledger: newLedger(),
	}
	if l, ok := p.(Learner); ok {
		g.learns = l.Learns()
	}
	g.breaker = gobreaker.NewCircuitBreaker[computed](gobreaker.Settings{
		Name: g.name, MaxRequests: 1, Timeout: limits.RestFor,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= limits.Failures },
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, ErrUnsupported) },
		// A job that was stopped, and a text that is too long, say nothing of the plugin.
		IsExcluded: func(err error) bool {
			var f failure
			return err != nil && !errors.Is(err, ErrUnsupported) && !errors.As(err, &f)
		},
	})
	return g
}

// computed is an output that was found good.
type computed struct {
	output  Output
	version string
	runtime time.Duration
}

// run has the plugin compute a layer. check looks at the output; what it finds
// wrong counts as a failure of the plugin. The error is a [failure], a [Refusal],
// ErrUnsupported or that of ctx.
func (g *guard) run(ctx context.Context, r Request, check func(Output) (Output, error)) (computed, error) {
	done, err := g.breaker.Execute(func() (computed, error) { return g.try(ctx, r, check) })
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return computed{}, notCalled
	case errors.Is(err, ErrDisabled):
		return computed{}, ErrUnsupported
	}
	var f failure
	if errors.As(err, &f) {
		g.ledger.failed(r.Layer, f)
	}
	return done, err
}

func (g *guard) try(ctx context.Context, r Request, check func(Output) (Output, error)) (computed, error) {
	started := time.Now()
	done, err := call(ctx, g.slots, g.timeout, func(ctx context.Context) (computed, error) {
		d, err := g.plugin.Describe(ctx)
		if err != nil {
			return computed{}, err
		}
		g.remember(d)
		if !d.Supports(r.Layer, r.Modality) {
			return computed{}, ErrUnsupported
		}
		output, err := g.plugin.Run(ctx, r)
		return computed{output: output, version: d.Version}, err
	})
	if err != nil {
		return computed{}, err
	}
	done.runtime = time.Since(started)
	if done.output, err = check(done.output); err != nil {
		return computed{}, failure(cleanReason(err.Error()))
	}
	g.ledger.succeeded(done.runtime)
	return done, nil
}

// remember keeps a description, for when the plugin cannot be asked. What is
// shown of it is bounded.
func (g *guard) remember(d Description) {
	d.Version = contract.Cut(cleanReason(d.Version), contract.MaxToken)
	d.Modalities, d.Layers = slices.Clone(d.Modalities), slices.Clone(d.Layers)
	d.Modalities = slices.DeleteFunc(d.Modalities, func(m contract.Modality) bool { return !slices.Contains(contract.Modalities(), m) })
	d.Layers = slices.DeleteFunc(d.Layers, func(l layer.Name) bool { return !slices.Contains(layer.Names(), l) })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.described = d
}

func (g *guard) description() Description {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.described
}

// health asks the plugin how it is doing. It does not go through the breaker: a
// plugin that is left alone may still be asked how it is.
func (g *guard) health(ctx context.Context) contract.PluginHealth {
	_, err := call(ctx, g.checks, min(g.timeout, healthWithin), func(ctx context.Context) (struct{}, error) {
		d, err := g.plugin.Describe(ctx)
		if err == nil {
			g.remember(d)
			err = g.plugin.Health(ctx)
		}
		return struct{}{}, err
	})
	d := g.description()
	hung, full := g.slots.hung()
	hungChecks, _ := g.checks.hung()
	h := contract.PluginHealth{
		Name: g.name, Version: d.Version, Kind: g.kind, Modalities: append([]contract.Modality{}, d.Modalities...),
		Layers: make([]string, len(d.Layers)), Health: contract.PluginOK, Circuit: g.breaker.State().String(),
		TimeLimitMS: g.timeout.Milliseconds(), Abandoned: hung + hungChecks,
	}
	for i, l := range d.Layers {
		h.Layers[i] = string(l)
	}
	h.Latency, h.LastErrors = g.ledger.read()
	switch {
	case errors.Is(err, ErrDisabled):
		h.Health, h.Detail = contract.PluginDisabled, ErrDisabled.Error()
	case err != nil:
		h.Health, h.Detail = contract.PluginFailing, err.Error()
	case full:
		h.Health, h.Detail = contract.PluginFailing, fmt.Sprintf("%d calls have not returned", hung)
	case g.breaker.State() == gobreaker.StateOpen:
		h.Health, h.Detail = contract.PluginFailing, "it has failed too often and is not called for a while"
	}
	return h
}
