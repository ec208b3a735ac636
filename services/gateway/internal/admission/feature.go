package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
)

// granted reports whether the platform's own settings allow a feature.
func (a *Admission) granted(feature string) bool {
	switch feature {
	case contract.FeatureRawMode:
		return a.opts.RawEnabled
	case contract.FeatureShadowExecution:
		return a.opts.ShadowEnabled
	case contract.FeatureMLPlugins:
		return a.opts.MLEnabled
	default:
		return true
	}
}

// Open reports whether a feature is open to a role.
func (a *Admission) Open(ctx context.Context, feature string, role identity.Role) (bool, error) {
	if !a.granted(feature) {
		return false, nil
	}
	features, err := a.allFeatures(ctx)
	if err != nil {
		return false, err
	}
	return open(features[feature], role), nil
}

func open(f contract.Feature, role identity.Role) bool {
	return f.Enabled && role.Allows(identity.Role(f.MinRole))
}

// Seen is a feature as somebody sees it.
type Seen struct {
	contract.Feature
	// Open says that the caller may use it: it is enabled, the role is high enough,
	// and the platform's settings allow it.
	Open bool
}

// Features lists the features that are open to a role; to an admin, who can turn
// them, all there are.
func (a *Admission) Features(ctx context.Context, role identity.Role) ([]Seen, error) {
	all, err := a.allFeatures(ctx)
	if err != nil {
		return nil, err
	}
	var out []Seen
	for name, f := range all {
		usable := a.granted(name) && open(f, role)
		if usable || role.Allows(identity.Admin) {
			out = append(out, Seen{f, usable})
		}
	}
	slices.SortFunc(out, func(a, b Seen) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (a *Admission) allFeatures(ctx context.Context) (map[string]contract.Feature, error) {
	a.mu.RLock()
	features, fresh, heard := a.features, a.now().Before(a.featuresUntil), a.heard
	a.mu.RUnlock()
	if fresh {
		return features, nil
	}
	reply, err := bus.Call[contract.FeaturesReply](ctx, a.nc, contract.RPCAuthFeatures, struct{}{})
	if err != nil {
		return nil, fmt.Errorf("ask for the features: %w", err)
	}
	features = make(map[string]contract.Feature, len(reply.Features))
	for _, f := range reply.Features {
		features[f.Name] = f
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.heard == heard {
		a.features, a.featuresUntil = features, a.now().Add(rememberFor)
	}
	return features, nil
}
