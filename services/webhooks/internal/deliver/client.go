package deliver

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"nexus.internal/libs/publicnet"
	"nexus.internal/services/webhooks/internal/hook"
)

// Headers of a post.
const (
	headerEvent   = "Nexus-Event"
	headerEventID = "Nexus-Event-Id"
	userAgent     = "Nexus-Webhooks/1"
)

const (
	// maxAnswer is how much of an answer is read, in bytes; it is not looked at.
	maxAnswer = 1 << 10
	// maxAnswerHeader bounds the headers of an answer, in bytes.
	maxAnswerHeader = 16 << 10
	// keepIdle is how long a connection waits for the next post.
	keepIdle = 30 * time.Second
)

// Client posts deliveries.
type Client struct {
	// transport follows no redirects: one could lead anywhere, and no receiver
	// needs one.
	transport *http.Transport
	timeout   time.Duration
	now       func() time.Time
}

// NewClient makes a client that gives a post up after timeout. With allowPrivate
// it posts to addresses inside as well.
func NewClient(timeout time.Duration, allowPrivate bool, perHost int, now func() time.Time) *Client {
	dialer := &net.Dialer{Timeout: timeout, KeepAlive: keepIdle}
	if !allowPrivate {
		dialer.Control = publicnet.New().Control
	}
	return &Client{now: now, timeout: timeout, transport: &http.Transport{
		// No proxy: it would dial in our place, and nobody would guard it.
		Proxy: nil, DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true, DisableCompression: true, MaxIdleConns: 100, MaxIdleConnsPerHost: perHost, IdleConnTimeout: keepIdle,
		TLSHandshakeTimeout: timeout, MaxResponseHeaderBytes: maxAnswerHeader,
	}}
}

// Close lets the connections go.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Post posts a delivery. The error of an outcome names no address and nothing of
// the answer but its status.
func (c *Client) Post(ctx context.Context, d hook.Claimed) hook.Outcome {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return hook.Outcome{Err: errors.New("the URL cannot be used")}
	}
	now := c.now()
	signature, err := hook.Sign(d.Secret, d.ID.String(), now, d.Body)
	if err != nil {
		return hook.Outcome{Err: errors.New("the post cannot be signed")}
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": userAgent,
		headerEvent: d.Event, headerEventID: d.EventID,
		standardwebhooks.HeaderWebhookID: d.ID.String(), standardwebhooks.HeaderWebhookTimestamp: strconv.FormatInt(now.Unix(), 10),
		standardwebhooks.HeaderWebhookSignature: signature,
	} {
		req.Header.Set(name, value)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return hook.Outcome{Err: errors.New(why(err))}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		// A short answer is read so that its connection can be used again. One that
		// switches protocols has no end, and no deadline holds for it.
		_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	}
	out := hook.Outcome{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), now)}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		out.Err = fmt.Errorf("the answer is %d, and redirects are not followed", resp.StatusCode)
	default:
		out.Err = fmt.Errorf("the answer is %d", resp.StatusCode)
	}
	return out
}

// retryAfter reads a Retry-After, in seconds or as a date; zero for none.
func retryAfter(value string, now time.Time) time.Duration {
	n, err := strconv.ParseUint(value, 10, 31)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		// What is out of range is the most there is, and that is far too much.
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// why is what went wrong, in words of our own: those of the net package name
// addresses inside, such as that of the resolver.
func why(err error) string {
	var dns *net.DNSError
	var network net.Error
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, publicnet.ErrNotPublic):
		return publicnet.ErrNotPublic.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the host does not exist"
	case errors.As(err, &dns):
		return "the host cannot be looked up"
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "no answer came in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.As(err, &verification), errors.As(err, &authority):
		return "the certificate is not trusted"
	case errors.As(err, &record):
		return "the host does not speak TLS"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke off"
	default:
		return "the host cannot be reached"
	}
}
