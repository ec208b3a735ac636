package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// outcome is how a program that ends by itself has ended.
type outcome struct {
	status         int
	stdout, stderr string
}

// ended runs a command of nexus that ends by itself.
func ended(t testing.TB, dir string, env []string, args ...string) outcome {
	t.Helper()
	cmd := command(t, dir, env, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	watchdog := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	require.True(t, watchdog.Stop(), "nexus %v did not end:\n%s", args, stderr.String())
	var exit *exec.ExitError
	require.True(t, err == nil || errors.As(err, &exit), "%v", err)
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestHelpStartsNothing(t *testing.T) {
	t.Parallel()
	commands := []string{"up", "worker", "nats", "migrate", "migrate up", "migrate down", "audit verify", "rebuild-broker", "docs", "version", "auth", "audit", "jobs", "corpus", "plugins", "webhooks", "gateway"}
	dir := t.TempDir()
	for _, name := range commands {
		for _, line := range []string{name + " --help", name + " -h", name + " help", "help " + name} {
			got := ended(t, dir, freePorts(), strings.Fields(line)...)
			require.Zero(t, got.status, "nexus %s: %s", line, got.stderr)
			require.Contains(t, got.stdout, "nexus "+name, line)
			require.Empty(t, got.stderr, line)
		}
	}
	got := ended(t, dir, nil, "worker", "--queues", "corpus", "--help", "--bogus")
	require.Zero(t, got.status)
	require.Contains(t, got.stdout, "--max-jobs N")
	require.NoDirExists(t, filepath.Join(dir, ".nexus"), "nothing was started")
}

func TestWrongCommandLinesStartNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, line := range []string{
		"fly", "up up", "up --port 1", "-x", "jobs now", "gateway --help-me", "worker now", "worker --bogus", "worker --concurrency", "worker --concurrency x", "worker --queues moon",
		"nats x", "migrate", "migrate sideways", "migrate up now", "migrate up --kept", "migrate up --keep now", "migrate down", "migrate down --yes now", "audit check", "audit verify now", "audit verify --from yesterday",
		"rebuild-broker now", "docs", "docs --out", "version now", "help fly",
	} {
		got := ended(t, dir, freePorts(), strings.Fields(line)...)
		require.Equal(t, 2, got.status, "nexus %s: %s", line, got.stderr)
		require.Empty(t, got.stdout, line)
		require.Regexp(t, `(usage:|\n ) nexus [a-z]+`, got.stderr, line)
	}
	require.NoDirExists(t, filepath.Join(dir, ".nexus"), "nothing was started")
}

// Names that mean something to a shell, a list, a connection string or a
// configuration file, behind a folder that Postgres may not pass when root runs it.
func TestDataFolderOfAnyName(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]string{
		"odd":  `my data, it's "100%" $HOME\x ünï #1?&=;`,
		"long": "-" + strings.Repeat("long ", 40),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := dataDir(t)
			private, temporary := filepath.Join(base, "private"), filepath.Join(base, "tmp")
			require.NoError(t, os.Mkdir(private, 0o700))
			require.NoError(t, os.Mkdir(temporary, 0o755))
			before := leftovers(t, temporary)
			// The folder is named from where the program stands.
			env := append(freePorts(), "NEXUS_DATA_DIR="+folder, "TMPDIR="+temporary, "NEXUS_CORPUS_ROOT="+corpusRoot(t))
			first := launch(t, private, env, "up")
			id, _ := client{t, first.http, operatorKey}.submit(map[string]any{"job_type": "ingest_batch", "execution_mode": "sync"})
			first.stop()
			second := launch(t, private, env, "up")
			require.Equal(t, "succeeded", client{t, second.http, operatorKey}.finished(id)["status"])
			second.stop()
			require.FileExists(t, filepath.Join(private, folder, "postgres", "cluster", "PG_VERSION"))
			require.NoError(t, os.RemoveAll(filepath.Join(private, folder)))
			require.Equal(t, before, leftovers(t, temporary), "deleting the data folder deletes everything")
		})
	}
}

// leftovers lists what the program may have put elsewhere.
func leftovers(t testing.TB, temporary string) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"/var/lib/nexus-*", filepath.Join(temporary, "*")} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		all = append(all, found...)
	}
	return all
}

