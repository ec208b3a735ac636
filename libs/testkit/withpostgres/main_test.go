package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// The tests change the environment of the process: none runs beside another.

func TestCommandGetsAServerOfItsOwn(t *testing.T) {
	t.Setenv(testkit.EnvURL, "")
	file := filepath.Join(t.TempDir(), "url")
	t.Setenv("FILE", file)
	code, err := run([]string{"sh", "-c", `printf %s "$` + testkit.EnvURL + `" > "$FILE"`})
	require.NoError(t, err)
	require.Zero(t, code)
	url, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(url), "postgres://"), "%s", url)
	_, err = pgx.Connect(t.Context(), string(url))
	require.Error(t, err, "the server went with the command")
}

func TestServerThatIsThereIsUsed(t *testing.T) {
	t.Setenv(testkit.EnvURL, "postgres://somewhere")
	code, err := run([]string{"sh", "-c", `test "$` + testkit.EnvURL + `" = postgres://somewhere`})
	require.NoError(t, err)
	require.Zero(t, code)
}

func TestExitCodeIsThatOfTheCommand(t *testing.T) {
	t.Setenv(testkit.EnvURL, "postgres://somewhere")
	for script, want := range map[string]int{"exit 0": 0, "exit 1": 1, "exit 42": 42, "kill -9 $$": 1} {
		code, err := run([]string{"sh", "-c", script})
		require.NoError(t, err, script)
		require.Equal(t, want, code, script)
	}
}

func TestCommandsThatCannotRun(t *testing.T) {
	t.Setenv(testkit.EnvURL, "postgres://somewhere")
	code, err := run(nil)
	require.EqualError(t, err, "want a command to run")
	require.Equal(t, 2, code)
	_, err = run([]string{"/nowhere/at-all"})
	require.ErrorIs(t, err, os.ErrNotExist)
	t.Setenv(testkit.EnvURL, "")
	t.Setenv("NEXUS_PG_BIN", "/nowhere")
	code, err = run([]string{"true"})
	require.ErrorContains(t, err, "/nowhere")
	require.Equal(t, 1, code)
}
