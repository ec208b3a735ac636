package publicnet_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/publicnet"
)

func public() []string {
	return []string{
		"1.1.1.1", "168.63.129.15", "168.63.129.17", "8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "192.167.0.1", "223.255.255.255", "198.20.0.1",
		"2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "::ffff:8.8.8.8",
	}
}

func inside() []string {
	return []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254", "169.254.0.1", "168.63.129.16", "::ffff:168.63.129.16",
		"172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1",
		"100::1", "2001::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
		"fe80::1%eth0", "2606:4700::1111%eth0",
	}
}

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	g := publicnet.New()
	for _, good := range public() {
		require.True(t, g.Public(netip.MustParseAddr(good)), good)
		require.NoError(t, g.Control("tcp", netip.AddrPortFrom(netip.MustParseAddr(good), 443).String(), nil), good)
		require.NoError(t, g.CheckHost(good), good)
	}
	for _, bad := range inside() {
		require.False(t, g.Public(netip.MustParseAddr(bad)), bad)
		require.ErrorIs(t, g.Control("tcp", netip.AddrPortFrom(netip.MustParseAddr(bad), 80).String(), nil), publicnet.ErrNotPublic, bad)
		require.Error(t, g.CheckHost(bad), bad)
	}
	require.False(t, g.Public(netip.Addr{}))
	for _, bad := range []string{"", "localhost:80", "127.0.0.1", "1.1.1.1:99999"} {
		require.ErrorIs(t, g.Control("tcp", bad, nil), publicnet.ErrNotPublic, bad)
	}
}

func TestHostsThatCanBeSeenToBeInside(t *testing.T) {
	t.Parallel()
	g := publicnet.New()
	for _, bad := range []string{
		"localhost", "LOCALHOST", "localhost.", "a.localhost", "printer.local", "metadata.google.internal", "127.0.0.1.", "127.1", "127.0.0.01", "2130706433", "0x7f000001", "0X7F.1", "017700000001", "1.2.3.4.5", "256.1.1.1", "a.1", "0x",
	} {
		require.Error(t, g.CheckHost(bad), bad)
	}
	for _, good := range []string{"example.com", "example.com.", "localhost.example.com", "1.example", "0x7f.example.com", "xn--bcher-kva.example", "a.0xyz", "intranet"} {
		require.NoError(t, g.CheckHost(good), good)
	}
}

// names is a resolver that knows a few names.
type names map[string][]string

func (n names) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		return nil, errors.New("a name may take for ever")
	}
	found, ok := n[strings.TrimSuffix(host, ".")]
	if !ok {
		return nil, errors.New("no such host")
	}
	var out []netip.Addr
	for _, text := range found {
		out = append(out, netip.MustParseAddr(text))
	}
	return out, nil
}

func TestNamesThatLeadInside(t *testing.T) {
	t.Parallel()
	g := publicnet.New()
	known := names{"good": {"8.8.8.8"}, "bad": {"127.0.0.1", "::1"}, "both": {"10.0.0.1", "8.8.8.8"}, "none": {}}
	for host, want := range map[string]bool{"good": true, "bad": false, "bad.": false, "both": true, "none": true, "unknown": true, "localhost": false, "10.0.0.1": false} {
		err := g.CheckName(t.Context(), known, host)
		require.Equal(t, want, err == nil, "%s: %v", host, err)
	}
}
