package deploy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reference is what the program says about itself: what manifests may rely on.
type reference struct {
	// settings holds the default of every setting; "" where there is none.
	settings map[string]string
	// services are the folders of services/ that hold a service.
	services []string
	// paths are the paths of the REST API.
	paths map[string]bool
	// readme is this folder's README.md.
	readme string
}

func readReference(t *testing.T) reference {
	t.Helper()
	var api struct {
		Paths map[string]json.RawMessage `json:"paths"`
	}
	require.NoError(t, json.Unmarshal([]byte(readFile(t, "../docs/openapi.json")), &api))
	ref := reference{
		settings: parseSettings(readFile(t, "../docs/configuration.md")),
		paths:    map[string]bool{},
		readme:   readFile(t, "README.md"),
	}
	for path := range api.Paths {
		ref.paths[path] = true
	}
	// A service <name> is put together in services/<name>/<name>.go.
	folders, err := filepath.Glob("../services/*")
	require.NoError(t, err)
	for _, folder := range folders {
		name := filepath.Base(folder)
		if _, err := os.Stat(filepath.Join(folder, name+".go")); err == nil {
			ref.services = append(ref.services, name)
		}
	}
	require.Len(t, ref.services, 7)
	require.Contains(t, ref.settings, "NEXUS_ENVIRONMENT")
	require.Contains(t, ref.paths, "/healthz")
	return ref
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// parseSettings reads the table of docs/configuration.md: name, type, default
// and meaning.
func parseSettings(page string) map[string]string {
	settings := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(NEXUS_[A-Z0-9_]+)` \\| [^|]* \\| ([^|]*) \\|").FindAllStringSubmatch(page, -1) {
		settings[row[1]] = strings.Trim(row[2], "` ")
	}
	return settings
}

func TestSettingsAreReadFromTheTable(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]string{"NEXUS_ENVIRONMENT": "dev", "NEXUS_NATS_URL": ""}, parseSettings(`# Configuration

NEXUS_PROSE is no setting.

| Variable | Type | Default | Meaning |
|---|---|---|---|
| `+"`NEXUS_ENVIRONMENT` | string | `dev`"+` | dev, test or prod. |
| `+"`NEXUS_NATS_URL` | string | "+` | The URL of a NATS server. |
`))
}

func TestTextsNameSettingsThatExist(t *testing.T) {
	t.Parallel()
	ref := readReference(t)
	for _, file := range []string{"Dockerfile", "README.md", "compose.yaml", "compose.observability.yaml"} {
		names := regexp.MustCompile(`NEXUS_[A-Z0-9_]+`).FindAllString(readFile(t, file), -1)
		require.NotEmpty(t, names, file)
		for _, name := range names {
			_, known := ref.settings[name]
			require.True(t, known, "%s: there is no setting %s", file, name)
		}
	}
}
