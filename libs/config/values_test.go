package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/config"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"127.0.0.1:8080", ":1", "[::1]:65535", "nexus.example:80", "127.0.0.1:0"} {
		require.NoError(t, config.Address("NEXUS_A", good, 0), good)
	}
	require.NoError(t, config.Address("NEXUS_A", "127.0.0.1:-1", -1))
	for _, bad := range []string{"", "here", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:99999", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1:2", "a b:1", "http://a:1"} {
		require.ErrorContains(t, config.Address("NEXUS_A", bad, 0), "NEXUS_A is ", bad)
	}
	require.ErrorContains(t, config.Address("NEXUS_A", "127.0.0.1:0", -1), "want a port from 1 to 65535, or -1")
}

func TestSecret(t *testing.T) {
	t.Parallel()
	require.NoError(t, config.Secret("NEXUS_S", "hunter2-hunter2!~", 16, 20))
	for _, bad := range []string{
		"hunter2", strings.Repeat("hunter2", 3), "hunter2-hunter2-\n", " hunter2-hunter2-", "hunter2-hunter2-\r\n", "hunter2 hunter2 x", "hunter2-\x00hunter2",
		"hunter2-hunter2-\x7f", "hunter2-hunter2-ü", "hunter2-\thunter2-", "hunter2-hunter2-\u00a0", "hunter2-hunter2-\xff", "\uFEFFhunter2-hunter2", "",
	} {
		err := config.Secret("NEXUS_S", bad, 16, 20)
		require.ErrorContains(t, err, "NEXUS_S ", "%q", bad)
		require.NotContains(t, err.Error(), "hunter", "%q", bad)
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	check := func(value string) error { return config.URL("NEXUS_U", value, "nats://host:4222", "nats", "tls") }
	for _, good := range []string{"nats://h", "nats://h:4222", "tls://u:p@h:1", "nats://[::1]:4222"} {
		require.NoError(t, check(good), good)
	}
	for _, bad := range []string{
		"", "h:1", "http://hunter2@h", "nats://u:hunter2@", "nats://u:hunter2@h:99999", "nats://u:hunter2@h:0", "nats://u:hunter2@h:x", "nats://u:hunter2@h:1\n", "nats://u:hunter2%zz@h",
		"nats://u:hunter2 @h", "://hunter2",
	} {
		err := check(bad)
		require.ErrorContains(t, err, "NEXUS_U ", bad)
		require.NotContains(t, err.Error(), "hunter", bad)
	}
}
