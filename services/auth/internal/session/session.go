// Package session hands out tokens for keys, and new tokens for those that are
// still good. What a token may do is read from its key each time.
package session

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/token"
	"nexus.internal/services/auth/internal/keys"
	"nexus.internal/services/auth/internal/store"
)

// Store is where keys are kept.
type Store interface {
	FindByHash(ctx context.Context, hash string) (store.Key, error)
	FindByID(ctx context.Context, id uuid.UUID) (store.Key, error)
}

// Sessions answers requests for tokens.
type Sessions struct {
	store  Store
	signer *token.Signer
	check  *token.Verifier
	now    func() time.Time
}

// New makes it.
func New(st Store, signer *token.Signer, now func() time.Time) *Sessions {
	return &Sessions{store: st, signer: signer, check: signer.Verifier(), now: now}
}

// Issue makes a token for whoever has shown a key.
func (s *Sessions) Issue(ctx context.Context, req contract.IssueTokenRequest) (contract.Token, error) {
	key, err := s.store.FindByHash(ctx, req.KeyHash)
	return s.sign(key, err, time.Time{})
}

// Refresh makes a new token in place of one that is still good, until the
// session's end.
func (s *Sessions) Refresh(ctx context.Context, req contract.RefreshTokenRequest) (contract.Token, error) {
	claims, err := s.check.Verify(req.Token)
	if err != nil {
		return contract.Token{}, fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key")
	}
	if !s.now().Before(s.signer.RefreshUntil(claims)) {
		return contract.Token{}, fault.New(fault.Unauthenticated, "session_ended", "The session has reached its end; ask for a token with the API key")
	}
	id, err := uuid.Parse(claims.KeyID)
	if err != nil {
		return contract.Token{}, keys.ErrInvalid()
	}
	key, err := s.store.FindByID(ctx, id)
	return s.sign(key, err, claims.AuthTime)
}

func (s *Sessions) sign(key store.Key, err error, since time.Time) (contract.Token, error) {
	if err != nil && !errors.Is(err, store.ErrUnknown) {
		return contract.Token{}, fault.Wrap(fault.Unavailable, err, "Keys cannot be checked now.")
	}
	if err != nil || !key.Good(s.now()) {
		return contract.Token{}, keys.ErrInvalid()
	}
	signed, claims, err := s.signer.Sign(token.Claims{
		KeyID: key.ID.String(), Owner: key.Owner, Role: string(key.Role), Modes: modes(key), AuthTime: since,
	})
	if err != nil {
		return contract.Token{}, err
	}
	return contract.Token{
		AccessToken: signed, TokenType: "Bearer", ExpiresIn: int(claims.ExpiresAt.Sub(claims.IssuedAt).Seconds()),
		ExpiresAt: claims.ExpiresAt.UTC(), RefreshUntil: s.signer.RefreshUntil(claims).UTC(), Role: claims.Role,
	}, nil
}

// modes are those of the key alone; the platform's own consent is asked at the
// door each time.
func modes(key store.Key) []string {
	caller := identity.Caller{Role: key.Role, RawModeEnabled: key.RawModeEnabled}
	out := []string{}
	for _, m := range caller.Modes(true) {
		out = append(out, string(m))
	}
	return out
}

// KeySet is the public half of the signing keys.
func (s *Sessions) KeySet(context.Context, struct{}) (contract.KeySetReply, error) {
	return s.signer.KeySet(), nil
}
