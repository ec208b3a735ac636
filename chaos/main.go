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
	"sync"
	"syscall"
	"time"

	"nexus.internal/chaos/internal/checker"
	"nexus.internal/chaos/internal/history"
	"nexus.internal/chaos/internal/scenario"
)

const nexusPackage = "nexus.internal/cmd/nexus"

// errViolated means that a promise was broken, or could not be checked.
var errViolated = errors.New("not everything was kept")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, time.Now(), stderr)
	if err != nil {
		return err
	}
	if opts.history != "" {
		return checkAgain(opts.history, stdout)
	}
	dir, err := os.MkdirTemp(opts.dir, "nexus-chaos-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	// As root, Postgres runs as a user of its own, who must get through.
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		return fmt.Errorf("open the folder: %w", err)
	}
	if err := opts.build(ctx, dir, stderr); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	fmt.Fprintf(stderr, "seed %d, %d scenarios, in %s\n", opts.seed, len(opts.scenarios), dir)
	outcomes := opts.play(ctx, dir, stderr)
	printTable(stdout, outcomes)
	if failed := explain(stdout, opts, dir, outcomes); failed || ctx.Err() != nil {
		return fmt.Errorf("%w; histories and logs are in %s", errViolated, dir)
	}
	return os.RemoveAll(dir)
}

// build builds nexus unless a program was given, and makes its path and that
// of the texts independent of where processes run.
func (o *options) build(ctx context.Context, dir string, progress io.Writer) error {
	var err error
	if o.binary != "" {
		o.binary, err = filepath.Abs(o.binary)
		return err
	}
	o.binary = filepath.Join(dir, "nexus")
	fmt.Fprintln(progress, "building nexus")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", o.binary, nexusPackage)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build nexus (run this from the root of the checkout): %w\n%s", err, out)
	}
	return nil
}

// play plays the scenarios, some of them at once.
func (o *options) play(ctx context.Context, dir string, progress io.Writer) []scenario.Outcome {
	corpus, err := filepath.Abs("examples/corpus")
	out := make([]scenario.Outcome, len(o.scenarios))
	free := make(chan struct{}, o.parallel)
	shared := &lockedWriter{to: progress}
	var playing sync.WaitGroup
	for i, s := range o.scenarios {
		free <- struct{}{}
		playing.Go(func() {
			defer func() { <-free }()
			if err != nil || ctx.Err() != nil {
				out[i] = scenario.Outcome{Scenario: s.Name, Err: errors.Join(err, context.Cause(ctx))}
				return
			}
			out[i] = scenario.Run(ctx, s, scenario.Options{
				Seed: o.seed, Window: o.window(), PerSecond: o.perSecond, Binary: o.binary, CorpusRoot: corpus, PGBin: o.pgBin,
				Dir: filepath.Join(dir, s.Name), Progress: shared,
			})
		})
	}
	playing.Wait()
	return out
}

// lockedWriter lets scenarios write lines at the same time.
type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

// checkAgain checks a history that was kept.
func checkAgain(path string, stdout io.Writer) error {
	records, err := history.ReadFile(path)
	if err != nil {
		return err
	}
	report := checker.Check(records)
	fmt.Fprintf(stdout, "%+v\n", report.Tally)
	printViolations(stdout, report.Violations)
	if len(report.Violations) > 0 {
		return errViolated
	}
	return nil
}
