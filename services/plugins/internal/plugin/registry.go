package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
)

// Limits are what the calls of one plugin may cost.
type Limits struct {
	// Timeout ends a call.
	Timeout time.Duration
	// OutputBytes is the size of the largest output.
	OutputBytes int
	// Abandoned is how many calls of one plugin may be given up on without
	// having returned, before it is called no more.
	Abandoned int
}

// Registry holds the plugins and runs layers through the chains of profiles.
type Registry struct {
	analyzer *layer.Analyzer
	guards   []*guard
	byName   map[string]*guard
	profiles Profiles
	limits   Limits
	tracer   trace.Tracer
}

// NewRegistry registers plugins in the order given. A profile may name plugins
// that are not registered; they are passed over.
func NewRegistry(
	analyzer *layer.Analyzer, limits Limits, profiles Profiles, tracer trace.TracerProvider, plugins ...Plugin,
) (*Registry, error) {
	r := &Registry{
		analyzer: analyzer, byName: make(map[string]*guard, len(plugins)), profiles: profiles, limits: limits,
		tracer: tracer.Tracer("nexus.internal/services/plugins/internal/plugin"),
	}
	errs := []error{limits.validate()}
	if _, found := profiles[ProfileDeterministic]; !found {
		errs = append(errs, fmt.Errorf("there is no profile %s", ProfileDeterministic))
	}
	for _, p := range plugins {
		errs = append(errs, r.register(p))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("register plugins: %w", err)
	}
	return r, nil
}

func (l Limits) validate() error {
	var errs []error
	if l.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout is %s: want more than 0", l.Timeout))
	}
	if l.OutputBytes < MinOutputBytes {
		errs = append(errs, fmt.Errorf("output limit is %d: want at least %d bytes", l.OutputBytes, MinOutputBytes))
	}
	if l.Abandoned < 1 {
		errs = append(errs, fmt.Errorf("limit of abandoned calls is %d: want at least 1", l.Abandoned))
	}
	return errors.Join(errs...)
}

func (r *Registry) register(p Plugin) error {
	name := p.Name()
	if !contract.ValidToken(name) {
		return fmt.Errorf("plugin name %q: want 1 to %d of a-z A-Z 0-9 _ -", name, contract.MaxToken)
	}
	if r.byName[name] != nil {
		return fmt.Errorf("plugin %s is registered twice", name)
	}
	g := &guard{
		plugin: p, name: name, version: p.Version(), modalities: p.Modalities(),
		timeout: r.limits.Timeout, maxAbandoned: int64(r.limits.Abandoned),
	}
	r.guards = append(r.guards, g)
	r.byName[name] = g
	return nil
}

// Profile returns the name of the profile that a requested name leads to.
func (r *Registry) Profile(requested string) string { return r.profiles.Resolve(requested) }

// Health asks every plugin how it is doing, all at once.
func (r *Registry) Health(ctx context.Context) contract.PluginsHealthReply {
	reply := contract.PluginsHealthReply{
		Plugins:  make([]contract.PluginHealth, len(r.guards)),
		Profiles: make(map[string][]string, len(r.profiles)),
	}
	for name, chain := range r.profiles {
		reply.Profiles[name] = append([]string{}, chain...)
	}
	var asking sync.WaitGroup
	for i, g := range r.guards {
		asking.Go(func() { reply.Plugins[i] = g.health(ctx) })
	}
	asking.Wait()
	return reply
}

func (g *guard) health(ctx context.Context) contract.PluginHealth {
	status, err := call(ctx, g, func(ctx context.Context) (contract.PluginStatus, error) {
		err := g.plugin.Health(ctx)
		if errors.Is(err, ErrDisabled) {
			return contract.PluginDisabled, nil
		}
		return contract.PluginOK, err
	})
	h := contract.PluginHealth{
		Name: g.name, Version: g.version, Modalities: g.modalities, Status: status, Abandoned: int(g.abandoned.Load()),
	}
	switch {
	case err != nil:
		h.Status, h.Detail = contract.PluginFailing, err.Error()
	case status == contract.PluginDisabled:
		h.Detail = ErrDisabled.Error()
	}
	return h
}
