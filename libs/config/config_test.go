package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	for _, part := range []string{
		`NEXUS_DB_POOL_SIZE is "many": want a whole number`, `NEXUS_LEASE is "soon": want a duration, such as 10s`, `NEXUS_ENABLED is "perhaps": want true or false`,
	} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "strconv")
}

func TestLoadReportsAllKindsOfProblemsTogether(t *testing.T) {
	t.Parallel()
	var s settings
	err := config.Load(&s, map[string]string{"NEXUS_DB_POOL_SIZE": "99999999999999999999", "NEXUS_LEASE": "5ms", "NEXUS_FRACTION": "NaN"},
		func() error { return errors.New("a check of the caller") }, func() error { return nil })
	require.EqualError(t, err, `the settings have 4 problem(s):
  - NEXUS_FRACTION is "NaN": want a number
  - NEXUS_DB_POOL_SIZE is "99999999999999999999": want a whole number nearer to 0
  - NEXUS_LEASE is 5ms: want at least 1s
  - a check of the caller`)
	long := config.Load(&s, map[string]string{"NEXUS_DB_POOL_SIZE": strings.Repeat("x", 1<<20)})
	require.Less(t, len(long.Error()), 300)
}

// The name of a variable comes from its own field, not from one of the same name.
func TestProblemsNameTheRightVariable(t *testing.T) {
	t.Parallel()
	var s struct {
		One struct {
			Workers int `env:"ONE_WORKERS"`
		}
		Two struct {
			Workers int           `env:"TWO_WORKERS"`
			Wait    float64       `env:"TWO_WAIT_SECONDS"`
			Keep    *bool         `env:"TWO_KEEP"`
			Pause   time.Duration `env:"TWO_PAUSE"`
		}
	}
	require.EqualError(t, config.Load(&s, map[string]string{"NEXUS_ONE_WORKERS": "x", "NEXUS_TWO_WAIT_SECONDS": "+Inf", "NEXUS_TWO_KEEP": "yes", "NEXUS_TWO_PAUSE": "10"}),
		`the settings have 4 problem(s):
  - NEXUS_ONE_WORKERS is "x": want a whole number
  - NEXUS_TWO_WAIT_SECONDS is "+Inf": want a number of seconds
  - NEXUS_TWO_KEEP is "yes": want true or false
  - NEXUS_TWO_PAUSE is "10": want a duration, such as 10s or 1m30s`)
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
	require.ErrorContains(t, err, ".env: line 1 ")
	require.ErrorContains(t, err, "line 2 ")
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, ".env"), 0o700))
	_, err = config.Environ(folder)
	require.ErrorContains(t, err, "read "+folder+"/.env: ")
}

// What editors and people put into .env files.
func TestDotEnvForms(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain":                "NEXUS_TEST_K=a b",
		"BOM":                  "\uFEFFNEXUS_TEST_K=a b\n",
		"BOM and comment":      "\uFEFF# hello\nNEXUS_TEST_K=a b\n",
		"CRLF":                 "# x\r\nNEXUS_TEST_K=a b\r\nNEXUS_TEST_L=1\r\n",
		"export":               "export NEXUS_TEST_K=a b",
		"single quotes":        "NEXUS_TEST_K='a b'",
		"double quotes":        `NEXUS_TEST_K="a b" # why`,
		"indented":             "  NEXUS_TEST_K = a b  ",
		"the last one counts":  "NEXUS_TEST_K=x\nNEXUS_TEST_K=a b",
		"a comment with a $":   "NEXUS_TEST_K=a b # it costs $5 or $FIVE",
		"another variable":     "NEXUS_TEST_A=b\nNEXUS_TEST_K=a ${NEXUS_TEST_A}",
		"no newline, comments": "\n\n#NEXUS_TEST_K=c\nNEXUS_TEST_K=a b\n#",
	} {
		environ, err := config.Environ(dotEnv(t, text))
		require.NoError(t, err, name)
		require.Equal(t, "a b", environ["NEXUS_TEST_K"], name)
	}
	for text, want := range map[string]string{
		`NEXUS_TEST_K='a$B#c"d'`:       `a$B#c"d`,
		`NEXUS_TEST_K=a$b$(c)`:         `a$b$(c)`,
		`NEXUS_TEST_K=a\$B`:            `a$B`,
		"NEXUS_TEST_K=\"one\ntwo\"":    "one\ntwo",
		"NEXUS_TEST_K=a#b":             "a#b",
		"NEXUS_TEST_K=":                "",
		`NEXUS_TEST_K=postgres://u@h?`: `postgres://u@h?`,
	} {
		environ, err := config.Environ(dotEnv(t, text))
		require.NoError(t, err, text)
		require.Equal(t, want, environ["NEXUS_TEST_K"], text)
	}
}

