package contract

// VerifyRequest asks who an API key belongs to.
type VerifyRequest struct {
	// KeyHash is the lower-case hexadecimal SHA-256 of the presented key.
	KeyHash string `json:"key_hash"`
	// Endpoint, Address and RequestID describe the request, for the audit trail.
	Endpoint  string `json:"endpoint,omitempty"`
	Address   string `json:"address,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

// VerifyReply is the identity behind a key. Unknown and disabled keys are
// answered with the same unauthenticated error.
type VerifyReply struct {
	KeyID          string `json:"key_id"`
	Owner          string `json:"owner"`
	Role           string `json:"role"`
	RawModeEnabled bool   `json:"raw_mode_enabled"`
}

// OwnerRequest asks what an owner whose key the NATS server has verified may
// do now. It is answered with a VerifyReply.
type OwnerRequest struct {
	Owner string `json:"owner"`
}
