package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/payload"
	"nexus.internal/bench/internal/private"
	"nexus.internal/bench/internal/report"
	"nexus.internal/bench/internal/resource"
	"nexus.internal/bench/internal/suite"
)

// payloadPool is how many different payloads there are.
const payloadPool = 1000

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	encoded, err := payload.Encode(payload.Pool(payloadPool))
	if err != nil {
		return err
	}
	m := &measurement{opts: opts, payloads: encoded, sheet: figure.NewSheet(), progress: stderr}
	if err := m.build(ctx); err != nil {
		return errors.Join(err, m.clean())
	}
	limited, cancel := context.WithTimeoutCause(ctx, opts.limit(), fmt.Errorf("the run took longer than %s", opts.limit()))
	defer cancel()
	m.run = report.Run{
		Command: opts.command(), Started: time.Now(), Rounds: opts.rounds, Preliminary: opts.quick, Machine: resource.ThisMachine(opts.dir),
	}
	err = errors.Join(m.measure(limited), m.sheet.Err(), m.clean())
	m.run.Took = time.Since(m.run.Started)
	if m.sheet.Empty() {
		return err
	}
	figures := report.Markdown(m.run, m.sheet)
	if m.other != nil {
		figures += report.Against(opts.against, m.sheet, m.other)
	}
	if _, printErr := io.WriteString(stdout, figures); err != nil || printErr != nil {
		// What was measured until then is shown, and not kept.
		return errors.Join(err, printErr)
	}
	if opts.results == "" {
		return nil
	}
	return report.Write(opts.results, figures)
}

// measurement is one run of the program.
type measurement struct {
	opts     options
	payloads []json.RawMessage
	sheet    *figure.Sheet
	// other is that of a second nexus, where there is one.
	other    *figure.Sheet
	progress io.Writer
	run      report.Run
	programs programs
}

func (m *measurement) measure(ctx context.Context) error {
	if m.opts.url != "" {
		rest := suite.NewREST(m.opts.addr(), m.opts.key, m.payloads, m.opts.lengths(), m.sheet, m.progress)
		return m.rounds(ctx, rest.Round)
	}
	if m.run.Machine.InMemory() {
		return fmt.Errorf("%s is kept in memory, where nothing is durable: choose a folder on a disk with --dir", m.opts.dir)
	}
	if len(m.opts.against) > 0 {
		return m.measureAgainst(ctx)
	}
	fmt.Fprintln(m.progress, "starting a nexus with servers of its own")
	server, err := private.Start(ctx, private.Options{Binary: m.programs.nexus, Dir: m.opts.dir, Settings: m.opts.settings})
	if err != nil {
		return err
	}
	err = m.measureServer(ctx, server)
	return errors.Join(err, server.Stop(ctx))
}

// measureServer measures nexus and River in turn.
func (m *measurement) measureServer(ctx context.Context, server *private.Server) (err error) {
	nexus, err := suite.NewNexus(ctx, server, m.payloads, m.opts.lengths(), m.sheet, m.progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, nexus.Close()) }()
	if m.run.Postgres, m.run.NATS, err = nexus.Versions(ctx); err != nil {
		return err
	}
	systems := []func(context.Context) error{nexus.Round}
	if m.opts.river {
		if err := nexus.CreateDatabase(ctx, riverDatabase); err != nil {
			return err
		}
		if m.run.River, err = versionIn(m.programs.river, riverModule); err != nil {
			return err
		}
		systems = append(systems, func(ctx context.Context) error { return m.river(ctx, server) })
	}
	if err := m.rounds(ctx, systems...); err != nil {
		return err
	}
	return nexus.Last(ctx)
}

func (m *measurement) rounds(ctx context.Context, systems ...func(context.Context) error) error {
	for i := range m.opts.rounds {
		fmt.Fprintf(m.progress, "round %d of %d\n", i+1, m.opts.rounds)
		for _, measure := range systems {
			if err := measure(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
