package embednats_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := testkit.Certify(t), testkit.Certify(t)
	s := start(t, embednats.Options{Listen: randomPort, TLS: ours})
	require.True(t, strings.HasPrefix(s.ClientURL(), "tls://"), s.ClientURL())

	nc, err := nats.Connect(s.ClientURL(), nats.RootCAs(ours.CA))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	require.NoError(t, nc.Flush())
	state, err := nc.TLSConnectionState()
	require.NoError(t, err)
	require.True(t, state.HandshakeComplete)

	_, err = nats.Connect(s.ClientURL(), nats.RootCAs(theirs.CA))
	require.ErrorContains(t, err, "certificate signed by unknown authority")

	plain, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.ClientURL(), "tls://"))
	require.NoError(t, err)
	defer func() { _ = plain.Close() }()
	_, err = plain.Write([]byte("CONNECT {\"tls_required\":false}\r\nPING\r\n"))
	require.NoError(t, err)
	require.NoError(t, plain.SetReadDeadline(time.Now().Add(20*time.Second)))
	heard := make([]byte, 0, 4096)
	for part := make([]byte, 1024); ; {
		n, err := plain.Read(part)
		if heard = append(heard, part[:n]...); err != nil {
			break
		}
	}
	require.NotContains(t, string(heard), "PONG")

	require.NoError(t, inProcess(t, s).Flush(), "inside the process there is nobody to hide from")
}

func TestClusterOverTLS(t *testing.T) {
	t.Parallel()
	proof := testkit.Certify(t)
	m := cluster(t, func(o *embednats.Options) { o.TLS = proof })
	js, _ := replicated(t, m.connect(t, nats.RootCAs(proof.CA)))
	require.NoError(t, publish(t.Context(), js, 1))

	other := testkit.Certify(t)
	o := m.opts[0]
	m.servers[0].Stop()
	m.servers[0] = nil
	o.TLS, o.StoreDir = other, t.TempDir()
	s := start(t, o)
	require.Eventually(t, func() bool { return strings.Contains(m.log.String(), "TLS route handshake error") }, 30*time.Second, 20*time.Millisecond, "nobody refused it")
	require.Equal(t, "no other member of the cluster is connected", s.Missing())
}

func TestBadTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := testkit.Certify(t), testkit.Certify(t)
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for says, bad := range map[string]embednats.TLS{
		"needs a certificate and its key": {Key: ours.Key},
		"must be an absolute path":        {Cert: "tls.crt", Key: ours.Key},
		"private key does not match":      {Cert: ours.Cert, Key: theirs.Key},
		"no such file":                    {Cert: ours.Cert, Key: empty + "-not"},
		"read the authority":              {Cert: ours.Cert, Key: ours.Key, CA: empty + "-not"},
		"holds no certificate":            {Cert: ours.Cert, Key: ours.Key, CA: empty},
	} {
		_, err := embednats.Start(embednats.Options{TLS: &bad})
		require.ErrorContains(t, err, says)
	}
}
