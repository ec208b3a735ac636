package contract

import "time"

// VerifyRequest asks who an API key belongs to.
type VerifyRequest struct {
	// KeyHash is the lower-case hexadecimal SHA-256 of the presented key.
	KeyHash string `json:"key_hash"`
}

// VerifyReply is the identity behind a key. Unknown, disabled and expired keys
// are answered with the same unauthenticated error.
type VerifyReply struct {
	KeyID          string `json:"key_id"`
	Owner          string `json:"owner"`
	Role           string `json:"role"`
	RawModeEnabled bool   `json:"raw_mode_enabled"`
	// KeyHashPrefix is the part of the key's hash that may be shown.
	KeyHashPrefix string `json:"key_hash_prefix"`
	// RateLimitPerMinute is the key's own limit; zero means that of its role.
	RateLimitPerMinute int `json:"rate_limit_per_minute,omitempty"`
	// ExpiresAt is when the key stops being good; nil means never.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// OwnerRequest asks what an owner whose key the NATS server has verified may
// do now. It is answered with a VerifyReply.
type OwnerRequest struct {
	Owner string `json:"owner"`
	// Quiet questions do not count as a use of the key.
	Quiet bool `json:"quiet,omitempty"`
}

// KeyRequest asks about one key by its id: what the bearer of a token may do
// now (answered with a VerifyReply), or all about it (an APIKey).
type KeyRequest struct {
	KeyID string `json:"key_id"`
}

// Limits of keys.
const (
	// MaxRateLimit is the highest limit of a key, in requests a minute.
	MaxRateLimit = 1_000_000
	// KeyPrefix begins every key that was made here.
	KeyPrefix = "nxk_"
)

// APIKey is a key as an admin sees it: never its secret.
type APIKey struct {
	KeyID          string `json:"api_key_id"`
	Owner          string `json:"owner"`
	Role           string `json:"role"`
	RawModeEnabled bool   `json:"raw_mode_enabled"`
	Enabled        bool   `json:"enabled"`
	// RateLimitPerMinute is nil for the default of the role.
	RateLimitPerMinute *int       `json:"rate_limit_per_minute"`
	ExpiresAt          *time.Time `json:"expires_at"`
	KeyHashPrefix      string     `json:"key_hash_prefix"`
	CreatedBy          string     `json:"created_by"`
	CreatedAt          time.Time  `json:"created_at"`
	UpdatedAt          time.Time  `json:"updated_at"`
	LastUsedAt         *time.Time `json:"last_used_at"`
}

// Asker is who asks for a change, for the audit trail.
type Asker struct {
	Actor     string `json:"actor"`
	RequestID string `json:"request_id,omitempty"`
	Address   string `json:"address,omitempty"`
}

// CreateKeyRequest makes a key. It is answered with a CreatedKey.
type CreateKeyRequest struct {
	Asker
	Owner              string     `json:"owner"`
	Role               string     `json:"role"`
	RawModeEnabled     bool       `json:"raw_mode_enabled"`
	RateLimitPerMinute *int       `json:"rate_limit_per_minute,omitempty"`
	ExpiresAt          *time.Time `json:"expires_at,omitempty"`
}

// CreatedKey is a key with its secret, which is shown this once.
type CreatedKey struct {
	APIKey
	Key string `json:"api_key"`
}

// ListKeysRequest selects keys, newest first.
type ListKeysRequest struct {
	Limit  int `json:"limit"`
	Offset int `json:"offset"`
}

// KeysReply is one page of keys.
type KeysReply struct {
	Keys   []APIKey `json:"keys"`
	Limit  int      `json:"limit"`
	Offset int      `json:"offset"`
}

// UpdateKeyRequest changes a key. Nil fields stay as they are. It is answered
// with the APIKey.
type UpdateKeyRequest struct {
	Asker
	KeyID          string  `json:"key_id"`
	Enabled        *bool   `json:"enabled,omitempty"`
	Role           *string `json:"role,omitempty"`
	RawModeEnabled *bool   `json:"raw_mode_enabled,omitempty"`
	// RateLimitPerMinute sets the key's own limit, ClearRateLimit takes it away.
	RateLimitPerMinute *int `json:"rate_limit_per_minute,omitempty"`
	ClearRateLimit     bool `json:"clear_rate_limit,omitempty"`
	// ExpiresAt sets the end of the key, ClearExpiry takes it away.
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	ClearExpiry bool       `json:"clear_expiry,omitempty"`
}

// RotateKeyRequest gives a key a new secret; the old one ends at once. It is
// answered with a CreatedKey.
type RotateKeyRequest struct {
	Asker
	KeyID string `json:"key_id"`
}

// IssueTokenRequest asks for a token for a key. It is answered with a Token.
type IssueTokenRequest struct {
	KeyHash string `json:"key_hash"`
}

// RefreshTokenRequest asks for a new token in place of a good one. It is
// answered with a Token.
type RefreshTokenRequest struct {
	Token string `json:"token"`
}

// Token is a signed access token.
type Token struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	// ExpiresIn is how long the token is good, in seconds.
	ExpiresIn int       `json:"expires_in"`
	ExpiresAt time.Time `json:"expires_at"`
	// RefreshUntil is when refreshing ends and the key must be shown again.
	RefreshUntil time.Time `json:"refresh_until"`
	Role         string    `json:"role"`
}

