package deploy_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestComposeIsWatched holds compose.observability.yaml, which is merged into
// compose.yaml, to what holds there.
func TestComposeIsWatched(t *testing.T) {
	t.Parallel()
	file, err := decodeCompose(readFile(t, "compose.observability.yaml"))
	require.NoError(t, err)
	watched, ref := readCompose(t), readReference(t)
	tools := map[string]bool{}
	for name, service := range file.Services {
		if _, known := watched.Services[name]; known {
			require.Empty(t, service.Image, name)
			require.NotEmpty(t, service.Environment, name)
			for variable := range service.Environment {
				require.Contains(t, ref.settings, variable, name)
			}
			continue
		}
		tools[name] = true
		_, tag, tagged := strings.Cut(service.Image, ":")
		require.True(t, tagged && tag != "latest", "%s: image %s has no version", name, service.Image)
		require.Equal(t, []string{"ALL"}, service.CapDrop, name)
		require.Equal(t, []string{"no-new-privileges:true"}, service.SecurityOpt, name)
		for _, port := range service.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s: %s", name, port)
		}
		for _, network := range service.Networks {
			require.True(t, network == "bus" || hasKey(file.Networks, network), "%s: there is no network %s", name, network)
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, "./") {
				_, err := os.Stat(source)
				require.NoError(t, err, name)
				require.True(t, strings.HasSuffix(volume, ":ro"), "%s: %s can be written", name, volume)
				continue
			}
			require.True(t, hasKey(file.Volumes, source), "%s: there is no volume %s", name, source)
		}
	}
	require.Equal(t, []string{"grafana", "prometheus", "tempo"}, slices.Sorted(maps.Keys(tools)))
	for _, service := range ref.services {
		require.Equal(t, map[string]string{"NEXUS_OTLP_ENDPOINT": "http://tempo:4318", "NEXUS_OTLP_METRICS_SECONDS": "0"}, file.Services[service].Environment, service)
	}
}

func hasKey[V any](all map[string]V, key string) bool {
	_, ok := all[key]
	return ok
}
