package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"nexus.internal/bench/internal/jobsdb"
	"nexus.internal/bench/internal/manyjobs"
	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/plans"
	"nexus.internal/bench/internal/private"
	"nexus.internal/bench/internal/report"
	"nexus.internal/bench/internal/resource"
	"nexus.internal/bench/internal/rest"
)

// postgresLog is the log of Postgres inside a data folder of nexus.
const postgresLog = "postgres/postgres.log"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "lists:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	began := time.Now()
	m := &measurement{opts: opts, progress: stderr, run: report.Run{Command: opts.command(), Started: began, Machine: resource.ThisMachine(opts.dir)}}
	err = m.measure(ctx, func() error {
		m.run.Took = time.Since(began)
		figures := markdown(m.run, opts.rows, m.others, m.findings)
		if opts.results != "" {
			return report.Write(opts.results, figures)
		}
		_, err := io.WriteString(stdout, figures)
		return err
	})
	return err
}

// measurement is one run of the program.
type measurement struct {
	opts     options
	progress io.Writer
	run      report.Run
	findings []finding
	// others is the share of the machine that other processes used meanwhile.
	others float64
}

// measure measures and hands what it found to show, while the server runs.
func (m *measurement) measure(ctx context.Context, show func() error) (err error) {
	programs, err := os.MkdirTemp("", "nexus-lists-programs-")
	if err != nil {
		return fmt.Errorf("make a folder for programs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(programs)) }()
	binary := m.opts.binary
	if binary == "" {
		binary = filepath.Join(programs, "nexus")
		m.say("building %s", private.Package)
		if err := private.Build(ctx, binary, private.Package); err != nil {
			return err
		}
	}
	server, err := private.Start(ctx, private.Options{Binary: binary, Dir: m.opts.dir, Keep: m.opts.keep})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(ctx)) }()
	db, err := jobsdb.Open(ctx, server.DatabaseURL, 2)
	if err != nil {
		return err
	}
	defer db.Close()
	if m.run.Postgres, err = db.Version(ctx); err != nil {
		return err
	}
	now, err := m.fill(ctx, db)
	if err != nil {
		return err
	}
	meter := resource.Meter{Servers: []int{server.PID, server.PostgresPID}, Trees: []bool{false, true}}
	client := rest.New(server.HTTPAddr, server.Key, 1)
	defer client.Close()
	a := asker{client: client, now: now}
	before := meter.Read()
	if err := m.ask(ctx, a); err != nil {
		return err
	}
	m.others, _ = meter.Read().Since(before).Others()
	if err := m.explain(ctx, a, db, filepath.Join(server.DataDir, postgresLog)); err != nil {
		return err
	}
	return show()
}

// fill writes the jobs unless they are there, and returns when the newest was
// made.
func (m *measurement) fill(ctx context.Context, db *jobsdb.DB) (time.Time, error) {
	there, newest, err := manyjobs.There(ctx, db)
	if err != nil || there == m.opts.rows {
		return newest, err
	}
	if there > 0 {
		return newest, fmt.Errorf("there are %d jobs, and not %d", there, m.opts.rows)
	}
	began := time.Now()
	m.say("writing %d jobs", m.opts.rows)
	if err := manyjobs.Fill(ctx, db, m.opts.rows, began); err != nil {
		return began, err
	}
	m.say("they were written within %s", time.Since(began).Round(time.Second))
	return began, nil
}

// ask times every list.
func (m *measurement) ask(ctx context.Context, a asker) error {
	for _, q := range queries(m.opts.rows, a.now) {
		q, err := a.prepare(q)
		if err != nil {
			return err
		}
		f, err := a.time(ctx, q, m.opts.calls)
		if err != nil {
			return err
		}
		m.say("%-50s %5d rows, p50 %s ms, p99 %s ms", f.name, f.rows, millis(f.p50), millis(f.p99))
		if f.failed != nil {
			m.say("  %v", f.failed)
		}
		m.findings = append(m.findings, f)
	}
	return nil
}

// explain has Postgres say how it finds each list.
func (m *measurement) explain(ctx context.Context, a asker, db *jobsdb.DB, logFile string) error {
	log, err := plans.Start(ctx, db, logFile)
	if err != nil {
		return err
	}
	// The services come back with new sessions.
	err = pace.Until(ctx, "lists are answered again", 100*time.Millisecond, time.Minute, func(context.Context) (bool, error) {
		_, err := a.client.Counts()
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	for i := range m.findings {
		f := &m.findings[i]
		if f.failed != nil {
			continue
		}
		f.plans, err = log.Of(ctx, func() error {
			_, err := a.ask(f.query)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return plans.Stop(ctx, db)
}

func (m *measurement) say(format string, args ...any) {
	fmt.Fprintf(m.progress, format+"\n", args...)
}
