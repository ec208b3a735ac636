package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/config"
)

type database struct {
	PoolSize int `env:"DB_POOL_SIZE" envDefault:"5" doc:"Connections kept open."`
}

type settings struct {
	Address  string        `env:"HTTP_ADDR" envDefault:"127.0.0.1:8080" doc:"Where the API listens."`
	Secret   string        `env:"JWT_SECRET" doc:"Signs tokens."`
	Lease    time.Duration `env:"LEASE" envDefault:"30s" doc:"How long a claim lasts."`
	Enabled  bool          `env:"ENABLED" envDefault:"true" doc:"Whether it runs."`
	Fraction float64       `env:"FRACTION" envDefault:"0.5"`
	DB       database
}

func (s settings) Validate() error {
	var errs []error
	if s.DB.PoolSize < 1 {
		errs = append(errs, fmt.Errorf("NEXUS_DB_POOL_SIZE is %d: want at least 1", s.DB.PoolSize))
	}
	if s.Lease < time.Second {
		errs = append(errs, errors.Join(fmt.Errorf("NEXUS_LEASE is %s: want at least 1s", s.Lease)))
	}
	return errors.Join(errs...)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	defaults := settings{Address: "127.0.0.1:8080", Lease: 30 * time.Second, Enabled: true, Fraction: 0.5, DB: database{PoolSize: 5}}
	for name, tc := range map[string]struct {
		environ map[string]string
		change  func(*settings)
	}{
		"defaults":            {nil, func(*settings) {}},
		"without the prefix":  {map[string]string{"DB_POOL_SIZE": "9", "HTTP_ADDR": ":1"}, func(*settings) {}},
		"everything set":      {map[string]string{"NEXUS_HTTP_ADDR": ":9", "NEXUS_JWT_SECRET": "s", "NEXUS_LEASE": "1m", "NEXUS_ENABLED": "false", "NEXUS_FRACTION": "1", "NEXUS_DB_POOL_SIZE": "7"}, func(s *settings) { *s = settings{":9", "s", time.Minute, false, 1, database{7}} }},
		"value with a symbol": {map[string]string{"NEXUS_JWT_SECRET": "a=b$c #d"}, func(s *settings) { s.Secret = "a=b$c #d" }},
	} {
		want := defaults
		tc.change(&want)
		var got settings
		require.NoError(t, config.Load(&got, tc.environ), name)
		require.Equal(t, want, got, name)
	}
}

func TestLoadReportsEveryValueThatCannotBeRead(t *testing.T) {
	t.Parallel()
	var s settings
	err := config.Load(&s, map[string]string{"NEXUS_DB_POOL_SIZE": "many", "NEXUS_LEASE": "soon", "NEXUS_ENABLED": "perhaps"})
	require.ErrorContains(t, err, "the settings have 3 problem(s):")
	for _, part := range []string{`"many"`, `"soon"`, `"perhaps"`} {
		require.ErrorContains(t, err, part)
	}
}

func TestLoadReportsEveryValueThatMakesNoSense(t *testing.T) {
	t.Parallel()
	var s settings
	err := config.Load(&s, map[string]string{"NEXUS_DB_POOL_SIZE": "0", "NEXUS_LEASE": "5ms"})
	require.EqualError(t, err, "the settings have 2 problem(s):\n  - NEXUS_DB_POOL_SIZE is 0: want at least 1\n  - NEXUS_LEASE is 5ms: want at least 1s")
}

func TestLoadOfSettingsWithoutRules(t *testing.T) {
	t.Parallel()
	var d database
	require.NoError(t, config.Load(&d, map[string]string{"NEXUS_DB_POOL_SIZE": "-3"}))
	require.Equal(t, -3, d.PoolSize)
	require.ErrorContains(t, config.Load(&d, map[string]string{"NEXUS_DB_POOL_SIZE": "3x"}), "1 problem")
}

func TestLoadNeedsAPointerToAStruct(t *testing.T) {
	t.Parallel()
	number := 3
	for _, target := range []any{nil, settings{}, &number} {
		require.ErrorContains(t, config.Load(target, nil), "1 problem", "%T", target)
	}
}

// dotEnv writes a .env file and returns its folder.
func dotEnv(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600))
	return dir
}

