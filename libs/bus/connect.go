// Package bus is how services talk: JetStream streams and consumers as
// contract describes them, publishing with acknowledgement, and requests
// between services as NATS micro services.
//
// It does not know what a message means. It never closes a connection that
// was handed to it.
package bus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// connectWithin bounds one try to connect to one server: packets may be dropped
// without a word.
const connectWithin = 3 * time.Second

var errBadURL = errors.New("it is not a valid NATS URL")

// Connect opens a connection that keeps trying to come back for as long as the
// process lives. name shows up in the server's connection list.
func Connect(address, name string, log zerolog.Logger, opts ...nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{
		nats.Name("nexus-" + name),
		nats.Timeout(connectWithin),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 250*time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn().Err(err).Msg("lost the connection to NATS; reconnecting")
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info().Msg("connected to NATS again") }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			e := log.Warn().Err(err)
			if sub != nil {
				e = e.Str("subject", sub.Subject)
			}
			e.Msg("NATS reported an error")
		}),
	}, opts...)
	nc, err := nats.Connect(address, all...)
	var bad *url.Error
	if errors.As(err, &bad) {
		// It repeats the URL, and that may hold a password.
		err = errBadURL
	}
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return nc, nil
}

// IsNotYet reports whether a connection could not be opened for a reason that
// may pass: nobody answers, or the name is unknown. Refused credentials, an address
// that is none and a certificate nobody vouches for do not pass.
func IsNotYet(err error) bool {
	for _, lasting := range []error{
		errBadURL, nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrNkeysNotSupported,
		nats.ErrNkeyButNoSigCB, nats.ErrSecureConnRequired, nats.ErrSecureConnWanted,
	} {
		if errors.Is(err, lasting) {
			return false
		}
	}
	var certificate *tls.CertificateVerificationError
	return err != nil && !errors.As(err, &certificate)
}

// JetStream opens JetStream on a connection, with room for a loaded publisher.
func JetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	js, err := jetstream.New(nc,
		jetstream.WithPublishAsyncMaxPending(8192),
		jetstream.WithPublishAsyncTimeout(10*time.Second),
	)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return js, nil
}
