package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"nexus.internal/chaos/internal/fuzzing"
)

type options struct {
	run                fuzzing.Options
	binary, dir, pgBin string
}

const explanation = `Fuzz sends a nexus what nobody should send, and looks at the answers. Run it
from the root of the checkout:

  go run ./chaos/fuzz
  go run ./chaos/fuzz --seed 7 --time 5m --focus rest --route /jobs

Flags:
`

func parse(args []string, now time.Time, stderr io.Writer) (options, error) {
	var o options
	var focus string
	var memory int64
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&o.run.Seed, "seed", uint64(now.UnixNano())%1_000_000, "what is sent follows from this `number`")
	flags.DurationVar(&o.run.For, "time", time.Minute, "how long to send")
	flags.Uint64Var(&o.run.Most, "requests", 1_000_000, "how many requests and messages to send at most; 0 is no limit")
	flags.Uint64Var(&o.run.Only, "only", 0, "send nothing but the request of this `number`")
	flags.IntVar(&o.run.Parallel, "parallel", 4, "how many requests are under way at once")
	flags.StringVar(&focus, "focus", string(fuzzing.All), "what to try: all, rest, raw (broken HTTP) or nats")
	flags.StringVar(&o.run.Route, "route", "", "try only routes whose path holds this `text`")
	flags.Int64Var(&memory, "memory", 400, "how much memory nexus may use, in `MiB`; 0 is no limit")
	flags.StringVar(&o.binary, "binary", "", "the nexus `program` (default: the one of this checkout, built first)")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "the `folder` below which data, log and requests are kept")
	flags.StringVar(&o.pgBin, "pg-bin", os.Getenv("NEXUS_PG_BIN"), "the `folder` with the PostgreSQL programs; none: the newest installed")
	flags.Usage = func() {
		fmt.Fprint(stderr, explanation)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.run.Focus, o.run.MostMemory = fuzzing.Focus(focus), memory<<20
	return o, o.validate(flags.Args())
}

func (o *options) validate(rest []string) error {
	var errs []error
	if len(rest) > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	switch o.run.Focus {
	case fuzzing.All, fuzzing.REST, fuzzing.Raw, fuzzing.NATS:
	default:
		errs = append(errs, fmt.Errorf("--focus is %q: want all, rest, raw or nats", o.run.Focus))
	}
	if o.run.For <= 0 || o.run.For > 24*time.Hour {
		errs = append(errs, fmt.Errorf("--time is %s: want more than nothing, at most a day", o.run.For))
	}
	if o.run.Parallel < 1 || o.run.Parallel > 64 {
		errs = append(errs, fmt.Errorf("--parallel is %d: want 1 to 64", o.run.Parallel))
	}
	if o.run.MostMemory < 0 {
		errs = append(errs, errors.New("--memory is below 0"))
	}
	return errors.Join(errs...)
}
