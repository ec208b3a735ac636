package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"nexus.internal/bench/internal/figure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		os.Exit(1)
	}
}

type options struct {
	database    string
	postgresPID int
	// phase is the length of a timed phase, flowing that of both at once; total is
	// how many jobs are drained.
	phase, flowing  time.Duration
	total, idleJobs int
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("river", flag.ContinueOnError)
	flags.StringVar(&o.database, "database", "", "the `URL` of a database to use; its jobs are deleted")
	flags.IntVar(&o.postgresPID, "postgres-pid", 0, "the main `process` of Postgres, for its processor time")
	flags.DurationVar(&o.phase, "phase", 4*time.Second, "the length of a timed phase")
	flags.DurationVar(&o.flowing, "together", 6*time.Second, "the length of a phase in which jobs come in and are run at once")
	flags.IntVar(&o.total, "jobs", 50_000, "how many jobs to drain")
	flags.IntVar(&o.idleJobs, "idle-jobs", 80, "how many jobs to run one at a time")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.database == "" {
		return o, errors.New("--database is missing")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	sheet := figure.NewWriter(out)
	b, err := open(ctx, o, sheet)
	if err != nil {
		return err
	}
	defer b.close()
	for _, step := range []func(context.Context) error{b.inserting, b.draining, b.together, b.idle, b.clear} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return sheet.Err()
}
