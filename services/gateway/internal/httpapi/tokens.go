package httpapi

import (
	"context"
	"net/http"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/services/gateway/internal/admission"
)

// credentialInput is what was presented: the authentication has found it good,
// and the auth service reads it once more.
type credentialInput struct {
	APIKey        string `header:"X-Nexus-API-Key" hidden:"true"`
	Authorization string `header:"Authorization" hidden:"true"`
}

func (in *credentialInput) credential() admission.Credential {
	return admission.CredentialOf(in.APIKey, in.Authorization)
}

func (s *Server) issueToken(ctx context.Context, in *credentialInput) (*created[contract.Token], error) {
	credential := in.credential()
	if credential.Key == "" {
		return nil, fault.Forbiddenf("A token is given for an API key only; renew one with /api/v1/auth/token/refresh")
	}
	out, err := ask[contract.Token](ctx, s, contract.RPCAuthToken, contract.IssueTokenRequest{KeyHash: credential.KeyHash()})
	if err != nil {
		return nil, err
	}
	return secret(http.StatusOK, out.Body), nil
}

func (s *Server) refreshToken(ctx context.Context, in *credentialInput) (*created[contract.Token], error) {
	credential := in.credential()
	if credential.Token == "" {
		return nil, fault.Forbiddenf("Only a token can be renewed; ask for one with /api/v1/auth/token")
	}
	out, err := ask[contract.Token](ctx, s, contract.RPCAuthRefresh, contract.RefreshTokenRequest{Token: credential.Token})
	if err != nil {
		return nil, err
	}
	return secret(http.StatusOK, out.Body), nil
}

func (s *Server) keySet(ctx context.Context, _ *none) (*body[contract.KeySetReply], error) {
	set, err := s.deps.Admission.KeySet(ctx)
	if err != nil {
		return nil, err
	}
	if set.Keys == nil {
		set.Keys = []contract.JSONWebKey{}
	}
	return &body[contract.KeySetReply]{Body: set}, nil
}

func (s *Server) tokenRoutes() {
	const tag = "Access"
	register(s, route{method: http.MethodPost, path: "/api/v1/auth/token", id: "issue-token", summary: "Get a token for an API key", tag: tag}, s.issueToken)
	register(s, route{method: http.MethodPost, path: "/api/v1/auth/token/refresh", id: "refresh-token", summary: "Get a new token for one that is still good", tag: tag}, s.refreshToken)
	register(s, route{
		method: http.MethodGet, path: "/.well-known/jwks.json", id: "key-set", summary: "The public keys that tokens are signed with", tag: tag,
		errors: []int{http.StatusServiceUnavailable},
	}, s.keySet)
}
