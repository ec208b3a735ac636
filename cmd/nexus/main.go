// Command nexus is the whole platform in one program: everything at once, one
// service, or the tools around them.
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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"nexus.internal/cmd/nexus/internal/platform"
	"nexus.internal/cmd/nexus/internal/reference"
	"nexus.internal/libs/config"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/telemetry"
	"nexus.internal/migrations"
)

// version is set by the build.
var version = "dev"

// exitUsage tells a wrong command line from a failure.
const exitUsage = 2

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	act, err := prepare(args)
	if err == nil {
		err = act(ctx, stdout, stderr)
	}
	var wrong *usageError
	switch {
	case errors.As(err, &wrong):
		_, _ = fmt.Fprintf(stderr, "nexus: %s\n\n%s", wrong.problem, wrong.usage)
		return exitUsage
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "nexus:", err)
		return 1
	}
	return 0
}

func printVersion(_ context.Context, stdout, _ io.Writer) error {
	_, err := fmt.Fprintln(stdout, version)
	return err
}

func prepareDocs(args []string) (action, error) {
	flags := flag.NewFlagSet("docs", flag.ContinueOnError)
	dir := flags.String("out", "", "")
	if err := parse(flags, args); err != nil {
		return nil, err
	}
	if *dir == "" {
		return nil, errors.New("want --out DIR")
	}
	return func(context.Context, io.Writer, io.Writer) error { return reference.Write(*dir) }, nil
}

// settings reads the settings that services can run on, and warns of names that
// mean nothing.
func settings(stderr io.Writer, services ...string) (platform.Config, error) {
	environ, err := config.Environ(".")
	if err != nil {
		return platform.Config{}, err
	}
	cfg, err := platform.LoadConfig(environ, services...)
	if err != nil {
		return cfg, err
	}
	known, err := platform.Settings()
	if err != nil {
		return cfg, err
	}
	logs, err := cfg.Logs(stderr)
	if err != nil {
		return cfg, err
	}
	log := logs.Logger("nexus")
	for _, name := range config.Unknown(known, environ) {
		log.Warn().Str("variable", name).Msg("this setting is unknown and has no effect; docs/configuration.md lists those there are")
	}
	if cfg.DatabaseURL == "" {
		return cfg, forgetServers()
	}
	return cfg, nil
}

// forgetServers removes the variables of libpq from this process, which the
// Postgres client reads too: what a shell says of other servers does not hold
// for the private one.
func forgetServers() error {
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "PG") {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("forget %s: %w", name, err)
		}
	}
	return nil
}

func serveAll(ctx context.Context, stdout, stderr io.Writer) error {
	return serve(ctx, platform.Services(), true, stdout, stderr)
}

func serveOne(service string) action {
	return func(ctx context.Context, stdout, stderr io.Writer) error {
		return serve(ctx, []string{service}, false, stdout, stderr)
	}
}

func serve(ctx context.Context, services []string, embedded bool, stdout, stderr io.Writer) (err error) {
	cfg, err := settings(stderr, services...)
	if err != nil {
		return err
	}
	ctx, levels := onHangup(ctx, stderr)
	opts := platform.Options{Config: cfg, Services: services, Embedded: embedded, Version: version, Log: stderr, Levels: levels}
	name := "nexus"
	if !embedded {
		name += "-" + services[0]
	}
	stop, err := observe(ctx, &opts, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	opts.Ready = func(r platform.Running) {
		if embedded {
			welcome(stdout, cfg, r)
		}
	}
	return platform.Run(ctx, opts)
}

// observe has a process trace and measure what it does, as the settings say. stop
// sends the last of it.
func observe(ctx context.Context, opts *platform.Options, name string) (stop func() error, err error) {
	spans, stopTraces, err := trace(ctx, opts)
	if err != nil {
		return nil, err
	}
	stopMetrics, err := measure(ctx, opts, name, spans)
	if err != nil {
		return nil, errors.Join(err, stopTraces())
	}
	return func() error { return errors.Join(stopMetrics(), stopTraces()) }, nil
}

// trace sends the spans of a process where the settings say. stop sends the
// last ones. spans is nil where nothing is traced.
func trace(ctx context.Context, opts *platform.Options) (spans *telemetry.Spans, stop func() error, err error) {
	if opts.Config.OTLPEndpoint == "" {
		return nil, func() error { return nil }, nil
	}
	exporter, err := telemetry.NewExporter(ctx, opts.Config.OTLPEndpoint)
	if err != nil {
		return nil, nil, err
	}
	logs, err := opts.Config.Logs(opts.Log)
	if err != nil {
		return nil, nil, err
	}
	log := logs.Logger("nexus")
	spans = telemetry.NewSpans(exporter, log)
	opts.Spans = spans
	return spans, func() error {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := spans.Shutdown(last); err != nil {
			log.Warn().Err(err).Int64("spans_lost", spans.Dropped()).Msg("could not send the last spans")
		}
		return nil
	}, nil
}

// measure has a process measure what it does, unless the settings say otherwise, and
// push that where they say. stop pushes the last of it. spans may be nil.
func measure(ctx context.Context, opts *platform.Options, name string, spans *telemetry.Spans) (stop func() error, err error) {
	cfg := opts.Config
	if !cfg.MetricsEnabled {
		return func() error { return nil }, nil
	}
	made := metrics.Options{Name: name, Version: opts.Version}
	if spans != nil {
		made.Spans = spans
	}
	if cfg.OTLPEndpoint != "" && cfg.OTLPMetrics > 0 {
		logs, err := cfg.Logs(opts.Log)
		if err != nil {
			return nil, err
		}
		if made.Push, err = metrics.NewPush(ctx, cfg.OTLPEndpoint, time.Duration(cfg.OTLPMetrics)*time.Second, logs.Logger("nexus")); err != nil {
			return nil, err
		}
	}
	if opts.Metrics, err = metrics.New(made); err != nil {
		return nil, err
	}
	return func() error {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		return opts.Metrics.Shutdown(last)
	}, nil
}

func serveNATS(ctx context.Context, stdout, stderr io.Writer) (err error) {
	cfg, err := settings(stderr)
	if err != nil {
		return err
	}
	ctx, levels := onHangup(ctx, stderr)
	opts := platform.Options{Config: cfg, Version: version, Log: stderr, Levels: levels, Ready: func(r platform.Running) {
		_, _ = fmt.Fprintf(stdout, "NATS is running.\n\n  NATS       %s\n  Keys       %s\n\n", r.NATSURL, cfg.NATSKeys)
	}}
	stopMetrics, err := measure(ctx, &opts, "nexus-nats", nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopMetrics()) }()
	return platform.RunNATS(ctx, opts)
}

