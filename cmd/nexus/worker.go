package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"nexus.internal/cmd/nexus/internal/platform"
)

// workers reads the arguments of `nexus worker`.
func workers(args []string) (platform.Workers, error) {
	var w platform.Workers
	flags := flag.NewFlagSet("nexus worker", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	queues := flags.String("queues", strings.Join(platform.Queues(), ","), "the queues to serve")
	flags.IntVar(&w.Concurrency, "concurrency", 0, "jobs of one queue at once")
	flags.IntVar(&w.MaxJobs, "max-jobs", 0, "jobs to run before ending")
	flags.BoolVar(&w.Once, "once", false, "run one job, if one waits")
	if err := flags.Parse(args); err != nil {
		return w, fmt.Errorf("nexus worker: %w", err)
	}
	if flags.NArg() > 0 {
		return w, fmt.Errorf("nexus worker: %q is not an option", flags.Arg(0))
	}
	if w.Concurrency < 0 || w.MaxJobs < 0 {
		return w, errors.New("nexus worker: --concurrency and --max-jobs want a number of jobs")
	}
	if w.Once && w.MaxJobs > 0 {
		return w, errors.New("nexus worker: choose --once or --max-jobs")
	}
	w.Queues = strings.Split(*queues, ",")
	return w, nil
}

// work runs jobs only, and says how many once it has run as many as it was
// asked for.
func work(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	want, err := workers(args)
	if err != nil {
		return err
	}
	cfg, err := settings(stderr)
	if err != nil {
		return err
	}
	opts := platform.Options{Config: cfg, Version: version, Log: stderr, Ready: func(platform.Running) {}}
	stopTraces, err := trace(ctx, &opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopTraces()) }()
	processed, err := platform.RunWorkers(ctx, opts, want)
	if err != nil {
		return err
	}
	if want.Once || want.MaxJobs > 0 {
		_, err = fmt.Fprintf(stdout, "processed %d job(s)\n", processed)
	}
	return err
}
