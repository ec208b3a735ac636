package embedpg_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/embedpg"
)

func TestKilledProgramTakesItsServerAlong(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	child, pid := runChild(t, dir)
	require.True(t, alive(t, pid))
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	require.Eventually(t, func() bool { return !alive(t, pid) }, 30*time.Second, 10*time.Millisecond)
	log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "database system is shut down")
	start(t, embedpg.Options{DataDir: dir})
}

func TestStartRightAfterTheProgramWasKilled(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	child, pid := runChild(t, dir)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	server := start(t, embedpg.Options{DataDir: dir})
	require.NotEqual(t, pid, server.PID())
	require.False(t, alive(t, pid))
}

func TestInterruptReachesTheProgramOnly(t *testing.T) {
	t.Parallel()
	server := start(t, embedpg.Options{})
	group, err := syscall.Getpgid(server.PID())
	require.NoError(t, err)
	require.Equal(t, server.PID(), group, "Ctrl-C goes to the terminal's group, which the server has left")
}

func TestStartStopsAnOrphan(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	bin, err := embedpg.Find("")
	require.NoError(t, err)
	cluster := filepath.Join(dir, "cluster")
	orphan := runAs(t, cluster, filepath.Join(bin, "postgres"), "-D", cluster,
		"-c", "listen_addresses=", "-k", cluster)
	ended := make(chan error, 1)
	go func() { ended <- orphan.Wait() }()
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(cluster, "postmaster.pid"))
		return err == nil && strings.Contains(string(text), "ready")
	}, 30*time.Second, 10*time.Millisecond)

	server := start(t, embedpg.Options{DataDir: dir})
	require.NoError(t, <-ended, "the orphan was shut down in order")
	require.Equal(t, "1", ask(t, server, "SELECT '1'"))
}

// TestStartWaitsForBackendsOfADeadServer keeps a session of a killed server from
// noticing, and holding its memory, until the next start has met it.
func TestStartWaitsForBackendsOfADeadServer(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	server := start(t, embedpg.Options{DataDir: dir})
	backend := int(connect(t, server).PgConn().PID())
	require.NoError(t, syscall.Kill(backend, syscall.SIGSTOP))
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGKILL))
	<-server.Done()
	require.NoError(t, server.Stop(t.Context()))

	started := make(chan error, 1)
	go func() {
		again, err := embedpg.Start(t.Context(), embedpg.Options{DataDir: dir})
		if err == nil {
			err = again.Stop(t.Context())
		}
		started <- err
	}()
	require.Eventually(t, func() bool {
		log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
		return err == nil && strings.Contains(string(log), "pre-existing shared memory block")
	}, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, syscall.Kill(backend, syscall.SIGCONT))
	require.NoError(t, <-started)
}

func TestStartIgnoresAStalePIDFile(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	cluster := filepath.Join(dir, "cluster")
	// A process of the server's user that has the number by chance.
	stranger := runAs(t, cluster, "/bin/sleep", "600")
	pids := map[string]int{
		"a process of the same user": stranger.Process.Pid,
		"this process":               os.Getpid(),
		"no process":                 1 << 29,
	}
	for name, pid := range pids {
		text := fmt.Sprintf("%d\n%s\n1700000000\n5432\n%s\n\n  1234567  1234567\nready   \n", pid, cluster, dir)
		path := filepath.Join(cluster, "postmaster.pid")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600), name)
		owner := ownerOf(t, cluster)
		require.NoError(t, os.Chown(path, int(owner.Uid), int(owner.Gid)))
		server, err := embedpg.Start(t.Context(), embedpg.Options{DataDir: dir})
		require.NoError(t, err, name)
		stop(t, server)
	}
	require.NoError(t, stranger.Process.Signal(syscall.Signal(0)), "the stranger was left alone")
}

func TestStartRedoesAHalfMadeDatabase(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	half := filepath.Join(dir, "cluster.new")
	require.NoError(t, os.MkdirAll(filepath.Join(half, "base"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "cluster"), 0o700), "an empty folder is no database")
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chmod(filepath.Dir(half), 0o711))
	}
	start(t, embedpg.Options{DataDir: dir})
	require.NoDirExists(t, half)
}

func TestStartRefusesDataItCannotUse(t *testing.T) {
	t.Parallel()
	dir := seeded(t)
	version := filepath.Join(dir, "cluster", "PG_VERSION")
	good, err := os.ReadFile(version)
	require.NoError(t, err)

	write := func(text string) { require.NoError(t, os.WriteFile(version, []byte(text), 0o600)) }
	write("8.4\n")
	_, err = embedpg.Start(t.Context(), embedpg.Options{DataDir: dir})
	require.ErrorIs(t, err, embedpg.ErrVersion)
	require.ErrorContains(t, err, "PostgreSQL 8 made the data")
	require.ErrorContains(t, err, "install version 8")

	write("fifteen\n")
	_, err = embedpg.Start(t.Context(), embedpg.Options{DataDir: dir})
	require.ErrorIs(t, err, embedpg.ErrForeign)

	write(string(good))
	require.NoError(t, os.Rename(version, version+".away"))
	_, err = embedpg.Start(t.Context(), embedpg.Options{DataDir: dir})
	require.ErrorIs(t, err, embedpg.ErrForeign)
	require.ErrorContains(t, err, "move it away")

	require.NoError(t, os.Rename(version+".away", version))
	start(t, embedpg.Options{DataDir: dir})
}

func TestStartTellsDamagedProgramsApart(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	base := filepath.Dir(dir)
	fake := func(name, script string) string {
		bin := filepath.Join(base, name)
		require.NoError(t, os.Mkdir(bin, 0o755))
		for _, program := range []string{"postgres", "initdb"} {
			require.NoError(t, os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\n"+script), 0o755))
		}
		return bin
	}
	failing := fake("failing", "echo no room left >&2; exit 3")
	_, err := embedpg.Start(t.Context(), embedpg.Options{DataDir: dir, BinDir: failing})
	require.ErrorContains(t, err, "no room left")
	require.NoDirExists(t, filepath.Join(dir, "cluster.new"))

	dir = seeded(t)
	tests := map[string]struct{ bin, want string }{
		"cannot run":    {failing, "ask the PostgreSQL programs"},
		"no version":    {fake("silent", "echo hello"), "do not say which PostgreSQL"},
		"newer version": {fake("newer", "echo 'postgres (PostgreSQL) 99.1'"), "programs in"},
	}
	for name, test := range tests {
		_, err := embedpg.Start(t.Context(), embedpg.Options{DataDir: dir, BinDir: test.bin})
		require.ErrorContains(t, err, test.want, name)
	}
	_, err = embedpg.Start(t.Context(), embedpg.Options{DataDir: dir, BinDir: tests["newer version"].bin})
	require.ErrorIs(t, err, embedpg.ErrVersion)
	require.ErrorContains(t, err, "set NEXUS_PG_BIN to ", "the version that made the data is installed")
}