func TestBadLinesAreNamedByNumberAlone(t *testing.T) {
	t.Parallel()
	for text, lines := range map[string]string{
		"NEXUS_TEST_A=1\nNEXUS_TEST_K hunter2\nNEXUS_TEST_B=1": "line 2 ",
		"hunter2":                             "line 1 ",
		"=hunter2":                            "line 1 ",
		"\uFEFF\r\nhunter2 = x\r\nhunter-2=x": "line 3 ",
		"A B=hunter2":                         "line 1 ",
		"1A=hunter2":                          "line 1 ",
		"X=1\nNEXUS_TEST_K=\"hunter2\nY=1\nhunter2 x\n": "line 2 ",
		"NEXUS_TEST_K='hunter2":                         "line 1 ",
		"NEXUS_TEST_K=\"hunter2\" hunter2":              "line 1 ",
		"A=1\nNEXUS_TEST_K=hunter2$HUNTER":              "line 2 has a $",
		"A=1\nNEXUS_TEST_K=\"hunter2${HUNTER}\"":        "line 2 has a $",
		"NEXUS_TEST_K=hunter2$(HUNTER)":                 "line 1 has a $",
		"A=1\nNEXUS_TEST_K=hunter2\xff":                 "line 2 is not text",
		"NEXUS_TEST_K=hunter2\x00":                      "line 1 is not text",
		"\xff\xfeN\x00":                                 "line 1 is not text",
	} {
		dir := dotEnv(t, text)
		_, err := config.Environ(dir)
		require.ErrorContains(t, err, dir+"/.env: ", text)
		require.ErrorContains(t, err, lines, text)
		require.NotContains(t, strings.ToLower(err.Error()), "hunter", text)
	}
	_, err := config.Environ(dotEnv(t, strings.Repeat("hunter2\n", 10_000)))
	require.Less(t, len(err.Error()), 2000)
	_, err = config.Environ(dotEnv(t, strings.Repeat("#", 2<<20)))
	require.ErrorContains(t, err, "larger than")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	got, err := config.Settings(&settings{})
	require.NoError(t, err)
	require.Equal(t, []config.Setting{
		{Name: "NEXUS_DB_POOL_SIZE", Type: "whole number", Default: "5", Doc: "Connections kept open."},
		{Name: "NEXUS_ENABLED", Type: "true or false", Default: "true", Doc: "Whether it runs."},
		{Name: "NEXUS_FRACTION", Type: "number", Default: "0.5", Doc: ""},
		{Name: "NEXUS_HTTP_ADDR", Type: "text", Default: "127.0.0.1:8080", Doc: "Where the API listens."},
		{Name: "NEXUS_JWT_SECRET", Type: "text", Default: "", Doc: "Signs tokens."},
		{Name: "NEXUS_LEASE", Type: "duration, such as 10s or 1m30s", Default: "30s", Doc: "How long a claim lasts."},
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
	require.Equal(t, []config.Setting{{Name: "NEXUS_DB_POOL_SIZE", Type: "whole number", Default: "5", Doc: "Connections kept open."}}, got)
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