// hostileShell says everything about Postgres, time and language that could lead
// a server or a client of it astray.
func hostileShell(t testing.TB) []string {
	t.Helper()
	home := dataDir(t)
	service := "[private]\nhost=127.0.0.1\nport=1\ndbname=other\nuser=other\n"
	require.NoError(t, os.WriteFile(filepath.Join(home, ".pg_service.conf"), []byte(service), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".pgpass"), []byte("*:*:*:*:hunter2\n"), 0o600))
	env := []string{"HOME=" + home, "TZ=Mars/Olympus", "LC_ALL=xx_XX", "LC_MESSAGES=xx", "LANG=tlh", "PGSERVICEFILE=" + filepath.Join(home, ".pg_service.conf")}
	for name, value := range map[string]string{
		"PGHOST": "127.0.0.1", "PGHOSTADDR": "127.0.0.1", "PGPORT": "1", "PGDATABASE": "other", "PGUSER": "other", "PGPASSWORD": "hunter2", "PGPASSFILE": "/nowhere",
		"PGSERVICE": "private", "PGOPTIONS": "-c default_transaction_read_only=on -c nonsense", "PGAPPNAME": "x", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nowhere",
		"PGSSLCERT": "/nowhere", "PGSSLKEY": "/nowhere", "PGSSLNEGOTIATION": "direct", "PGSSLCERTMODE": "nonsense", "PGREQUIREAUTH": "scram-sha-256", "PGCHANNELBINDING": "require",
		"PGTARGETSESSIONATTRS": "standby", "PGCONNECT_TIMEOUT": "soon", "PGTZ": "Mars/Olympus", "PGDATESTYLE": "nonsense", "PGCLIENTENCODING": "EBCDIC", "PGDATA": "/nowhere",
		"PGMINPROTOCOLVERSION": "9", "PGMAXPROTOCOLVERSION": "1", "PGLOCALEDIR": "/nowhere", "PGSYSCONFDIR": home, "PGGSSENCMODE": "require",
	} {
		env = append(env, name+"="+value)
	}
	return env
}

func TestPrivateDatabaseDoesNotHearOfTheShell(t *testing.T) {
	t.Parallel()
	env := append(freePorts(), "NEXUS_DATA_DIR="+filepath.Join(dataDir(t), "d"))
	env = append(env, hostileShell(t)...)
	dir := t.TempDir()
	got := ended(t, dir, env, "migrate", "up")
	require.Zero(t, got.status, got.stderr)
	launch(t, dir, env, "up").stop()
	got = ended(t, dir, append(env, "PGSERVICE=none-such"), "audit", "verify")
	require.Zero(t, got.status, got.stderr)
}

// A URL of the user's own is completed by the environment, as with every client
// of Postgres, and an error about that shows no password.
func TestDatabaseOfTheUserIsCompletedByTheEnvironment(t *testing.T) {
	t.Parallel()
	env := append(freePorts(), "NEXUS_DATA_DIR="+dataDir(t), "NEXUS_DATABASE_URL="+testkit.EmptyDatabase(t), "PGSERVICE=none-such")
	got := ended(t, t.TempDir(), env, "migrate", "up")
	require.Equal(t, 1, got.status)
	require.Contains(t, got.stderr, "PGSERVICE")
}

func TestSecretsThatCannotBeShownAreRefused(t *testing.T) {
	t.Parallel()
	got := ended(t, t.TempDir(), []string{
		"NEXUS_BOOTSTRAP_OPERATOR_KEY=hunter2-hunter2-hunter2\n", "NEXUS_BOOTSTRAP_VIEWER_KEY=hunter2 hunter2 hunter2",
		"NEXUS_BOOTSTRAP_ADMIN_KEY=hunter2-hunter2-same", "NEXUS_BOOTSTRAP_RESEARCHER_KEY=hunter2-hunter2-same", "NEXUS_JWT_SECRET=hunter2\t" + strings.Repeat("hunter2", 9),
		"NEXUS_NATS_URL=nats://user:hunter2@:99999", "NEXUS_DATABASE_URL=postgres://user:hunter2@host:port/name", "NEXUS_DB_POOL_SIZE=abc", "NEXUS_LOG_LEVEL=loud", "NEXUS_HTTP_ADDR=:99999",
	}, "up")
	require.Equal(t, 1, got.status)
	require.Contains(t, got.stderr, "9 problem(s)")
	for _, name := range []string{
		"NEXUS_BOOTSTRAP_OPERATOR_KEY", "NEXUS_BOOTSTRAP_VIEWER_KEY", "NEXUS_BOOTSTRAP_ADMIN_KEY is the same as NEXUS_BOOTSTRAP_RESEARCHER_KEY", "NEXUS_JWT_SECRET",
		"NEXUS_NATS_URL", "NEXUS_DATABASE_URL", `NEXUS_DB_POOL_SIZE is "abc": want a whole number`, "NEXUS_LOG_LEVEL", "NEXUS_HTTP_ADDR",
	} {
		require.Contains(t, got.stderr, name)
	}
	require.NotContains(t, got.stderr, "hunter")
	require.NotContains(t, got.stderr, "strconv")
}

