package private

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadBanner(t *testing.T) {
	t.Parallel()
	a, err := readBanner(strings.NewReader(`
Nexus is running.

  REST API   http://127.0.0.1:41234   (documentation: http://127.0.0.1:41234/docs)
  NATS       nats://127.0.0.1:41235
  Data       /somewhere
`))
	require.NoError(t, err)
	require.Equal(t, addresses{http: "127.0.0.1:41234", nats: "nats://127.0.0.1:41235"}, a)
}

func TestReadBannerMissesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":      "",
		"no NATS door": "  REST API   http://127.0.0.1:1\n  Data  x\n",
		"no REST API":  "  NATS  nats://127.0.0.1:1\n",
		"other text":   "see REST API at http://127.0.0.1:1\n",
	} {
		_, err := readBanner(strings.NewReader(text))
		require.ErrorContains(t, err, "ended before", name)
	}
}

func TestParsePostmaster(t *testing.T) {
	t.Parallel()
	pm, err := parsePostmaster("4711\n/data/postgres/cluster\n1700000000\n5432\n/data/postgres/socket\n\n  5432001 7\nready   \n")
	require.NoError(t, err)
	require.Equal(t, postmaster{pid: 4711, port: "5432", socket: "/data/postgres/socket"}, pm)

	for name, text := range map[string]string{"nothing": "", "cut short": "4711\n/data\n", "no number": "x\na\nb\nc\nd\n"} {
		_, err := parsePostmaster(text)
		require.Error(t, err, name)
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	require.Equal(t, "b\nc", lastLines("a\nb\nc\n", 2))
	require.Equal(t, "a", lastLines("a\n", 5))
	require.Empty(t, lastLines("", 5))
}

func TestTheEnvironmentIsItsOwn(t *testing.T) {
	t.Setenv("NEXUS_DATABASE_URL", "postgres://elsewhere")
	t.Setenv("NEXUS_PG_BIN", "/pg/bin")
	s := &Server{DataDir: "/data", Key: "secret"}
	env := s.environment([]string{"NEXUS_DB_POOL_SIZE=9"})
	require.Contains(t, env, "NEXUS_DATA_DIR=/data")
	require.Contains(t, env, "NEXUS_PG_BIN=/pg/bin")
	require.Contains(t, env, "NEXUS_DB_POOL_SIZE=9")
	require.NotContains(t, strings.Join(env, "\n"), "elsewhere")
}

func TestStartExplainsAFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := Start(t.Context(), Options{Binary: dir + "/missing", Dir: dir})
	require.ErrorContains(t, err, "missing")

	_, err = Start(t.Context(), Options{Binary: "/bin/false", Dir: dir})
	require.ErrorContains(t, err, "ended before it said where it listens")
	_, err = Start(t.Context(), Options{Binary: "/bin/false", Dir: dir + "/nowhere"})
	require.ErrorContains(t, err, "make a data folder")
}
