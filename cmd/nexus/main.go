// Command nexus is the whole platform in one program: everything at once, one
// service, or the tools around them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"nexus.internal/cmd/nexus/internal/platform"
	"nexus.internal/cmd/nexus/internal/reference"
	"nexus.internal/libs/config"
	"nexus.internal/libs/telemetry"
	"nexus.internal/migrations"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "nexus:", err)
		os.Exit(1)
	}
}

const usage = `nexus runs jobs and loses none.

  nexus up                 run everything on this machine
  nexus SERVICE            run one service: auth, audit, jobs, corpus, plugins, webhooks or gateway
  nexus worker             run jobs only: [--queues corpus,plugins] [--concurrency N] [--max-jobs N] [--once]
  nexus nats               run the NATS server alone, for services run one by one
  nexus migrate up|down    create, or remove, the database schemas; up also creates the streams
  nexus audit verify       hold the audit trail to its chain
  nexus rebuild-broker     give a NATS server that lost its data the streams, and send unfinished jobs again
  nexus docs --out DIR     write the generated pages of the documentation
  nexus version            print the version

Settings are environment variables that begin with NEXUS_, or lines of a file
named .env; docs/configuration.md lists them.
`

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	command := "help"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch {
	case command == "help" || command == "-h" || command == "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	case command == "version":
		_, err := fmt.Fprintln(stdout, version)
		return err
	case command == "docs":
		return writeDocs(args)
	case command == "migrate":
		return migrate(ctx, args, stdout, stderr)
	case command == "audit" && len(args) > 0:
		return auditCommand(ctx, args, stdout, stderr)
	case command == "rebuild-broker":
		return rebuildBroker(ctx, args, stdout, stderr)
	case command == "nats":
		return serveNATS(ctx, stdout, stderr)
	case command == "worker":
		return work(ctx, args, stdout, stderr)
	case command == "up":
		return serve(ctx, platform.Services(), true, stdout, stderr)
	case slices.Contains(platform.Services(), command):
		return serve(ctx, []string{command}, false, stdout, stderr)
	default:
		return fmt.Errorf("there is no command %q; `nexus help` lists them", command)
	}
}

func writeDocs(args []string) error {
	if len(args) != 2 || args[0] != "--out" {
		return errors.New("want: nexus docs --out DIR")
	}
	return reference.Write(args[1])
}

// settings reads the settings and warns of names that mean nothing.
func settings(stderr io.Writer) (platform.Config, error) {
	environ, err := config.Environ(".")
	if err != nil {
		return platform.Config{}, err
	}
	cfg, err := platform.LoadConfig(environ)
	if err != nil {
		return cfg, err
	}
	known, err := platform.Settings()
	if err != nil {
		return cfg, err
	}
	log, err := telemetry.NewLogger(stderr, cfg.LogLevel, "nexus")
	if err != nil {
		return cfg, err
	}
	for _, name := range config.Unknown(known, environ) {
		log.Warn().Str("variable", name).Msg("this setting is unknown and has no effect; docs/configuration.md lists those there are")
	}
	return cfg, nil
}

func serve(ctx context.Context, services []string, embedded bool, stdout, stderr io.Writer) (err error) {
	cfg, err := settings(stderr)
	if err != nil {
		return err
	}
	opts := platform.Options{Config: cfg, Services: services, Embedded: embedded, Version: version, Log: stderr}
	stopTraces, err := trace(ctx, &opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopTraces()) }()
	opts.Ready = func(r platform.Running) {
		if embedded {
			welcome(stdout, cfg, r)
		}
	}
	return platform.Run(ctx, opts)
}

// trace sends the spans of a process where the settings say. stop sends the
// last ones.
func trace(ctx context.Context, opts *platform.Options) (stop func() error, err error) {
	if opts.Config.OTLPEndpoint == "" {
		return func() error { return nil }, nil
	}
	exporter, err := telemetry.NewExporter(ctx, opts.Config.OTLPEndpoint)
	if err != nil {
		return nil, err
	}
	spans := sdktrace.NewBatchSpanProcessor(exporter)
	opts.Spans = spans
	return func() error {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return spans.Shutdown(last)
	}, nil
}

func serveNATS(ctx context.Context, stdout, stderr io.Writer) error {
	cfg, err := settings(stderr)
	if err != nil {
		return err
	}
	return platform.RunNATS(ctx, cfg, stderr, func(r platform.Running) {
		_, _ = fmt.Fprintf(stdout, "NATS is running.\n\n  NATS       %s\n  Keys       %s\n\n", r.NATSURL, cfg.NATSKeys)
	})
}

// welcome tells a newcomer where things are and what to try first.
func welcome(w io.Writer, cfg platform.Config, r platform.Running) {
	var b strings.Builder
	fmt.Fprintf(&b, "\nNexus is running.\n\n  REST API   http://%s   (documentation: http://%s/docs)\n", r.HTTPAddr, r.HTTPAddr)
	if r.NATSURL != "" {
		fmt.Fprintf(&b, "  NATS       %s\n", r.NATSURL)
	}
	fmt.Fprintf(&b, "  Data       %s\n", cfg.DataDir)
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

func rebuildBroker(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) != 0 {
		return errors.New("want: nexus rebuild-broker")
	}
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

func migrate(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cfg, err := settings(stderr)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "up":
		newer, err := platform.Create(ctx, cfg, stderr, migrations.Schemas())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(stdout, migrated(newer))
		return err
	case len(args) == 2 && args[0] == "down" && args[1] == "--yes":
		if err := platform.Remove(ctx, cfg, stderr, migrations.Schemas()); err != nil {
			return err
		}
		_, err = fmt.Fprintln(stdout, "The schemas and everything in them are gone.")
		return err
	default:
		return errors.New("want: nexus migrate up, or nexus migrate down --yes, which deletes all data")
	}
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
