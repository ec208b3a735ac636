package hook

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"nexus.internal/libs/contract"
)

// secretBytes is how much chance there is in a secret.
const secretBytes = 32

// NewSecret makes a secret in the form of Standard Webhooks.
func NewSecret() (string, error) {
	var b [secretBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	return contract.WebhookSecretPrefix + base64.StdEncoding.EncodeToString(b[:]), nil
}

// Sign is the signature of a post after the Standard Webhooks specification:
// "v1," and the HMAC-SHA256, in base64, of the id, the time in seconds and the body,
// joined by full stops.
func Sign(secret, id string, at time.Time, body []byte) (string, error) {
	w, err := standardwebhooks.NewWebhookRaw(contract.WebhookKey(secret))
	if err != nil {
		return "", fmt.Errorf("use a secret: %w", err)
	}
	signature, err := w.Sign(id, at, body)
	if err != nil {
		return "", fmt.Errorf("sign a post: %w", err)
	}
	return signature, nil
}
