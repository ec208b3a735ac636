package embedpg_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5" //nolint:depguard // looks at the server itself; there is no store yet
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nexus.internal/libs/embed/embedpg"
)

// childDir asks the test program to be a program that runs a server on the
// folder and never stops it.
const childDir = "EMBEDPG_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	// Settings for other servers in the environment must not lead clients astray.
	for _, name := range []string{"PGPORT", "PGHOST", "PGDATABASE", "PGUSER", "PGDATA"} {
		if err := os.Setenv(name, "1"); err != nil {
			panic(err)
		}
	}
	if dir := os.Getenv(childDir); dir != "" {
		beChild(dir)
		return
	}
	var err error
	if patternBase, err = os.MkdirTemp("", "nxtest-"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(patternBase)
		os.Exit(code)
	}))
}

// patternBase holds the database that pattern makes.
var patternBase string

// pattern makes one database for the tests to copy, which is much faster than
// making each its own, and returns its data folder.
var pattern = sync.OnceValue(func() string {
	if err := os.Chmod(patternBase, 0o755); err != nil {
		panic(err)
	}
	dir := filepath.Join(patternBase, "postgres")
	server, err := embedpg.Start(context.Background(), embedpg.Options{DataDir: dir, Log: zerolog.Nop()})
	if err != nil {
		panic(err)
	}
	if err := server.Stop(context.Background()); err != nil {
		panic(err)
	}
	return dir
})

// seeded makes a data folder that has a database.
func seeded(t *testing.T) string {
	t.Helper()
	dir := dataDir(t)
	require.NoError(t, os.Mkdir(dir, 0o755))
	copied := exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(pattern(), "cluster"), dir)
	require.NoError(t, copied.Run())
	return dir
}

func beChild(dir string) {
	server, err := embedpg.Start(context.Background(), embedpg.Options{DataDir: dir, Log: zerolog.Nop()})
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, server.PID())
	<-server.Done()
}

// runChild starts such a program and returns it when its server is ready.
func runChild(t *testing.T, dir string) (child *exec.Cmd, serverPID int) {
	t.Helper()
	child = exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Sscan(line, &serverPID)
	require.NoError(t, err)
	return child, serverPID
}

// dataDir makes a folder that the unprivileged user of a server can reach.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nxtest-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return filepath.Join(dir, "postgres")
}

// start runs a server until the test ends.
func start(t *testing.T, opts embedpg.Options) *embedpg.Server {
	t.Helper()
	server, err := embedpg.Start(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.Background())) })
	return server
}

func stop(t *testing.T, server *embedpg.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, server.Stop(ctx))
	<-server.Done()
	require.NoError(t, server.Err())
}

func connect(t *testing.T, server *embedpg.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec1(t *testing.T, server *embedpg.Server, sql string) {
	t.Helper()
	_, err := connect(t, server).Exec(t.Context(), sql)
	require.NoError(t, err)
}

func ask(t *testing.T, server *embedpg.Server, sql string) string {
	t.Helper()
	var answer string
	require.NoError(t, connect(t, server).QueryRow(t.Context(), sql).Scan(&answer))
	return answer
}

// ownerOf returns the rights to act as the owner of path.
func ownerOf(t *testing.T, path string) *syscall.Credential {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	return &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid, NoSetGroups: os.Geteuid() != 0}
}

// runAs starts a program as the owner of path; the test ends it.
func runAs(t *testing.T, path, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: ownerOf(t, path)}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// alive reports whether the process exists and is no zombie.
func alive(t *testing.T, pid int) bool {
	t.Helper()
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	out, err := exec.CommandContext(t.Context(), "ps", "-o", "stat=", "-p", fmt.Sprint(pid)).Output()
	return err == nil && !strings.HasPrefix(string(out), "Z")
}
