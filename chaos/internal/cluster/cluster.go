package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The processes of a cluster. There are two of the jobs service: one records
// and dispatches, the other runs no-op jobs as well.
const (
	NATS       = "nats"
	Auth       = "auth"
	Audit      = "audit"
	Jobs       = "jobs"
	JobsWorker = "jobs-worker"
	Corpus     = "corpus"
	Plugins    = "plugins"
	Webhooks   = "webhooks"
	Gateway    = "gateway"
)

// OperatorKey is the key that clients use, Owner whose it is.
const (
	OperatorKey = "nexus-dev-operator-key"
	Owner       = "dev-operator"
)

// Lease is the run lease in a cluster: short enough to see it run out.
const Lease = 3 * time.Second

// Services are the processes of services, in the order in which they start.
func Services() []string {
	return []string{Auth, Audit, Jobs, JobsWorker, Corpus, Plugins, Webhooks, Gateway}
}

// Workers are the processes that run jobs.
func Workers() []string { return []string{JobsWorker, Corpus, Plugins} }

// Options describe a cluster.
type Options struct {
	// Binary is the nexus program.
	Binary string
	// Dir is an empty folder for data and logs.
	Dir string
	// CorpusRoot is the folder with texts.
	CorpusRoot string
	// PGBin is the folder with the programs of Postgres; "" finds them.
	PGBin string
	// BenchWorkers are the no-op jobs that the first jobs process runs at once,
	// beside the fifty of the second.
	BenchWorkers int
	// Through gives the NATS address that a process uses, where it is not the
	// server's own.
	Through func(process, address string) (string, error)
}

// Cluster is a Nexus of many processes.
type Cluster struct {
	opts      Options
	natsAddr  string
	httpAddr  string
	dataDir   string
	Postgres  *Postgres
	processes map[string]*Process
	addresses map[string]string
}

// Start starts everything. Whatever it returns must be closed.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	c := &Cluster{opts: opts, dataDir: filepath.Join(opts.Dir, "data"), processes: map[string]*Process{}, addresses: map[string]string{}}
	c.Postgres = &Postgres{dir: filepath.Join(c.dataDir, "postgres"), binDir: opts.PGBin}
	for _, dir := range []string{opts.Dir, c.dataDir} {
		// As root, Postgres runs as a user of its own, who must get through.
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
			return c, fmt.Errorf("make a folder: %w", err)
		}
	}
	var err error
	if c.natsAddr, err = freeAddress(ctx); err != nil {
		return c, err
	}
	if c.httpAddr, err = freeAddress(ctx); err != nil {
		return c, err
	}
	if err := c.Postgres.Start(ctx); err != nil {
		return c, err
	}
	if err := c.add(NATS, "nats"); err != nil {
		return c, err
	}
	if err := c.Process(NATS).Start(ctx); err != nil {
		return c, err
	}
	return c, c.startServices(ctx)
}

// startServices prepares the schemas and streams as an operator would and
// starts every service.
func (c *Cluster) startServices(ctx context.Context) error {
	if err := c.Run(ctx, "migrate", "up"); err != nil {
		return err
	}
	for _, name := range Services() {
		if err := c.add(name, strings.TrimSuffix(name, "-worker")); err != nil {
			return err
		}
	}
	return c.each(Services(), func(p *Process) error { return p.Start(ctx) })
}

