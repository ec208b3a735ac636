package deliver

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	g := newGuard()
	for _, good := range []string{
		"1.1.1.1", "168.63.129.15", "168.63.129.17", "8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "192.167.0.1", "223.255.255.255", "198.20.0.1",
		"2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "::ffff:8.8.8.8",
	} {
		require.True(t, g.public(netip.MustParseAddr(good)), good)
		require.NoError(t, g.control("tcp", netip.AddrPortFrom(netip.MustParseAddr(good), 443).String(), nil), good)
	}
	for _, bad := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254", "169.254.0.1", "168.63.129.16", "::ffff:168.63.129.16",
		"172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1",
		"100::1", "2001::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
		"fe80::1%eth0", "2606:4700::1111%eth0",
	} {
		require.False(t, g.public(netip.MustParseAddr(bad)), bad)
		require.ErrorIs(t, g.control("tcp", netip.AddrPortFrom(netip.MustParseAddr(bad), 80).String(), nil), ErrNotPublic, bad)
	}
	require.False(t, g.public(netip.Addr{}))
	for _, bad := range []string{"", "localhost:80", "127.0.0.1", "1.1.1.1:99999"} {
		require.ErrorIs(t, g.control("tcp", bad, nil), ErrNotPublic, bad)
	}
}
