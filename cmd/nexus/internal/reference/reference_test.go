package reference_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/cmd/nexus/internal/reference"
)

func TestEveryPageIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, reference.Write(dir))
	for page, want := range map[string]string{
		"configuration.md": "| `NEXUS_HTTP_ADDR` | text | `127.0.0.1:8080` | Where the REST API listens",
		"state-machine.md": "running --> succeeded: succeed",
		"wire.md":          "| NEXUS_RUNS | `nexus.run.>` | until acknowledged |",
		"openapi.json":     `"/api/v1/jobs/submit"`,
	} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		require.NoError(t, err)
		require.Contains(t, string(text), want, page)
	}
	api, err := os.ReadFile(filepath.Join(dir, "openapi.json"))
	require.NoError(t, err)
	require.True(t, json.Valid(api))
}

func TestAFolderThatIsNotThere(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, reference.Write(filepath.Join(t.TempDir(), "none")), "write ")
}
