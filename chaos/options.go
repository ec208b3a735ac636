package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"nexus.internal/chaos/internal/scenario"
)

type options struct {
	seed                uint64
	minutes             float64
	short               bool
	parallel, perSecond int
	scenarios           []scenario.Scenario
	binary, dir, pgBin  string
	// history is a file to check again instead.
	history string
}

const explanation = `Chaos breaks a nexus on purpose and checks that nothing was lost. Run it from the
root of the checkout:

  go run ./chaos
  go run ./chaos --seed 7 --minutes 2 --scenario kill-services

Flags:
`

const (
	// around is what a scenario takes beside its load, roughly.
	around = 35 * time.Second
	// leastLoad is the shortest load that breaks anything.
	leastLoad = 8 * time.Second
)

func parse(args []string, now time.Time, stderr io.Writer) (options, error) {
	var o options
	var names []string
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&o.seed, "seed", uint64(now.UnixNano())%1_000_000, "what is submitted and what is broken follows from this `number`")
	flags.Float64Var(&o.minutes, "minutes", 8, "how long the whole takes, roughly")
	flags.BoolVar(&o.short, "short", false, "play the scenarios that every change is checked with, in about a minute")
	flags.IntVar(&o.parallel, "parallel", 2, "how many scenarios are played at once")
	flags.IntVar(&o.perSecond, "rate", 100, "how many jobs are submitted each second, in each scenario")
	flags.StringVar(&o.binary, "binary", "", "the nexus `program` (default: the one of this checkout, built first)")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "the `folder` below which data, logs and histories are kept")
	flags.StringVar(&o.pgBin, "pg-bin", os.Getenv("NEXUS_PG_BIN"), "the `folder` with the PostgreSQL programs; none: the newest installed")
	flags.StringVar(&o.history, "check", "", "check the history in this `file` again, and do nothing else")
	flags.Func("scenario", "play only the scenario of this `name`; may be repeated:\n"+strings.Join(allNames(), ", "), func(name string) error {
		names = append(names, name)
		return nil
	})
	flags.Usage = func() {
		fmt.Fprint(stderr, explanation)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	return o, errors.Join(o.validate(flags.Args()), o.choose(names))
}

func allNames() []string {
	var out []string
	for _, s := range scenario.All() {
		out = append(out, s.Name)
	}
	return out
}

func (o *options) validate(rest []string) error {
	var errs []error
	if len(rest) > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	if o.minutes <= 0 || o.minutes > 600 {
		errs = append(errs, fmt.Errorf("--minutes is %g: want more than 0, at most 600", o.minutes))
	}
	if o.parallel < 1 || o.parallel > 20 {
		errs = append(errs, fmt.Errorf("--parallel is %d: want 1 to 20", o.parallel))
	}
	if o.perSecond < 1 || o.perSecond > 10_000 {
		errs = append(errs, fmt.Errorf("--rate is %d: want 1 to 10000", o.perSecond))
	}
	return errors.Join(errs...)
}

// choose picks the scenarios to play.
func (o *options) choose(names []string) error {
	for _, name := range names {
		s, err := scenario.Named(name)
		if err != nil {
			return err
		}
		o.scenarios = append(o.scenarios, s)
	}
	if len(names) > 0 {
		return nil
	}
	for _, s := range scenario.All() {
		if s.Short || !o.short {
			o.scenarios = append(o.scenarios, s)
		}
	}
	return nil
}

// window is how long each scenario has clients at work.
func (o *options) window() time.Duration {
	if o.short {
		return leastLoad
	}
	turns := (len(o.scenarios) + o.parallel - 1) / o.parallel
	return max(leastLoad, time.Duration(o.minutes*float64(time.Minute))/time.Duration(turns)-around)
}

// again is how to play a scenario as it was.
func (o *options) again(name string) string {
	if o.short {
		return fmt.Sprintf("go run ./chaos --seed %d --rate %d --short --scenario %s", o.seed, o.perSecond, name)
	}
	return fmt.Sprintf("go run ./chaos --seed %d --rate %d --minutes %.2f --scenario %s", o.seed, o.perSecond, (o.window() + around).Minutes(), name)
}
