package observability_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/dns"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// decode reads YAML into a type and refuses what the type does not have.
func decode(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(into), file)
}

// dataSources are those that Grafana is provisioned with.
func dataSources(t *testing.T) (all []datasource) {
	t.Helper()
	var file struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name      string         `yaml:"name"`
			UID       string         `yaml:"uid"`
			Type      string         `yaml:"type"`
			Access    string         `yaml:"access"`
			URL       string         `yaml:"url"`
			IsDefault bool           `yaml:"isDefault"`
			Editable  bool           `yaml:"editable"`
			JSONData  map[string]any `yaml:"jsonData"`
		} `yaml:"datasources"`
	}
	decode(t, "grafana/datasources.yaml", &file)
	for _, d := range file.Datasources {
		all = append(all, datasource{Type: d.Type, UID: d.UID})
	}
	return all
}

func TestPrometheusTakesItsConfiguration(t *testing.T) {
	t.Parallel()
	cfg, err := config.LoadFile("prometheus/prometheus.yml", false, promslog.NewNopLogger())
	require.NoError(t, err)
	require.Equal(t, []string{ruleFile}, cfg.RuleFiles)
	scrapes, err := cfg.GetScrapeConfigs()
	require.NoError(t, err)
	i := slices.IndexFunc(scrapes, func(s *config.ScrapeConfig) bool { return s.JobName == "nexus" })
	require.GreaterOrEqual(t, i, 0)
	require.Equal(t, "/metrics/prometheus", scrapes[i].MetricsPath)
	found, ok := scrapes[i].ServiceDiscoveryConfigs[0].(*dns.SDConfig)
	require.True(t, ok)

	// What runs for good in the compose files, and only that, is scraped where it tells
	// of itself.
	var nexus, tools struct {
		Services map[string]struct {
			Image       string            `yaml:"image"`
			Environment map[string]string `yaml:"environment"`
		} `yaml:"services"`
	}
	for file, into := range map[string]any{"../compose.yaml": &nexus, "../compose.observability.yaml": &tools} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(text, into))
	}
	var want []string
	for name, service := range nexus.Services {
		if service.Image != "nexus:dev" || name == "migrate" {
			continue
		}
		want = append(want, name)
		address := service.Environment["NEXUS_OPS_ADDR"] + tools.Services[name].Environment["NEXUS_OPS_ADDR"]
		require.Equal(t, "0.0.0.0:9090", address, name)
	}
	require.ElementsMatch(t, want, found.Names)
	require.Equal(t, 9090, found.Port)
}

func TestTracesAreTakenWhereTheyAreSent(t *testing.T) {
	t.Parallel()
	var tempo struct {
		Server      map[string]any `yaml:"server"`
		Distributor struct {
			Receivers struct {
				OTLP struct {
					Protocols map[string]struct {
						Endpoint string `yaml:"endpoint"`
					} `yaml:"protocols"`
				} `yaml:"otlp"`
			} `yaml:"receivers"`
		} `yaml:"distributor"`
		Compactor   map[string]any `yaml:"compactor"`
		Storage     map[string]any `yaml:"storage"`
		UsageReport map[string]any `yaml:"usage_report"`
	}
	decode(t, "tempo/tempo.yaml", &tempo)
	_, port, _ := strings.Cut(tempo.Distributor.Receivers.OTLP.Protocols["http"].Endpoint, ":")
	text, err := os.ReadFile("../compose.observability.yaml")
	require.NoError(t, err)
	require.Contains(t, string(text), "NEXUS_OTLP_ENDPOINT: http://tempo:"+port+"\n")
}

func TestGrafanaIsProvisioned(t *testing.T) {
	t.Parallel()
	require.ElementsMatch(t, []datasource{{"prometheus", "prometheus"}, {"tempo", "tempo"}}, dataSources(t))
	var boards struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name                  string            `yaml:"name"`
			Type                  string            `yaml:"type"`
			Folder                string            `yaml:"folder"`
			AllowUIUpdates        bool              `yaml:"allowUiUpdates"`
			DisableDeletion       bool              `yaml:"disableDeletion"`
			UpdateIntervalSeconds int               `yaml:"updateIntervalSeconds"`
			Options               map[string]string `yaml:"options"`
		} `yaml:"providers"`
	}
	decode(t, "grafana/boards.yaml", &boards)
	require.Len(t, boards.Providers, 1)
	text, err := os.ReadFile("../compose.observability.yaml")
	require.NoError(t, err)
	require.Contains(t, string(text), "./observability/"+boardFile+":"+boards.Providers[0].Options["path"]+"/nexus.json:ro")
}
