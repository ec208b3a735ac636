package scenario

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"nexus.internal/chaos/internal/checker"
	"nexus.internal/chaos/internal/cluster"
	"nexus.internal/chaos/internal/history"
	"nexus.internal/chaos/internal/load"
	"nexus.internal/chaos/internal/observe"
	"nexus.internal/chaos/internal/proxy"
)

const (
	// patience is how long clients may take to be answered once everything is
	// mended, and jobs to end after that. A worker's failures may have put a job
	// off for 30 s, and a command waits as long for a recorder that died.
	patience = 2 * time.Minute
	// reads are the jobs read back at the end.
	reads = 50
)

// Options describe a run.
type Options struct {
	Seed uint64
	// Window is how long clients submit jobs.
	Window    time.Duration
	PerSecond int
	// Binary is the nexus program, CorpusRoot the folder with texts, PGBin the
	// folder with the programs of Postgres.
	Binary, CorpusRoot, PGBin string
	// Dir is an empty folder for everything the run leaves.
	Dir string
	// Progress receives a line for each step.
	Progress io.Writer
}

// Outcome is what a run came to.
type Outcome struct {
	Scenario string
	Took     time.Duration
	Report   checker.Report
	Settled  history.Settled
	// EndedByItself counts processes that ended without being told to and were
	// started again.
	EndedByItself map[string]int
	// Err is what kept the run from being played to its end.
	Err error
}

// Failed reports whether something is wrong.
func (o Outcome) Failed() bool { return o.Err != nil || len(o.Report.Violations) > 0 }

// HistoryPath is where a run keeps its history.
func HistoryPath(dir string) string { return filepath.Join(dir, "history.jsonl") }

// Run plays a scenario and checks its history.
func Run(ctx context.Context, s Scenario, opts Options) Outcome {
	began := time.Now()
	out := Outcome{Scenario: s.Name}
	r := &run{scenario: s, opts: opts, out: &out, proxies: map[string]*proxy.Proxy{}}
	out.Err = r.play(ctx)
	records, err := history.ReadFile(HistoryPath(opts.Dir))
	if err != nil {
		out.Err = errors.Join(out.Err, err)
	}
	if out.Err == nil {
		out.Report = checker.Check(records)
	}
	if !out.Failed() {
		out.Err = removeData(opts.Dir)
	}
	out.Took = time.Since(began)
	return out
}

// run is a scenario being played.
type run struct {
	scenario Scenario
	opts     Options
	out      *Outcome
	file     *history.File
	cluster  *cluster.Cluster
	database *observe.Database
	events   *observe.Events
	load     *load.Load
	proxies  map[string]*proxy.Proxy
}

func (r *run) play(ctx context.Context) (err error) {
	var closing []func() error
	defer func() {
		for i := len(closing) - 1; i >= 0; i-- {
			err = errors.Join(err, closing[i]())
		}
	}()
	r.cluster, err = cluster.Start(ctx, cluster.Options{
		Binary: r.opts.Binary, Dir: r.opts.Dir, CorpusRoot: r.opts.CorpusRoot, PGBin: r.opts.PGBin,
		BenchWorkers: r.scenario.BenchWorkers, Through: func(process, address string) (string, error) { return r.through(ctx, process, address) },
	})
	closing = append(closing, func() error {
		closed := r.cluster.Close(ctx)
		r.out.EndedByItself = r.cluster.EndedByItself()
		for _, p := range r.proxies {
			closed = errors.Join(closed, p.Close())
		}
		return closed
	})
	if err != nil {
		return err
	}
	if r.file, err = history.Create(HistoryPath(r.opts.Dir)); err != nil {
		return err
	}
	closing = append(closing, r.file.Close)
	r.file.Add(history.Record{Run: &history.Run{
		Scenario: r.scenario.Name, Seed: r.opts.Seed, BrokerLost: r.scenario.BrokerLost, Orderly: r.scenario.Orderly,
	}})
	if err := r.connect(ctx); err != nil {
		return err
	}
	closing = append(closing, func() error {
		r.load.Close()
		r.events.Close()
		r.database.Close()
		return nil
	})
	return r.perform(ctx)
}

