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
	// Timeout ends a call, Timeouts those of the plugins named.
	Timeout  time.Duration
	Timeouts map[string]time.Duration
	// OutputBytes is the size of the largest output.
	OutputBytes int
	// Calls is how many calls of one plugin may be at work at once. One that was
	// given up on counts until it has returned.
	Calls int
	// Failures in a row make a plugin be left alone for RestFor; then one call finds
	// out whether it is well again.
	Failures uint32
	RestFor  time.Duration
}

func (l Limits) timeout(name string) time.Duration {
	if own, found := l.Timeouts[name]; found {
		return own
	}
	return l.Timeout
}

func (l Limits) validate() error {
	var errs []error
	if l.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout is %s: want more than 0", l.Timeout))
	}
	for name, timeout := range l.Timeouts {
		if timeout <= 0 {
			errs = append(errs, fmt.Errorf("timeout of %s is %s: want more than 0", name, timeout))
		}
	}
	if l.OutputBytes < MinOutputBytes {
		errs = append(errs, fmt.Errorf("output limit is %d: want at least %d bytes", l.OutputBytes, MinOutputBytes))
	}
	if l.Calls < 1 {
		errs = append(errs, fmt.Errorf("limit of calls is %d: want at least 1", l.Calls))
	}
	if l.Failures < 1 || l.RestFor <= 0 {
		errs = append(errs, fmt.Errorf("a plugin rests for %s after %d failures: want more than 0", l.RestFor, l.Failures))
	}
	return errors.Join(errs...)
}

// Registry holds the plugins and runs layers through the chains of profiles.
type Registry struct {
	analyzer *layer.Analyzer
	shapes   *layer.Shapes
	guards   []*guard
	byName   map[string]*guard
	profiles Profiles
	limits   Limits
	tracer   trace.Tracer
	// withoutLearning passes over the plugins that learn.
	withoutLearning bool
	measures        measures
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
	var err error
	r.shapes, err = layer.NewShapes()
	if err = errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("register plugins: %w", err)
	}
	return r, nil
}

// WithoutLearning is the same registry, and the same plugins, with those passed
// over that learn.
func (r *Registry) WithoutLearning() *Registry {
	plain := *r
	plain.withoutLearning = true
	return &plain
}

func (r *Registry) register(p Plugin) error {
	name := p.Name()
	if !contract.ValidToken(name) {
		return fmt.Errorf("plugin name %q: want 1 to %d of a-z A-Z 0-9 _ -", name, contract.MaxToken)
	}
	if r.byName[name] != nil {
		return fmt.Errorf("plugin %s is registered twice", name)
	}
	g := newGuard(p, r.limits)
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