func TestDotEnv(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, ".env")
	require.NoError(t, os.WriteFile(file, []byte("\uFEFFNEXUS_LOG_LEVEL=loud\r\nexport NEXUS_ENVIRONMENT='moon'\r\n"), 0o600))
	got := ended(t, dir, nil, "up")
	require.Contains(t, got.stderr, "2 problem(s)")
	require.NoError(t, os.WriteFile(file, []byte("NEXUS_LOG_LEVEL=info\nNEXUS_JWT_SECRET hunter2\n"), 0o600))
	got = ended(t, dir, nil, "up")
	require.Equal(t, 1, got.status)
	require.Contains(t, got.stderr, "/.env: line 2 ")
	require.NotContains(t, got.stderr, "hunter")
}

// Each way a start can fail says what to change.
func TestFailedStartsSayWhatToDo(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	database := testkit.EmptyDatabase(t)
	own := func(env ...string) []string {
		return append(append(freePorts(), "NEXUS_DATA_DIR="+dataDir(t), "NEXUS_DATABASE_URL="+database), env...)
	}
	for name, tc := range map[string]struct {
		env  []string
		args string
		want []string
	}{
		"NATS port in use":        {own("NEXUS_NATS_LISTEN=" + taken.Addr().String()), "up", []string{"NEXUS_NATS_LISTEN", taken.Addr().String()}},
		"the same, NATS alone":    {own("NEXUS_NATS_LISTEN=" + taken.Addr().String()), "nats", []string{"NEXUS_NATS_LISTEN"}},
		"HTTP port in use":        {own("NEXUS_HTTP_ADDR=" + taken.Addr().String()), "up", []string{"NEXUS_HTTP_ADDR"}},
		"profiles' port in use":   {own("NEXUS_PPROF_ADDR=" + taken.Addr().String()), "up", []string{"NEXUS_PPROF_ADDR"}},
		"a port there is not":     {own("NEXUS_HTTP_ADDR=127.0.0.1:99999", "NEXUS_NATS_LISTEN=:99999"), "up", []string{"NEXUS_HTTP_ADDR", "NEXUS_NATS_LISTEN", "2 problem(s)"}},
		"missing keys":            {own("NEXUS_NATS_URL=nats://127.0.0.1:1", "NEXUS_NATS_KEYS_DIR=/nowhere"), "jobs", []string{"NEXUS_NATS_KEYS_DIR", "`nexus nats`"}},
		"no servers":              {freePorts(), "jobs", []string{"NEXUS_NATS_URL", "NEXUS_DATABASE_URL", "`nexus up`"}},
		"no schema yet":           {own("NEXUS_DATABASE_URL="+testkit.EmptyDatabase(t), "NEXUS_COMMAND_WAIT_SECONDS=1"), "audit verify", []string{"`nexus migrate up`"}},
		"an object store":         {own("NEXUS_OBJECT_STORAGE_ROOT=" + file), "up", []string{"NEXUS_OBJECT_STORAGE_ROOT"}},
		"below a file":            {own("NEXUS_OBJECT_STORAGE_ROOT=" + file + "/x"), "up", []string{"NEXUS_OBJECT_STORAGE_ROOT"}},
		"a data folder in a file": {append(freePorts(), "NEXUS_DATA_DIR="+file), "up", []string{"NEXUS_DATA_DIR"}},
	} {
		got := ended(t, t.TempDir(), tc.env, strings.Fields(tc.args)...)
		require.Equal(t, 1, got.status, name)
		last := got.stderr[strings.LastIndex(got.stderr, "\nnexus:")+1:]
		for _, want := range tc.want {
			require.Contains(t, last, want, name)
		}
		require.NotContains(t, got.stdout, "Nexus is running", name)
	}
}

// Containers like to run programs under a number that no file names, and without
// a home.
func TestUserWithoutAName(t *testing.T) {
	t.Parallel()
	const number = 12345
	if os.Geteuid() != 0 {
		t.Skip("only root can become a user without a name")
	}
	built, err := binary()
	require.NoError(t, err)
	base := dataDir(t)
	program := filepath.Join(base, "nexus")
	require.NoError(t, os.Link(built, program))
	data := filepath.Join(base, "data")
	env := append(freePorts(), "NEXUS_DATA_DIR="+data)
	nameless := func() *exec.Cmd {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		t.Cleanup(cancel)
		cmd := exec.CommandContext(ctx, program, "up")
		cmd.Dir, cmd.Env = "/", env
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: number, Gid: number}}
		return cmd
	}
	out, err := nameless().CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "choose another with NEXUS_DATA_DIR")
	require.NoError(t, os.Mkdir(data, 0o700))
	require.NoError(t, os.Chown(data, number, number))
	out, err = nameless().CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "the user id 12345 has no name on this machine")
	require.Contains(t, string(out), "/etc/passwd")

	// A database that is there already needs no name.
	require.NoError(t, os.RemoveAll(data))
	launch(t, base, env, "up").stop()
	require.NoError(t, filepath.WalkDir(data, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, number, number))
	}))
	cmd := nameless()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	told := make([]byte, 64)
	n, err := stdout.Read(told)
	require.NoError(t, err)
	require.Contains(t, string(told[:n]), "Nexus is running")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}
