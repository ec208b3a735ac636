package token

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"nexus.internal/libs/contract"
)

// key signs, where it has a private half, and checks. private and public are
// what the signing method of the JWT library takes.
type key struct {
	id              string
	private, public any
}

// secretKey names a secret after an HMAC with it, which tells nothing about it.
func secretKey(secret string) key {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("nexus token key id"))
	return key{
		id:      base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:9]),
		private: []byte(secret), public: []byte(secret),
	}
}

// secretKeys are the keys of HS256, the one that signs first.
func secretKeys(s Settings) []key {
	keys := []key{secretKey(s.Secret)}
	if s.PreviousSecret != "" {
		keys = append(keys, secretKey(s.PreviousSecret))
	}
	return keys
}

// fileKeys reads the keys of EdDSA, the one that signs first.
func fileKeys(s Settings) ([]key, error) {
	if s.KeyFile == "" {
		return nil, errors.New("NEXUS_JWT_KEY_FILE is empty: EdDSA needs a key to sign with")
	}
	current, err := readKey("NEXUS_JWT_KEY_FILE", s.KeyFile)
	if err != nil || s.PreviousKeyFile == "" {
		return []key{current}, err
	}
	previous, err := readKey("NEXUS_JWT_PREVIOUS_KEY_FILE", s.PreviousKeyFile)
	if err == nil && previous.id == current.id {
		err = errors.New("NEXUS_JWT_PREVIOUS_KEY_FILE holds the key of NEXUS_JWT_KEY_FILE: want another, or none")
	}
	return []key{current, previous}, err
}

// readKey never quotes the file: it may hold another secret by mistake.
func readKey(setting, path string) (key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return key{}, fmt.Errorf("%s: %w", setting, err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return key{}, fmt.Errorf("%s: %s holds no PEM block of type PRIVATE KEY (PKCS#8)", setting, path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return key{}, fmt.Errorf("%s: %s holds no PKCS#8 key: %w", setting, path, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return key{}, fmt.Errorf("%s: %s holds a %T: want an Ed25519 key", setting, path, parsed)
	}
	public := ed25519.PublicKey(private[ed25519.SeedSize:])
	return key{id: thumbprint(public), private: private, public: public}, nil
}

// thumbprint is the RFC 7638 name of a key.
func thumbprint(public ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(public) + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func webKey(id string, public ed25519.PublicKey) contract.JSONWebKey {
	return contract.JSONWebKey{
		KeyType: "OKP", Curve: "Ed25519", Use: "sig", Algorithm: EdDSA,
		KeyID: id, X: base64.RawURLEncoding.EncodeToString(public),
	}
}

// fromWebKey refuses a key that is not an Ed25519 one for signatures under its
// own thumbprint: a name that is not derived could hide another key.
func fromWebKey(k contract.JSONWebKey) (key, error) {
	if k.KeyType != "OKP" || k.Curve != "Ed25519" || k.Algorithm != EdDSA || k.Use != "sig" {
		return key{}, fmt.Errorf("key %q is %q %q %q %q: want OKP Ed25519 EdDSA sig", k.KeyID, k.KeyType, k.Curve, k.Algorithm, k.Use)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
	if err != nil {
		return key{}, fmt.Errorf("key %q: read x: %w", k.KeyID, err)
	}
	if len(raw) != ed25519.PublicKeySize {
		return key{}, fmt.Errorf("key %q has %d bytes: want %d", k.KeyID, len(raw), ed25519.PublicKeySize)
	}
	public := ed25519.PublicKey(raw)
	if k.KeyID != thumbprint(public) {
		return key{}, fmt.Errorf("key %q is not named by its thumbprint", k.KeyID)
	}
	return key{id: k.KeyID, public: public}, nil
}
