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

// folder makes one that the user Postgres runs as can enter.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o711))
	require.NoError(t, os.Chmod(dir, 0o711))
	return filepath.Join(dir, "postgres")
}

// serverOf runs a command on the server of a folder and returns its URL.
func serverOf(t *testing.T, dir string) string {
	t.Helper()
	t.Setenv(testkit.EnvURL, "")
	file := filepath.Join(t.TempDir(), "url")
	t.Setenv("FILE", file)
	code, err := run([]string{dir, "sh", "-c", `printf %s "$` + testkit.EnvURL + `" > "$FILE"`})
	require.NoError(t, err)
	require.Zero(t, code)
	url, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(url), "postgres://"), "%s", url)
	return string(url)
}

// on runs a statement on the server of a folder.
func on(t *testing.T, dir string, use func(conn *pgx.Conn)) {
	t.Helper()
	server, err := start(t.Context(), dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop(t.Context())) }()
	conn, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	use(conn)
}

func leftovers(t *testing.T, conn *pgx.Conn) int {
	t.Helper()
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_database WHERE datname LIKE 'test\_%'`).Scan(&n))
	return n
}

func TestServerLastsAsLongAsTheCommand(t *testing.T) {
	dir := folder(t)
	url := serverOf(t, dir)
	_, err := pgx.Connect(t.Context(), url)
	require.Error(t, err, "the server went with the command")
	on(t, dir, func(conn *pgx.Conn) {
		_, err := conn.Exec(t.Context(), `CREATE DATABASE test_left`)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), `CREATE DATABASE kept`)
		require.NoError(t, err)
		require.Equal(t, 1, leftovers(t, conn))
		require.NotEqual(t, url, serverOf(t, dir), "the folder is in use: a temporary server serves as well")
	})
	require.Equal(t, url, serverOf(t, dir), "the same address each time")
	on(t, dir, func(conn *pgx.Conn) {
		require.Zero(t, leftovers(t, conn), "what a test that was killed has left")
		var kept bool
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'kept')`).Scan(&kept))
		require.True(t, kept)
	})
}

func TestServerThatIsThereIsUsed(t *testing.T) {
	t.Setenv(testkit.EnvURL, "postgres://somewhere")
	code, err := run([]string{"/nowhere", "sh", "-c", `test "$` + testkit.EnvURL + `" = postgres://somewhere`})
	require.NoError(t, err)
	require.Zero(t, code)
}

func TestExitCodeIsThatOfTheCommand(t *testing.T) {
	t.Setenv(testkit.EnvURL, "postgres://somewhere")
	for script, want := range map[string]int{"exit 0": 0, "exit 1": 1, "exit 42": 42, "kill -9 $$": 1} {
		code, err := run([]string{"/nowhere", "sh", "-c", script})
		require.NoError(t, err, script)
		require.Equal(t, want, code, script)
	}
}

func TestCommandsThatCannotRun(t *testing.T) {
	t.Setenv(testkit.EnvURL, "postgres://somewhere")
	for _, args := range [][]string{nil, {"folder"}} {
		code, err := run(args)
		require.EqualError(t, err, "want a folder and a command to run")
		require.Equal(t, 2, code)
	}
	_, err := run([]string{"/nowhere", "/nowhere/at-all"})
	require.ErrorIs(t, err, os.ErrNotExist)

	t.Setenv(testkit.EnvURL, "")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	code, err := run([]string{filepath.Join(file, "below"), "true"})
	require.ErrorContains(t, err, "create the folder")
	require.Equal(t, 1, code)
	t.Setenv("NEXUS_PG_BIN", "/nowhere")
	code, err = run([]string{folder(t), "true"})
	require.ErrorContains(t, err, "/nowhere")
	require.Equal(t, 1, code)
}