// each does something with processes at the same time.
func (c *Cluster) each(names []string, do func(*Process) error) error {
	var wg sync.WaitGroup
	errs := make([]error, len(names))
	for i, name := range names {
		if p := c.Process(name); p != nil {
			wg.Go(func() { errs[i] = do(p) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// freeAddress is an address nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// add describes a process.
func (c *Cluster) add(name, command string) error {
	address := c.natsAddr
	if c.opts.Through != nil && name != NATS {
		var err error
		if address, err = c.opts.Through(name, c.natsAddr); err != nil {
			return err
		}
	}
	c.addresses[name] = address
	p := &Process{Name: name, logPath: c.LogPath(name), ready: `"message":"ready"`}
	if name == NATS {
		p.ready = "NATS is running."
	}
	p.command = func(generation int) *exec.Cmd {
		// The process ends when it is told to, not when a request's context does.
		cmd := exec.Command(c.opts.Binary, command) //nolint:noctx // see above
		cmd.Dir, cmd.Env = c.opts.Dir, append(c.environment(name), "NEXUS_WORKER_NAME="+workerName(name, generation))
		return cmd
	}
	c.processes[name] = p
	return nil
}

// environment is what programs need, our settings, and nothing that this machine
// sets for another nexus.
func (c *Cluster) environment(name string) []string {
	env := append(inherited(), "NEXUS_DATA_DIR="+c.dataDir, "NEXUS_LOG_LEVEL=info", "NEXUS_WORKER_LEASE_SECONDS="+strconv.Itoa(int(Lease.Seconds())))
	if name == NATS {
		return append(env, "NEXUS_NATS_LISTEN="+c.natsAddr)
	}
	workers := c.opts.BenchWorkers
	if name == JobsWorker {
		workers = 50
	}
	return append(env,
		"NEXUS_NATS_URL=nats://"+c.addresses[name], "NEXUS_NATS_KEYS_DIR="+filepath.Join(c.dataDir, "keys"),
		"NEXUS_DATABASE_URL="+c.Postgres.URL(), "NEXUS_HTTP_ADDR="+c.httpAddr, "NEXUS_CORPUS_ROOT="+c.opts.CorpusRoot,
		"NEXUS_SCHEMA_MANAGEMENT_MODE=migrate_only", "NEXUS_BENCH_JOBS_ENABLED=true", "NEXUS_BENCH_WORKERS="+strconv.Itoa(workers),
		"NEXUS_WORKER_POLL_SECONDS=0.5", "NEXUS_WORKER_GRACE_SECONDS=10", "NEXUS_DB_POOL_SIZE=3", "NEXUS_DB_MAX_OVERFLOW=7")
}

// inherited is what programs need to run at all.
func inherited() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// Run runs a command of nexus to its end.
func (c *Cluster) Run(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.opts.Binary, args...)
	c.addresses[""] = c.natsAddr
	cmd.Dir, cmd.Env = c.opts.Dir, c.environment("")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("nexus %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// Process is a process by name; nil before it was described.
func (c *Cluster) Process(name string) *Process { return c.processes[name] }

// URL is where the REST API is.
func (c *Cluster) URL() string { return "http://" + c.httpAddr }

// NATSURL is where NATS is.
func (c *Cluster) NATSURL() string { return "nats://" + c.natsAddr }

// AdminKey is the file with the NATS key of the user that may do everything.
func (c *Cluster) AdminKey() string { return filepath.Join(c.dataDir, "keys", "user-admin.nk") }

// NATSStore is the folder in which the NATS server keeps everything.
func (c *Cluster) NATSStore() string { return filepath.Join(c.dataDir, "nats") }

// LogPath is where a process logs.
func (c *Cluster) LogPath(name string) string { return filepath.Join(c.opts.Dir, name+".log") }

// EndedByItself counts the processes that ended without being told to.
func (c *Cluster) EndedByItself() map[string]int {
	out := map[string]int{}
	for name, p := range c.processes {
		if n := p.EndedByItself(); n > 0 {
			out[name] = n
		}
	}
	return out
}

// Close ends everything, in order where that is possible, and keeps the files.
func (c *Cluster) Close(ctx context.Context) error {
	services := c.each(Services(), func(p *Process) error { return p.Stop() })
	nats := c.each([]string{NATS}, func(p *Process) error { return p.Stop() })
	return errors.Join(services, nats, c.Postgres.Stop(ctx))
}

// CopyStore copies the store of the NATS server, which must be down.
func (c *Cluster) CopyStore(to string) error {
	if err := os.CopyFS(to, os.DirFS(c.NATSStore())); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	return nil
}

// ReplaceStore puts a copy of the store in its place, or nothing at all for "".
// The NATS server must be down.
func (c *Cluster) ReplaceStore(from string) error {
	if err := os.RemoveAll(c.NATSStore()); err != nil {
		return fmt.Errorf("delete the store: %w", err)
	}
	if from == "" {
		return nil
	}
	if err := os.Rename(from, c.NATSStore()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("put the store back: %w", err)
	}
	return nil
}
