package admission

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

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

// Features lists the features that are open to a role, by name.
func (a *Admission) Features(ctx context.Context, role identity.Role) (map[string]contract.Feature, error) {
	all, err := a.allFeatures(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]contract.Feature{}
	for name, f := range all {
		if a.granted(name) && open(f, role) {
			out[name] = f
		}
	}
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

// Name implements run.Component.
func (a *Admission) Name() string { return "admission" }

// Run implements run.Component: it forgets what has changed as soon as it hears
// of it. After a lost connection it forgets everything, since it may have missed
// a change.
func (a *Admission) Run(ctx context.Context, ready func()) error {
	for _, subject := range []string{contract.KeyEvents, contract.FeatureEvents} {
		sub, err := a.nc.Subscribe(subject, func(*nats.Msg) { a.forget() })
		if err != nil {
			return fmt.Errorf("listen for changes of access: %w", err)
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	if err := a.nc.Flush(); err != nil {
		return fmt.Errorf("listen for changes of access: %w", err)
	}
	lost := a.nc.StatusChanged(nats.RECONNECTING, nats.CONNECTED)
	defer a.nc.RemoveStatusListener(lost)
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-lost:
			a.forget()
		}
	}
}

// forget drops everything remembered about keys and features. Changes are rare
// and asking again is cheap, so nothing is gained by dropping less.
func (a *Admission) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard++
	clear(a.known)
	a.features, a.featuresUntil = nil, a.now()
}

// looksLikeToken tells a token (RFC 7519: three parts with dots between) from
// an API key, which holds no dot unless somebody chose one.
func looksLikeToken(s string) bool { return strings.Count(s, ".") == 2 && strings.HasPrefix(s, "ey") }

// CredentialOf reads what a caller presented: the header for keys goes before
// the bearer value, which may be a key as well, since many clients can send
// nothing else.
func CredentialOf(apiKey, authorization string) Credential {
	if apiKey != "" {
		return Credential{Key: apiKey}
	}
	scheme, value, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return Credential{}
	}
	if value = strings.TrimSpace(value); looksLikeToken(value) {
		return Credential{Token: value}
	}
	return Credential{Key: value}
}