func TestEnvironmentWinsOverTheFile(t *testing.T) {
	t.Setenv("NEXUS_TEST_BOTH", "environment")
	t.Setenv("NEXUS_TEST_EMPTY", "")
	t.Setenv("NEXUS_TEST_EQUALS", "a=b=c")
	dir := dotEnv(t, "# a comment\nNEXUS_TEST_BOTH=file\nNEXUS_TEST_EMPTY=file\nexport NEXUS_TEST_FILE=\"with spaces\"\nOTHER_TEST_FILE='x'\n")
	environ, err := config.Environ(dir)
	require.NoError(t, err)
	require.Equal(t, "environment", environ["NEXUS_TEST_BOTH"])
	require.Empty(t, environ["NEXUS_TEST_EMPTY"], "set to nothing is set")
	require.Equal(t, "a=b=c", environ["NEXUS_TEST_EQUALS"])
	require.Equal(t, "with spaces", environ["NEXUS_TEST_FILE"])
	require.Equal(t, "x", environ["OTHER_TEST_FILE"])
	_, changed := os.LookupEnv("NEXUS_TEST_FILE")
	require.False(t, changed, "the process environment stays as it is")
}

func TestMissingFileIsFine(t *testing.T) {
	t.Setenv("NEXUS_TEST_ALONE", "1")
	environ, err := config.Environ(t.TempDir())
	require.NoError(t, err)
	require.Equal(t, "1", environ["NEXUS_TEST_ALONE"])
}

func TestUnreadableFilesAreProblems(t *testing.T) {
	t.Parallel()
	_, err := config.Environ(dotEnv(t, "NEXUS A B = \"\nno equals here\n"))
	require.ErrorContains(t, err, ".env: ")
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, ".env"), 0o700))
	_, err = config.Environ(folder)
	require.ErrorContains(t, err, "read "+folder+"/.env: ")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	got, err := config.Settings(&settings{})
	require.NoError(t, err)
	require.Equal(t, []config.Setting{
		{Name: "NEXUS_DB_POOL_SIZE", Type: "int", Default: "5", Doc: "Connections kept open."},
		{Name: "NEXUS_ENABLED", Type: "bool", Default: "true", Doc: "Whether it runs."},
		{Name: "NEXUS_FRACTION", Type: "float64", Default: "0.5", Doc: ""},
		{Name: "NEXUS_HTTP_ADDR", Type: "string", Default: "127.0.0.1:8080", Doc: "Where the API listens."},
		{Name: "NEXUS_JWT_SECRET", Type: "string", Default: "", Doc: "Signs tokens."},
		{Name: "NEXUS_LEASE", Type: "time.Duration", Default: "30s", Doc: "How long a claim lasts."},
	}, got)
	_, err = config.Settings(settings{})
	require.ErrorContains(t, err, "list the settings of config_test.settings")
}

func TestSharedSettingsAreListedOnce(t *testing.T) {
	t.Parallel()
	got, err := config.Settings(&struct {
		One *database
		Two database
	}{One: &database{}})
	require.NoError(t, err)
	require.Equal(t, []config.Setting{{Name: "NEXUS_DB_POOL_SIZE", Type: "int", Default: "5", Doc: "Connections kept open."}}, got)
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	known, err := config.Settings(&settings{})
	require.NoError(t, err)
	require.Equal(t, []string{"NEXUS_DB_POOLSIZE", "NEXUS_HTTP_ADDR_", "NEXUS_http_addr"}, config.Unknown(known, map[string]string{
		"NEXUS_HTTP_ADDR": ":1", "NEXUS_http_addr": ":1", "NEXUS_HTTP_ADDR_": ":1", "NEXUS_DB_POOLSIZE": "1", "PATH": "/bin", "nexus_x": "1", "XNEXUS_Y": "1",
	}))
	require.Empty(t, config.Unknown(known, map[string]string{"NEXUS_LEASE": "1s"}))
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	require.Equal(t, `| Variable | Type | Default | Meaning |
|---|---|---|---|
| `+"`NEXUS_A` | int | `5`"+` | Counts. |
| `+"`NEXUS_B`"+` | string |  | Names. |
`, config.Markdown([]config.Setting{{Name: "NEXUS_A", Type: "int", Default: "5", Doc: "Counts."}, {Name: "NEXUS_B", Type: "string", Default: "", Doc: "Names."}}))
	require.Equal(t, "| Variable | Type | Default | Meaning |\n|---|---|---|---|\n", config.Markdown(nil))
}