// through puts a proxy between a process and NATS, where the scenario has one.
func (r *run) through(ctx context.Context, process, address string) (string, error) {
	for _, name := range r.scenario.proxied {
		if name == process {
			p, err := proxy.Listen(ctx, address)
			if err != nil {
				return "", err
			}
			r.proxies[name] = p
			return p.Addr(), nil
		}
	}
	return address, nil
}

func (r *run) connect(ctx context.Context) (err error) {
	if r.database, err = observe.OpenDatabase(ctx, r.cluster.Postgres.URL()); err != nil {
		return err
	}
	if r.events, err = observe.NewEvents(r.cluster.NATSURL(), r.cluster.AdminKey(), r.file); err != nil {
		r.database.Close()
		return err
	}
	r.load, err = load.New(load.Options{
		Name: r.scenario.Name, Seed: r.opts.Seed, PerSecond: r.opts.PerSecond, URL: r.cluster.URL(), NATSURL: r.cluster.NATSURL(),
		Key: cluster.OperatorKey, Owner: cluster.Owner, BrokerLost: r.scenario.BrokerLost, Events: r.events, File: r.file,
	})
	if err != nil {
		r.events.Close()
		r.database.Close()
	}
	return err
}

// perform lets clients work while things break, waits for rest and collects
// what is left.
func (r *run) perform(ctx context.Context) error {
	reading, stopReading := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { r.events.Run(reading) })
	defer func() {
		stopReading()
		beside.Wait()
	}()

	going, cancel := context.WithTimeout(ctx, r.opts.Window)
	defer cancel()
	answered, cancelAnswered := context.WithTimeout(ctx, r.opts.Window+patience)
	defer cancelAnswered()
	disturbed := make(chan error, 1)
	go func() { disturbed <- r.scenario.disturb(ctx, r.stage(going)) }()
	r.progress("clients are at work for %s", r.opts.Window.Round(time.Second))
	r.load.Run(answered, going)
	if err := <-disturbed; err != nil {
		return fmt.Errorf("break and mend things: %w", err)
	}
	r.progress("%d clients were answered; waiting for rest", r.load.Started())
	if err := r.settle(ctx); err != nil {
		return err
	}
	r.load.Reread(ctx, reads)
	if err := r.database.Collect(ctx, r.file); err != nil {
		return err
	}
	return r.cluster.Run(ctx, "audit", "verify")
}

func (r *run) stage(going context.Context) *stage {
	name := fnv.New64a()
	_, _ = name.Write([]byte(r.scenario.Name))
	return &stage{
		cluster: r.cluster, database: r.database, proxies: r.proxies, file: r.file,
		random: rand.New(rand.NewPCG(r.opts.Seed, name.Sum64())), //nolint:gosec // it has to be repeatable
		going:  going, window: r.opts.Window,
	}
}

// settle waits until nothing is left to do. What is left when patience ends is
// for the checker to find.
func (r *run) settle(ctx context.Context) error {
	began := time.Now()
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	promised := r.load.Promised()
	var left observe.Left
	changed := began
	for {
		now, err := r.database.Left(limit, promised)
		if now != left {
			changed = time.Now()
		}
		if left = now; err == nil && r.atRest(left, time.Since(changed)) {
			break
		}
		if wait(limit, 200*time.Millisecond) != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			break
		}
	}
	r.out.Settled = history.Settled{
		Seconds: time.Since(began).Seconds(), Unrecorded: left.Unrecorded, Unfinished: left.Unfinished, Unsent: left.Unsent, Unaudited: left.Unaudited,
	}
	r.file.Add(history.Record{Settled: &r.out.Settled})
	return nil
}

// quiet is how long nothing may have changed where it is not known what should.
const quiet = 3 * time.Second

// atRest reports whether everything is done and has been heard of. What went
// with a broker is not waited for.
func (r *run) atRest(left observe.Left, unchanged time.Duration) bool {
	if left.Unrecorded > 0 || left.Unfinished > 0 || left.Unsent > 0 {
		return false
	}
	if r.scenario.BrokerLost {
		return left.Unaudited == 0 || unchanged >= quiet
	}
	return left.Unaudited == 0 && r.events.Seen() >= left.Events
}

func (r *run) progress(format string, args ...any) {
	fmt.Fprintf(r.opts.Progress, "%s: %s\n", r.scenario.Name, fmt.Sprintf(format, args...))
}
