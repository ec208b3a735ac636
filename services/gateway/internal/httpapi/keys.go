package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"nexus.internal/libs/contract"
)

// nullable is a field of a change that may be left out, be null, or have a value.
type nullable[T any] struct {
	Given bool
	Value *T
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (n *nullable[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	n.Given = true
	if dec.PeekKind() == 'n' {
		return dec.SkipValue()
	}
	n.Value = new(T)
	return jsonv2.UnmarshalDecode(dec, n.Value)
}

// limitField is rate_limit_per_minute in a change.
type limitField struct{ nullable[int] }

// Schema implements huma.SchemaProvider.
func (limitField) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeInteger, Nullable: true, Minimum: new(float64), Maximum: new(float64)}
	*s.Minimum, *s.Maximum = 1, contract.MaxRateLimit
	s.Description = "Requests a minute; null takes the key's own limit away."
	s.PrecomputeMessages()
	return s
}

// timeField is expires_at in a change.
type timeField struct{ nullable[time.Time] }

// Schema implements huma.SchemaProvider.
func (timeField) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Format: "date-time", Nullable: true, Description: "When the key stops being good; null means never."}
	s.PrecomputeMessages()
	return s
}

type createKeyInput struct {
	Body struct {
		Owner              string     `json:"owner" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$" doc:"Who the key is for. An owner has one key." example:"ann"`
		Role               string     `json:"role" enum:"viewer,operator,researcher,admin,plugin"`
		RawModeEnabled     bool       `json:"raw_mode_enabled,omitempty" doc:"Allow RAW mode, if the role does."`
		RateLimitPerMinute *int       `json:"rate_limit_per_minute,omitempty" minimum:"1" maximum:"1000000" doc:"Requests a minute. Default: that of the role."`
		ExpiresAt          *time.Time `json:"expires_at,omitempty" doc:"When the key stops being good. Default: never."`
	}
}

type created[T any] struct {
	Status int
	// CacheControl keeps secrets out of caches.
	CacheControl string `header:"Cache-Control"`
	Body         T
}

func secret[T any](status int, body T) *created[T] {
	return &created[T]{Status: status, CacheControl: "no-store", Body: body}
}

func (s *Server) createKey(ctx context.Context, in *createKeyInput) (*created[contract.CreatedKey], error) {
	by, err := askerOf(ctx)
	if err != nil {
		return nil, err
	}
	out, err := ask[contract.CreatedKey](ctx, s, contract.RPCAuthKeyCreate, contract.CreateKeyRequest{
		Asker: by, Owner: in.Body.Owner, Role: in.Body.Role, RawModeEnabled: in.Body.RawModeEnabled,
		RateLimitPerMinute: in.Body.RateLimitPerMinute, ExpiresAt: in.Body.ExpiresAt,
	})
	if err != nil {
		return nil, err
	}
	return secret(http.StatusCreated, out.Body), nil
}

// askerOf is the caller, as the audit trail will name them.
func askerOf(ctx context.Context) (contract.Asker, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return contract.Asker{}, err
	}
	return contract.Asker{Actor: caller.Owner, RequestID: requestIDOf(ctx), Address: addressOf(ctx)}, nil
}

func (s *Server) listKeys(ctx context.Context, in *Page) (*body[contract.KeysReply], error) {
	return ask[contract.KeysReply](ctx, s, contract.RPCAuthKeys, contract.ListKeysRequest{Limit: in.Limit, Offset: in.Offset})
}

func (s *Server) getKey(ctx context.Context, in *byID) (*body[contract.APIKey], error) {
	return ask[contract.APIKey](ctx, s, contract.RPCAuthKey, contract.KeyRequest{KeyID: in.ID})
}

type updateKeyInput struct {
	ID   string `path:"id" format:"uuid" doc:"The id of the key."`
	Body struct {
		Enabled            *bool      `json:"enabled,omitempty" doc:"A disabled key is good for nothing."`
		Role               *string    `json:"role,omitempty" enum:"viewer,operator,researcher,admin,plugin"`
		RawModeEnabled     *bool      `json:"raw_mode_enabled,omitempty"`
		RateLimitPerMinute limitField `json:"rate_limit_per_minute,omitempty"`
		ExpiresAt          timeField  `json:"expires_at,omitempty"`
	}
}

func (s *Server) updateKey(ctx context.Context, in *updateKeyInput) (*body[contract.APIKey], error) {
	by, err := askerOf(ctx)
	if err != nil {
		return nil, err
	}
	rate, expires := in.Body.RateLimitPerMinute, in.Body.ExpiresAt
	return ask[contract.APIKey](ctx, s, contract.RPCAuthKeyUpdate, contract.UpdateKeyRequest{
		Asker: by, KeyID: in.ID, Enabled: in.Body.Enabled, Role: in.Body.Role, RawModeEnabled: in.Body.RawModeEnabled,
		RateLimitPerMinute: rate.Value, ClearRateLimit: rate.Given && rate.Value == nil,
		ExpiresAt: expires.Value, ClearExpiry: expires.Given && expires.Value == nil,
	})
}

func (s *Server) rotateKey(ctx context.Context, in *byID) (*created[contract.CreatedKey], error) {
	by, err := askerOf(ctx)
	if err != nil {
		return nil, err
	}
	out, err := ask[contract.CreatedKey](ctx, s, contract.RPCAuthKeyRotate, contract.RotateKeyRequest{Asker: by, KeyID: in.ID})
	if err != nil {
		return nil, err
	}
	return secret(http.StatusOK, out.Body), nil
}

func (s *Server) keyRoutes() {
	const tag = "Access"
	bad := []int{http.StatusUnprocessableEntity}
	gone := []int{http.StatusUnprocessableEntity, http.StatusNotFound}
	register(s, route{method: http.MethodGet, path: "/api/v1/auth/keys", id: "list-keys", summary: "List API keys, newest first", tag: tag, errors: bad}, s.listKeys)
	register(s, route{
		method: http.MethodPost, path: "/api/v1/auth/keys", id: "create-key", summary: "Make an API key; its secret is shown this once", tag: tag,
		status: http.StatusCreated, errors: append(bad, http.StatusConflict),
	}, s.createKey)
	register(s, route{method: http.MethodGet, path: "/api/v1/auth/keys/{id}", id: "get-key", summary: "Read an API key", tag: tag, errors: gone}, s.getKey)
	register(s, route{
		method: http.MethodPatch, path: "/api/v1/auth/keys/{id}", id: "update-key", summary: "Enable, disable or re-scope an API key", tag: tag,
		errors: append(gone, http.StatusConflict),
	}, s.updateKey)
	register(s, route{
		method: http.MethodPost, path: "/api/v1/auth/keys/{id}/rotate", id: "rotate-key", summary: "Give an API key a new secret; the old one ends at once", tag: tag,
		errors: gone,
	}, s.rotateKey)
}
