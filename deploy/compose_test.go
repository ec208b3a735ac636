package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// composeFile is the part of the Compose specification that compose.yaml uses:
// anything else is refused.
type composeFile struct {
	Name     string                    `yaml:"name"`
	Services map[string]composeService `yaml:"services"`
	Networks map[string]struct {
		Internal bool `yaml:"internal"`
	} `yaml:"networks"`
	Volumes map[string]struct{} `yaml:"volumes"`

	// The parts that services are merged from.
	Nexus    any `yaml:"x-nexus"`
	Settings any `yaml:"x-settings"`
	Database any `yaml:"x-database"`
	Service  any `yaml:"x-service"`
	Traced   any `yaml:"x-traced"`
	Tool     any `yaml:"x-tool"`
}

type composeService struct {
	Image string `yaml:"image"`
	Build struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
	Command         []string          `yaml:"command"`
	Environment     map[string]string `yaml:"environment"`
	Networks        []string          `yaml:"networks"`
	Ports           []string          `yaml:"ports"`
	Volumes         []string          `yaml:"volumes"`
	ReadOnly        bool              `yaml:"read_only"`
	CapDrop         []string          `yaml:"cap_drop"`
	SecurityOpt     []string          `yaml:"security_opt"`
	Restart         string            `yaml:"restart"`
	StopGracePeriod string            `yaml:"stop_grace_period"`
	DependsOn       map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Healthcheck *struct {
		Test     []string `yaml:"test"`
		Interval string   `yaml:"interval"`
		Retries  int      `yaml:"retries"`
	} `yaml:"healthcheck"`
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	file, err := decodeCompose(readFile(t, "compose.yaml"))
	require.NoError(t, err)
	return file
}

// decodeCompose refuses fields that are unknown or given twice; merge keys
// (<<) may be overridden, as Compose does it.
func decodeCompose(text string) (composeFile, error) {
	var file composeFile
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	err := decoder.Decode(&file)
	return file, err
}

func TestComposeFieldsThatDoNotExistAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, says string }{
		"misspelt":        {"services: { auth: { comand: [auth] } }", "field comand not found"},
		"twice":           {"services: { auth: { image: a, image: b } }", `mapping key "image" already defined`},
		"of another type": {"services: { auth: { command: auth } }", "cannot unmarshal !!str"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := decodeCompose(tc.text)
			require.ErrorContains(t, err, tc.says)
		})
	}
}

func TestComposeRunsEveryService(t *testing.T) {
	t.Parallel()
	file, ref := readCompose(t), readReference(t)
	commands := map[string]string{"nats": "nats", "migrate": "migrate up", "postgres": ""}
	for _, service := range ref.services {
		commands[service] = service
	}
	require.Len(t, file.Services, len(commands))
	for name, command := range commands {
		require.Equal(t, command, strings.Join(file.Services[name].Command, " "), name)
	}
	require.Equal(t, "deploy/Dockerfile", file.Services["nats"].Build.Dockerfile)
}

func TestComposeSettingsExistAndHoldNoSecret(t *testing.T) {
	t.Parallel()
	file, ref := readCompose(t), readReference(t)
	for name, service := range file.Services {
		for variable, value := range service.Environment {
			_, known := ref.settings[variable]
			require.True(t, known || !strings.HasPrefix(variable, "NEXUS_"), "%s: there is no setting %s", name, variable)
			require.False(t, holdsPassword(value), "%s: %s holds a password", name, variable)
			require.False(t, isSecret(variable) && variable != "NEXUS_DATABASE_URL", "%s: %s is a secret", name, variable)
		}
	}
}

// TestComposeIsClosed wants the database out of the gateway's reach, and ports
// open on this machine only.
func TestComposeIsClosed(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	require.True(t, file.Networks["database"].Internal)
	require.Equal(t, []string{"database"}, file.Services["postgres"].Networks)
	require.Equal(t, []string{"bus"}, file.Services["gateway"].Networks)
	for name, service := range file.Services {
		for _, port := range service.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s: %s", name, port)
		}
		if service.Image == "nexus:dev" {
			require.True(t, service.ReadOnly, name)
			require.Equal(t, []string{"ALL"}, service.CapDrop, name)
			require.Equal(t, []string{"no-new-privileges:true"}, service.SecurityOpt, name)
		}
	}
}

func TestComposeRefersToWhatItDefines(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	for name, service := range file.Services {
		for _, network := range service.Networks {
			require.Contains(t, file.Networks, network, name)
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if !strings.HasPrefix(source, ".") {
				require.Contains(t, file.Volumes, source, name)
			}
		}
		for other, dependency := range service.DependsOn {
			require.Contains(t, file.Services, other, name)
			healthy := dependency.Condition == "service_healthy"
			require.Equal(t, healthy, file.Services[other].Healthcheck != nil, "%s depends on %s", name, other)
			require.True(t, healthy || slices.Contains([]string{"service_started", "service_completed_successfully"}, dependency.Condition), name)
		}
	}
}

func TestComposeGivesTimeToDrain(t *testing.T) {
	t.Parallel()
	file, ref := readCompose(t), readReference(t)
	for name, service := range file.Services {
		if service.Image != "nexus:dev" {
			continue
		}
		given, err := time.ParseDuration(service.StopGracePeriod)
		require.NoError(t, err, name)
		require.GreaterOrEqual(t, int64(given/time.Second), seconds(service.Environment, ref, "NEXUS_SHUTDOWN_GRACE_SECONDS"), name)
	}
}
