package embedpg_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5" //nolint:depguard // looks at the server itself; there is no store yet
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/embedpg"
)

func TestStartKeepsData(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := start(t, embedpg.Options{DataDir: dir, Durable: true})
	exec1(t, first, "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('grün')")
	stop(t, first)
	require.False(t, alive(t, first.PID()))

	second := start(t, embedpg.Options{DataDir: dir, Durable: true})
	require.Equal(t, "grün", ask(t, second, "SELECT word FROM kept"))
	require.NotEqual(t, first.PID(), second.PID())
}

func TestStartSettings(t *testing.T) {
	t.Parallel()
	durable := map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
		"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min",
		"max_connections": "200", "listen_addresses": "",
		"server_encoding": "UTF8", "lc_collate": "C",
	}
	fast := map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
		"shared_buffers": "32MB", "max_connections": "20", "max_wal_size": "1GB", "work_mem": "8MB",
	}
	tests := map[string]struct {
		opts embedpg.Options
		want map[string]string
	}{
		"durable": {opts: embedpg.Options{DataDir: dataDir(t), Durable: true}, want: durable},
		"not durable": {
			opts: embedpg.Options{
				DataDir: dataDir(t), SharedBuffers: "32MB", MaxConnections: 20,
				Settings: map[string]string{"work_mem": "8MB", "max_wal_size": "1GB"},
			},
			want: fast,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, test.opts)
			for setting, want := range test.want {
				if setting == "lc_collate" {
					require.Equal(t, want, ask(t, server, "SELECT datcollate FROM pg_database WHERE datname = current_database()"))
					continue
				}
				require.Equal(t, want, ask(t, server, "SHOW "+setting), setting)
			}
			require.Equal(t, "nexus", ask(t, server, "SELECT current_database()"))
			require.Equal(t, "on", ask(t, server, "SHOW is_superuser"))
		})
	}
}

func TestStartProtectsTheDatabase(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	server := start(t, embedpg.Options{DataDir: dir})
	for _, name := range []string{"cluster", "socket"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), name)
	}
	for _, name := range []string{"postgres.log", "lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	require.NotZero(t, ownerOf(t, filepath.Join(dir, "cluster")).Uid, "PostgreSQL never runs as root")

	config, err := pgx.ParseConfig(server.URL())
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "socket"), config.Host)
}

func TestStartTemporary(t *testing.T) {
	t.Parallel()
	server := start(t, embedpg.Options{})
	place := ask(t, server, "SHOW data_directory")
	require.DirExists(t, place)
	stop(t, server)
	require.NoDirExists(t, filepath.Dir(place))
}

func TestStartRefusesBadOptions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts embedpg.Options
		want string
	}{
		"durable without a folder": {embedpg.Options{Durable: true}, "needs a data folder"},
		"negative connections":     {embedpg.Options{MaxConnections: -1}, "must not be negative"},
		"a listening address":      {embedpg.Options{Settings: map[string]string{"listen_addresses": "*"}}, "decided by the program"},
		"durability by setting":    {embedpg.Options{Settings: map[string]string{"fsync": "off"}}, "decided by the program"},
		"programs that are absent": {embedpg.Options{BinDir: "/nowhere"}, "/nowhere"},
		"a file as folder":         {embedpg.Options{DataDir: os.Args[0]}, "data folder"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := embedpg.Start(t.Context(), test.opts)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestStartQuotesTheLog(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	_, err := embedpg.Start(t.Context(), embedpg.Options{DataDir: dir, SharedBuffers: "lots"})
	require.ErrorContains(t, err, `invalid value for parameter "shared_buffers": "lots"`)
	start(t, embedpg.Options{DataDir: dir})
}

func TestStartRefusesASecondServer(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	first := start(t, embedpg.Options{DataDir: dir})
	_, err := embedpg.Start(t.Context(), embedpg.Options{DataDir: dir})
	require.ErrorIs(t, err, embedpg.ErrInUse)
	require.ErrorContains(t, err, dir)
	require.Equal(t, "1", ask(t, first, "SELECT '1'"), "the first server is not disturbed")
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := embedpg.Start(ctx, embedpg.Options{DataDir: dir})
	require.ErrorIs(t, err, context.Canceled)
	require.NoDirExists(t, filepath.Join(dir, "cluster"))

	dir = seeded(t)
	_, err = embedpg.Start(ctx, embedpg.Options{DataDir: dir})
	require.ErrorIs(t, err, context.Canceled)
	start(t, embedpg.Options{DataDir: dir})
}

func TestStopInAHurry(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	server, err := embedpg.Start(t.Context(), embedpg.Options{DataDir: dir})
	require.NoError(t, err)
	require.NoError(t, server.Err(), "it runs")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, server.Stop(ctx), context.Canceled)
	require.ErrorIs(t, server.Stop(t.Context()), context.Canceled, "the answer stays the same")
	<-server.Done()
	require.NoError(t, server.Err(), "it was asked to stop")
	start(t, embedpg.Options{DataDir: dir})
}

func TestServerDies(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	server := start(t, embedpg.Options{DataDir: dir})
	connect(t, server)
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGKILL))
	<-server.Done()
	require.ErrorContains(t, server.Err(), "ended by itself: signal: killed")
	require.NoError(t, server.Stop(t.Context()))

	// Backends of the dead server may still hold its memory.
	again := start(t, embedpg.Options{DataDir: dir})
	require.NoError(t, syscall.Kill(again.PID(), syscall.SIGTERM))
	<-again.Done()
	require.ErrorContains(t, again.Err(), "shut down from outside")
	require.NoError(t, again.Stop(t.Context()))

	start(t, embedpg.Options{DataDir: dir})
}

func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(filepath.Dir(dataDir(t)), strings.Repeat("long name, ", 12), "postgres")
	server := start(t, embedpg.Options{DataDir: dir})
	config, err := pgx.ParseConfig(server.URL())
	require.NoError(t, err)
	require.NotContains(t, config.Host, dir)
	require.Equal(t, "1", ask(t, server, "SELECT '1'"))
	link, err := os.Readlink(filepath.Join(dir, "socket"))
	require.NoError(t, err)
	require.Equal(t, config.Host, link)
	stop(t, server)
	require.NoDirExists(t, config.Host)

	child, pid := runChild(t, dir)
	left, err := os.Readlink(filepath.Join(dir, "socket"))
	require.NoError(t, err)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	require.DirExists(t, left)
	start(t, embedpg.Options{DataDir: dir})
	require.NoDirExists(t, left, "a folder left by a crash is removed")
	require.False(t, alive(t, pid))
}
