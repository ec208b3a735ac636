package token

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"nexus.internal/libs/contract"
)

// Ed25519 as a JSON Web Key (RFC 8037).
const (
	keyType = "OKP"
	curve   = "Ed25519"
)

// secretID names a secret without telling anything about it that a signed token
// would not tell as well.
func secretID(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("nexus token key id"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// thumbprint names a public key (RFC 7638).
func thumbprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"%s","kty":"%s","x":"%s"}`, curve, keyType, base64.RawURLEncoding.EncodeToString(key)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func readKey(setting, path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: %s is not PEM", setting, path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		// The cause could quote the file.
		return nil, fmt.Errorf("%s: %s is not a PKCS #8 private key", setting, path)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: %s is not an Ed25519 key", setting, path)
	}
	return key, nil
}

func webKey(key ed25519.PublicKey) contract.JSONWebKey {
	return contract.JSONWebKey{
		KeyType: keyType, Curve: curve, Use: "sig", Algorithm: EdDSA, KeyID: thumbprint(key), X: base64.RawURLEncoding.EncodeToString(key),
	}
}

func publicKey(k contract.JSONWebKey) (ed25519.PublicKey, error) {
	if k.KeyType != keyType || k.Curve != curve || k.Algorithm != EdDSA {
		return nil, errors.New("a key of the set is not an Ed25519 key")
	}
	raw, err := base64.RawURLEncoding.DecodeString(k.X)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, errors.New("a key of the set is not 32 bytes")
	}
	if key := ed25519.PublicKey(raw); thumbprint(key) == k.KeyID {
		return key, nil
	}
	return nil, errors.New("a key of the set has another's name")
}
