package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// composeFile is the part of the Compose specification that compose.yaml uses:
// anything else is refused.
type composeFile struct {
	Name     string                    `json:"name"`
	Services map[string]composeService `json:"services"`
	Networks map[string]struct {
		Internal bool `json:"internal"`
	} `json:"networks"`
	Volumes map[string]struct{} `json:"volumes"`

	// The parts that services are merged from.
	Nexus    any `json:"x-nexus"`
	Settings any `json:"x-settings"`
	Database any `json:"x-database"`
	Service  any `json:"x-service"`
}

type composeService struct {
	Image string `json:"image"`
	Build struct {
		Context    string `json:"context"`
		Dockerfile string `json:"dockerfile"`
	} `json:"build"`
	Command         []string          `json:"command"`
	Environment     map[string]string `json:"environment"`
	Networks        []string          `json:"networks"`
	Ports           []string          `json:"ports"`
	Volumes         []string          `json:"volumes"`
	ReadOnly        bool              `json:"read_only"`
	CapDrop         []string          `json:"cap_drop"`
	SecurityOpt     []string          `json:"security_opt"`
	Restart         string            `json:"restart"`
	StopGracePeriod string            `json:"stop_grace_period"`
	DependsOn       map[string]struct {
		Condition string `json:"condition"`
	} `json:"depends_on"`
	Healthcheck *struct {
		Test     []string `json:"test"`
		Interval string   `json:"interval"`
		Retries  int      `json:"retries"`
	} `json:"healthcheck"`
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	var file composeFile
	require.NoError(t, yaml.UnmarshalStrict([]byte(readFile(t, "compose.yaml")), &file))
	return file
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
			if strings.HasPrefix(variable, "NEXUS_") {
				require.Contains(t, ref.settings, variable, name)
			}
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