// KeySetReply is the public half of the signing keys, a JSON Web Key Set (RFC
// 7517). It is empty where tokens are signed with a shared secret.
type KeySetReply struct {
	Keys []JSONWebKey `json:"keys"`
}

// JSONWebKey is an Ed25519 public key (RFC 8037).
type JSONWebKey struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	X         string `json:"x"`
}

// Names of the features that are seeded.
const (
	FeatureShadowExecution = "shadow_execution"
	FeatureMLPlugins       = "ml_plugins"
	FeatureRawMode         = "raw_mode"
)

// Feature is a switch that admins turn. A setting of the platform that says no
// outranks it.
type Feature struct {
	Name        string    `json:"name"`
	Enabled     bool      `json:"enabled"`
	MinRole     string    `json:"min_role"`
	Description string    `json:"description"`
	UpdatedAt   time.Time `json:"updated_at"`
	UpdatedBy   string    `json:"updated_by"`
}

// FeaturesReply lists every feature by name.
type FeaturesReply struct {
	Features []Feature `json:"features"`
}

// UpdateFeatureRequest changes a feature. Nil fields stay as they are. It is
// answered with the Feature.
type UpdateFeatureRequest struct {
	Asker
	Name        string  `json:"name"`
	Enabled     *bool   `json:"enabled,omitempty"`
	MinRole     *string `json:"min_role,omitempty"`
	Description *string `json:"description,omitempty"`
}

// AllowedRequest asks whether a feature is open to an owner now. It is answered
// with an AllowedReply.
type AllowedRequest struct {
	Feature string `json:"feature"`
	Owner   string `json:"owner"`
}

// AllowedReply says whether a feature is open. An unknown feature is not.
type AllowedReply struct {
	Allowed bool `json:"allowed"`
}

// AreaKey and AreaFeature are the areas of the events of changes that admins
// make. Gateways drop what they remember when they hear one.
const (
	AreaKey     = "key"
	AreaFeature = "feature"
)

// What happens to keys, features and job types.
const (
	WhatCreated  = "created"
	WhatUpdated  = "updated"
	WhatEnabled  = "enabled"
	WhatDisabled = "disabled"
	WhatRotated  = "rotated"
)

// KeyChange is the data of a key event: the key after the change.
type KeyChange struct {
	APIKey
	// Changed names the fields that are new.
	Changed   []string `json:"changed"`
	RequestID string   `json:"request_id,omitempty"`
	Address   string   `json:"address,omitempty"`
}

// FeatureChange is the data of a feature event: the feature after the change.
type FeatureChange struct {
	Feature
	Address string `json:"address,omitempty"`
}

// KeyEvents and FeatureEvents match the messages of these events.
const (
	KeyEvents     = "nexus.events.key.>"
	FeatureEvents = "nexus.events.feature.>"
)

// TakeRequest asks the gateway that keeps a bucket for tokens of it.
type TakeRequest struct {
	Bucket string `json:"bucket"`
	// PerMinute is the size of the bucket, and what flows into it in a minute.
	PerMinute int `json:"per_minute"`
	// Want is how many tokens are asked for, at least 1.
	Want int `json:"want"`
}

// TakeReply grants tokens, up to as many as were wanted.
type TakeReply struct {
	Granted int `json:"granted"`
	// Left is how many whole tokens remain.
	Left int `json:"left"`
	// WaitMS is how long until there is a token again, in milliseconds; zero
	// where some were granted.
	WaitMS int64 `json:"wait_ms"`
}

// PeerBeat says that a gateway is there, to its peers.
type PeerBeat struct {
	ID string `json:"id"`
	// Hello asks the others to say at once that they are there.
	Hello bool `json:"hello,omitempty"`
	// Bye says that it is leaving.
	Bye bool `json:"bye,omitempty"`
}
