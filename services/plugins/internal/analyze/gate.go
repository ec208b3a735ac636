package analyze

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/plugin"
)

// Gate chooses the plugins that may work for an owner: those that learn only
// where the platform and the feature say so. The feature is asked for when the
// job runs, so that turning it takes effect at once.
type Gate struct {
	nc *nats.Conn
	// all holds every plugin; plain has those that learn switched off.
	all, plain *plugin.Registry
	learning   bool
}

// NewGate makes a gate. learning is the platform's own consent.
func NewGate(nc *nats.Conn, all, plain *plugin.Registry, learning bool) *Gate {
	return &Gate{nc: nc, all: all, plain: plain, learning: learning}
}

// For is the registry that runs a profile for an owner.
func (g *Gate) For(ctx context.Context, profile, owner string) (*plugin.Registry, error) {
	if !g.learning || g.all.Profile(profile) == plugin.ProfileDeterministic {
		return g.plain, nil
	}
	reply, err := bus.Call[contract.AllowedReply](ctx, g.nc, contract.RPCAuthAllowed, contract.AllowedRequest{Feature: contract.FeatureMLPlugins, Owner: owner})
	if err != nil {
		return nil, fmt.Errorf("ask whether %s may use plugins that learn: %w", owner, err)
	}
	if reply.Allowed {
		return g.all, nil
	}
	return g.plain, nil
}
