package identity_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/identity"
)

func TestNetworks(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
		"::1": "::", "": "unknown", "192.0.2.7:80": "unknown", "x": "unknown",
	} {
		require.Equal(t, want, identity.Network(address), address)
	}
}
