package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"nexus.internal/cmd/nexus/internal/platform"
)

// prepareWorker reads the arguments of `nexus worker`.
func prepareWorker(args []string) (action, error) {
	var w platform.Workers
	flags := flag.NewFlagSet("nexus worker", flag.ContinueOnError)
	queues := flags.String("queues", strings.Join(platform.Queues(), ","), "")
	flags.Func("concurrency", "", count(&w.Concurrency))
	flags.Func("max-jobs", "", count(&w.MaxJobs))
	flags.BoolVar(&w.Once, "once", false, "")
	if err := parse(flags, args); err != nil {
		return nil, err
	}
	if w.Once && w.MaxJobs > 0 {
		return nil, errors.New("choose --once or --max-jobs")
	}
	for queue := range strings.SplitSeq(*queues, ",") {
		queue = strings.TrimSpace(queue)
		if !slices.Contains(platform.Queues(), queue) {
			return nil, fmt.Errorf("there is no queue %q: want some of %s", queue, strings.Join(platform.Queues(), ","))
		}
		if !slices.Contains(w.Queues, queue) {
			w.Queues = append(w.Queues, queue)
		}
	}
	return func(ctx context.Context, stdout, stderr io.Writer) error { return work(ctx, w, stdout, stderr) }, nil
}

// work runs jobs only, and says how many once it has run as many as it was
// asked for.
func work(ctx context.Context, want platform.Workers, stdout, stderr io.Writer) (err error) {
	cfg, err := settings(stderr, want.Queues...)
	if err != nil {
		return err
	}
	ctx, levels := onHangup(ctx, stderr)
	opts := platform.Options{Config: cfg, Version: version, Log: stderr, Levels: levels, Ready: func(platform.Running) {}}
	stop, err := observe(ctx, &opts, "nexus-worker")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	processed, err := platform.RunWorkers(ctx, opts, want)
	if err != nil {
		return err
	}
	if want.Once || want.MaxJobs > 0 {
		_, err = fmt.Fprintf(stdout, "processed %d job(s)\n", processed)
	}
	return err
}
