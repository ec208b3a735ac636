package admission

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/token"
)

// bearer answers who a token was signed for. The token is checked here; what its
// key may do now is asked for, so that neither a disabled key nor a higher role
// lives on in a token.
func (a *Admission) bearer(ctx context.Context, signed string) (identity.Caller, error) {
	claims, err := a.tokens.Verify(signed)
	if errors.Is(err, token.ErrUnknownKey) && a.learnKeys(ctx) {
		claims, err = a.tokens.Verify(signed)
	}
	if err != nil {
		a.log.Debug().Err(err).Msg("a token was refused")
		return identity.Caller{}, ErrUnauthenticated()
	}
	caller, err := a.ask(ctx, byKeyID+claims.KeyID, contract.RPCAuthState, contract.KeyRequest{KeyID: claims.KeyID})
	if err != nil {
		return identity.Caller{}, err
	}
	if role := identity.Role(claims.Role); !role.Allows(caller.Role) {
		// The key was raised after the token was signed.
		caller.Role = role
	}
	caller.ByToken = true
	return caller, nil
}

// keysEvery is how often an unknown key may make us ask for the key set: whoever
// invents key ids must not have it asked for each time.
const keysEvery = 5 * time.Second

// learnKeys asks the auth service for the public keys that tokens are signed
// with, and reports whether it got an answer.
func (a *Admission) learnKeys(ctx context.Context) bool {
	a.mu.Lock()
	due := a.now().Sub(a.keysAsked) >= keysEvery
	if due {
		a.keysAsked = a.now()
	}
	a.mu.Unlock()
	if !due {
		return false
	}
	set, err := a.KeySet(ctx)
	if err == nil && len(set.Keys) > 0 {
		err = a.tokens.SetKeys(set)
	}
	if err != nil {
		a.log.Warn().Err(err).Msg("could not learn the keys that tokens are signed with")
		return false
	}
	return len(set.Keys) > 0
}

// KeySet is the public half of the keys that tokens are signed with.
func (a *Admission) KeySet(ctx context.Context) (contract.KeySetReply, error) {
	set, err := bus.Call[contract.KeySetReply](ctx, a.nc, contract.RPCAuthKeySet, struct{}{})
	if err != nil {
		return set, fmt.Errorf("ask for the key set: %w", err)
	}
	return set, nil
}
