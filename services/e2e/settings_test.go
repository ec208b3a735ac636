package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

func jsonBody(s string) io.Reader { return strings.NewReader(s) }

func decodeJobID(resp *http.Response) (string, bool) {
	var answer struct {
		JobID string `json:"job_id"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return "", false
	}
	return answer.JobID, answer.JobID != ""
}

func TestBadSettingsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	cmd := command(t, t.TempDir(), []string{
		"NEXUS_ENVIRONMENT=moon", "NEXUS_WORKER_POLL_SECONDS=0.01", "NEXUS_HTTP_ADDR=nowhere", "NEXUS_DB_POOL_SIZE=0", "NEXUS_LOG_LEVEL=loud",
	}, "up")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	for _, want := range []string{"5 problem(s)", "NEXUS_ENVIRONMENT", "NEXUS_WORKER_POLL_SECONDS", "NEXUS_HTTP_ADDR", "NEXUS_DB_POOL_SIZE", "NEXUS_LOG_LEVEL"} {
		require.Contains(t, string(out), want)
	}
}

func TestProductionRefusesDevelopmentKeys(t *testing.T) {
	t.Parallel()
	out, err := command(t, t.TempDir(), []string{"NEXUS_ENVIRONMENT=prod", "NEXUS_BOOTSTRAP_KEYS_ENABLED=true"}, "up").CombinedOutput()
	require.Error(t, err)
	require.Equal(t, 5, strings.Count(string(out), "which anybody knows"), "four keys and the secret of tokens")
}

func TestUnknownSettingIsWarnedAbout(t *testing.T) {
	t.Parallel()
	out, err := command(t, t.TempDir(), []string{"NEXUS_HTPP_ADDR=x"}, "jobs").CombinedOutput()
	require.Error(t, err, "a single service needs servers")
	require.Contains(t, string(out), "NEXUS_HTPP_ADDR")
	require.Contains(t, string(out), "NEXUS_NATS_URL is not set")
}

func TestServicesRefuseAnotherSchema(t *testing.T) {
	t.Parallel()
	env := append(freePorts(), "NEXUS_DATA_DIR="+dataDir(t), "NEXUS_DATABASE_URL="+testkit.EmptyDatabase(t), "NEXUS_SCHEMA_MANAGEMENT_MODE=migrate_only")
	out, err := command(t, t.TempDir(), env, "up").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "run `nexus migrate up`")

	out, err = command(t, t.TempDir(), env, "migrate", "up").CombinedOutput()
	require.NoError(t, err, "%s", out)
	launch(t, t.TempDir(), env, "up").stop()
	out, err = command(t, t.TempDir(), env, "migrate", "down", "--yes").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = command(t, t.TempDir(), env, "up").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "is missing; run `nexus migrate up`")
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		ok   bool
		want string
	}{
		{nil, true, "nexus up"},
		{[]string{"help"}, true, "nexus up"},
		{[]string{"version"}, true, "dev"},
		{[]string{"fly"}, false, `no command "fly"`},
		{[]string{"docs"}, false, "--out DIR"},
		{[]string{"audit", "check"}, false, "nexus audit verify"},
		{[]string{"migrate"}, false, "migrate up"},
		{[]string{"migrate", "down"}, false, "deletes all data"},
	} {
		out, err := command(t, t.TempDir(), nil, tc.args...).CombinedOutput()
		require.Equal(t, tc.ok, err == nil, "%v: %s", tc.args, out)
		require.Contains(t, string(out), tc.want)
	}
}

// No command may stand in the way of the service of the same name.
func TestEveryServiceIsACommand(t *testing.T) {
	t.Parallel()
	for _, service := range []string{"auth", "audit", "jobs", "corpus", "plugins", "gateway"} {
		out, err := command(t, t.TempDir(), nil, service).CombinedOutput()
		require.Error(t, err, "a single service needs servers")
		require.Contains(t, string(out), "NEXUS_NATS_URL is not set", service)
	}
}
