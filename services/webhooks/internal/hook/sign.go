package hook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// secretPrefix begins every secret that was made here.
const secretPrefix = "nxw_"

// secretBytes is how much chance there is in a secret.
const secretBytes = 32

// NewSecret makes a secret. Its bytes as they are shown are the key of the
// signature.
func NewSecret() (string, error) {
	var b [secretBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	return secretPrefix + hex.EncodeToString(b[:]), nil
}

// Sign is the value of the header Nexus-Signature: the time, and the HMAC-SHA256
// of the time, a full stop and the body.
func Sign(secret string, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