// welcome tells a newcomer where things are and what to try first.
func welcome(w io.Writer, cfg platform.Config, r platform.Running) {
	var b strings.Builder
	fmt.Fprintf(&b, "\nNexus is running.\n\n  REST API   http://%s   (documentation: http://%s/docs)\n", r.HTTPAddr, r.HTTPAddr)
	if r.NATSURL != "" {
		fmt.Fprintf(&b, "  NATS       %s\n", r.NATSURL)
	}
	fmt.Fprintf(&b, "  Data       %s\n", place(cfg))
	if cfg.Auth.SeedsKeys() && cfg.Auth.Environment != "prod" {
		b.WriteString("\nDevelopment keys:\n")
		for _, k := range cfg.Auth.BootstrapKeys() {
			fmt.Fprintf(&b, "  %-11s %s\n", k.Role, k.Key)
		}
		fmt.Fprintf(&b, `
Try:
  curl -s http://%s/api/v1/jobs/submit -H 'X-Nexus-API-Key: %s' \
    -H 'Content-Type: application/json' -d '{"job_type":"ingest_batch","execution_mode":"sync"}'
`, r.HTTPAddr, cfg.Auth.OperatorKey)
	}
	b.WriteString("\nCtrl-C stops it; the next start goes on where this one ended.\n\n")
	_, _ = io.WriteString(w, b.String())
}

// place says where everything is that the program keeps.
func place(cfg platform.Config) string {
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		dir = cfg.DataDir
	}
	if strings.ContainsFunc(dir, func(c rune) bool { return !unicode.IsPrint(c) }) {
		dir = strconv.Quote(dir)
	}
	var apart []string
	for setting, outside := range map[string]bool{
		"NEXUS_DATABASE_URL": cfg.DatabaseURL != "", "NEXUS_NATS_URL": cfg.NATSURL != "",
	} {
		if outside {
			apart = append(apart, setting)
		}
	}
	if len(apart) == 0 {
		return dir
	}
	slices.Sort(apart)
	return dir + "   (and where " + strings.Join(apart, " and ") + " says)"
}

func rebuildBroker(ctx context.Context, stdout, stderr io.Writer) error {
	cfg, err := settings(stderr)
	if err != nil {
		return err
	}
	if err := platform.RebuildBroker(ctx, cfg, stderr); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, "The streams and consumers are there, and the jobs that need it were sent again.")
	return err
}

func prepareMigrateUp(args []string) (action, error) {
	flags := flag.NewFlagSet("migrate up", flag.ContinueOnError)
	keep := flags.Bool("keep", false, "")
	if err := parse(flags, args); err != nil {
		return nil, err
	}
	if *keep {
		return migrateAndKeep, nil
	}
	return migrateUp, nil
}

func migrateAndKeep(ctx context.Context, stdout, stderr io.Writer) (err error) {
	cfg, err := settings(stderr)
	if err != nil {
		return err
	}
	ctx, levels := onHangup(ctx, stderr)
	opts := platform.Options{Config: cfg, Version: version, Log: stderr, Levels: levels}
	stopMetrics, err := measure(ctx, &opts, "nexus-migrate", nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopMetrics()) }()
	return platform.Keep(ctx, opts, migrations.Schemas(), func(newer []migrations.Ahead) { _, _ = fmt.Fprintln(stdout, migrated(newer)) })
}

func migrateUp(ctx context.Context, stdout, stderr io.Writer) error {
	cfg, err := settings(stderr)
	if err != nil {
		return err
	}
	newer, err := platform.Create(ctx, cfg, stderr, migrations.Schemas())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, migrated(newer))
	return err
}

func prepareMigrateDown(args []string) (action, error) {
	flags := flag.NewFlagSet("migrate down", flag.ContinueOnError)
	yes := flags.Bool("yes", false, "")
	if err := parse(flags, args); err != nil {
		return nil, err
	}
	if !*yes {
		return nil, errors.New("want --yes: it deletes all data")
	}
	return migrateDown, nil
}

func migrateDown(ctx context.Context, stdout, stderr io.Writer) error {
	cfg, err := settings(stderr)
	if err != nil {
		return err
	}
	if err := platform.Remove(ctx, cfg, stderr, migrations.Schemas()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, "The schemas and everything in them are gone.")
	return err
}

// migrated says how the schemas are after a migration.
func migrated(newer []migrations.Ahead) string {
	if len(newer) == 0 {
		return "The schemas, streams and consumers are up to date."
	}
	var b strings.Builder
	for _, n := range newer {
		fmt.Fprintf(&b, "Schema %s was migrated by a newer Nexus, to %s; this program knows %s. They are compatible, and the schema was left as it is.\n",
			n.Schema, n.Migration, n.Known)
	}
	b.WriteString("All others, the streams and the consumers are up to date.")
	return b.String()
}
