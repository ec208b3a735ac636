package embednats

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// TLS is what a server proves itself with. Files are PEM and read at the start.
type TLS struct {
	// Cert holds the certificate with the chain up to the authority, and Key its
	// private key. For a member of a cluster it must hold for servers and for clients,
	// and name the hosts of all routes.
	Cert, Key string
	// CA holds the authorities that members of a cluster accept. It may be empty for
	// a server that stands alone.
	CA string
}

func (t *TLS) validate(clustered bool) error {
	if t.Cert == "" || t.Key == "" {
		return errors.New("TLS needs a certificate and its key")
	}
	if clustered && t.CA == "" {
		return errors.New("TLS between members of a cluster needs the certificate of its authority")
	}
	for _, path := range []string{t.Cert, t.Key, t.CA} {
		// The configuration is read in another folder.
		if path != "" && !filepath.IsAbs(path) {
			return fmt.Errorf("%q must be an absolute path", path)
		}
	}
	if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
		return fmt.Errorf("load the certificate %s with its key: %w", t.Cert, err)
	}
	if t.CA == "" {
		return nil
	}
	text, err := os.ReadFile(t.CA)
	if err != nil {
		return fmt.Errorf("read the authority: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no certificate", t.CA)
	}
	return nil
}
