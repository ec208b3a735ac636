package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"nexus.internal/chaos/internal/cluster"
	"nexus.internal/chaos/internal/fuzzing"
)

const nexusPackage = "nexus.internal/cmd/nexus"

// errFound means that something was wrong.
var errFound = errors.New("not every answer was right")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, time.Now(), stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(opts.dir, "nexus-fuzz-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	if opts.run.Dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("find the folder: %w", err)
	}
	report, err := opts.play(ctx, stderr)
	if err != nil {
		return errors.Join(err, fmt.Errorf("logs are in %s", dir))
	}
	show(stdout, opts, report)
	if len(report.Findings) > 0 || ctx.Err() != nil {
		return fmt.Errorf("%w; requests and the log are in %s", errFound, dir)
	}
	return os.RemoveAll(dir)
}

// play starts a nexus, tries it, and ends it.
func (o *options) play(ctx context.Context, progress io.Writer) (report fuzzing.Report, err error) {
	binary, err := o.build(ctx, progress)
	if err != nil {
		return report, err
	}
	corpus, err := filepath.Abs("examples/corpus")
	if err != nil {
		return report, fmt.Errorf("find the texts: %w", err)
	}
	fmt.Fprintf(progress, "seed %d, %s, in %s\n", o.run.Seed, o.run.For, o.run.Dir)
	nexus, err := cluster.StartSingle(ctx, cluster.Options{Binary: binary, Dir: o.run.Dir, CorpusRoot: corpus, PGBin: o.pgBin}, settings()...)
	defer func() { err = errors.Join(err, nexus.Close()) }()
	if err != nil {
		return report, err
	}
	return fuzzing.Run(ctx, nexus, o.run)
}

// settings let wrong keys be tried all the time.
func settings() []string { return []string{"NEXUS_AUTH_FAILURES_PER_MINUTE=100000"} }

// build builds nexus unless a program was given.
func (o *options) build(ctx context.Context, progress io.Writer) (string, error) {
	if o.binary != "" {
		return filepath.Abs(o.binary)
	}
	binary := filepath.Join(o.run.Dir, "nexus")
	fmt.Fprintln(progress, "building nexus")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", binary, nexusPackage)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build nexus (run this from the root of the checkout): %w\n%s", err, out)
	}
	return binary, nil
}

// show prints what came of a run.
func show(to io.Writer, o options, r fuzzing.Report) {
	statuses := make([]int, 0, len(r.Statuses))
	for status := range r.Statuses {
		statuses = append(statuses, status)
	}
	sort.Ints(statuses)
	var counts []string
	for _, status := range statuses {
		counts = append(counts, fmt.Sprintf("%d: %d", status, r.Statuses[status]))
	}
	fmt.Fprintf(to, "%d requests (%s), %d messages with a receipt, %d answers to come back later, at most %d MiB of memory\n",
		r.Requests, strings.Join(counts, ", "), r.Messages, r.Waiting, r.PeakMemory>>20)
	for _, f := range r.Findings {
		fmt.Fprintf(to, "\n%s, seen %d times: %s\n", f.What, f.Count, f.Problem)
		if f.Again != "" {
			fmt.Fprintf(to, "  %s\n", f.Again)
		}
		if f.Number != 0 {
			fmt.Fprintf(to, "  go run ./chaos/fuzz --seed %d --focus %s --only %d\n", o.run.Seed, o.run.Focus, f.Number)
		}
	}
}
