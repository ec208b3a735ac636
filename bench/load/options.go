package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"nexus.internal/bench/internal/suite"
)

type options struct {
	quick, river bool
	rounds       int
	jobs         int
	binary, dir  string
	url, key     string
	results      string
	settings     []string
	only         []string
	against      []string
	finished     int
	// args are the arguments as given.
	args []string
}

const explanation = `Load measures a nexus: how fast it takes and ends jobs, how long a job takes when
nothing else is going on, and what that costs. Run it from the root of the
checkout, on a machine that does nothing else:

  go run ./bench/load --river --results bench/RESULTS.md

Flags:
`

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{args: args}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.quick, "quick", false, "see whether everything works, in about a minute; its figures do not count")
	flags.BoolVar(&o.river, "river", false, "measure River on the same Postgres as well")
	flags.IntVar(&o.rounds, "rounds", 3, "how often everything is measured; figures are medians")
	flags.IntVar(&o.jobs, "jobs", 50_000, "how many jobs are drained at once")
	flags.IntVar(&o.finished, "finished", 0, "measure some things again with this many finished jobs in the tables")
	flags.StringVar(&o.binary, "binary", "", "the nexus `program` to measure (default: the one of this checkout, built first)")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "the `folder` below which data is kept during the run; its disk is part of what is measured")
	flags.StringVar(&o.url, "url", "", "measure the nexus that runs at this `URL`, through REST only; its jobs stay there")
	flags.StringVar(&o.key, "key", "", "an API `key` for --url, with the role operator or above")
	flags.StringVar(&o.results, "results", "", "put the figures into this `file`, between its marks")
	flags.Func("set", "a further `NAME=VALUE` setting for nexus; may be repeated", settingOf(&o.settings))
	flags.Func("against", "measure in turn with a second nexus that has this `NAME=VALUE` setting, too, and set both side by side; may be repeated. "+
		"NEXUS_METRICS_ENABLED=false shows what measuring costs", settingOf(&o.against))
	flags.Func("only", "measure only these `steps` of a round, separated by commas: "+strings.Join(suite.Steps(), ", "), func(s string) error {
		o.only = strings.Split(s, ",")
		for _, step := range o.only {
			if !slices.Contains(suite.Steps(), step) {
				return fmt.Errorf("there is no step %q", step)
			}
		}
		return nil
	})
	flags.Usage = func() {
		fmt.Fprint(stderr, explanation)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.rounds, o.jobs = 1, min(o.jobs, 5000)
	}
	return o, o.check(flags.Args())
}

// settingOf takes a setting of nexus.
func settingOf(to *[]string) func(string) error {
	return func(s string) error {
		if name, _, ok := strings.Cut(s, "="); !ok || !strings.HasPrefix(name, "NEXUS_") {
			return errors.New("want NEXUS_NAME=VALUE")
		}
		*to = append(*to, s)
		return nil
	}
}

func (o options) check(rest []string) error {
	var errs []error
	if len(rest) > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	if o.rounds < 1 || o.rounds > 20 {
		errs = append(errs, fmt.Errorf("--rounds is %d: want 1 to 20", o.rounds))
	}
	if o.jobs < 1 || o.jobs > 1_000_000 {
		errs = append(errs, fmt.Errorf("--jobs is %d: want 1 to 1000000", o.jobs))
	}
	if o.finished < 0 || o.finished > 50_000_000 {
		errs = append(errs, fmt.Errorf("--finished is %d: want 0 to 50000000", o.finished))
	}
	if len(o.against) > 0 && (o.url != "" || o.river || o.finished > 0 || o.results != "") {
		errs = append(errs, errors.New("--against measures two of our own: without --url, --river, --finished and --results"))
	}
	if o.url != "" {
		if o.key == "" {
			errs = append(errs, errors.New("--url needs --key"))
		}
		if o.river || o.binary != "" || len(o.settings)+len(o.only) > 0 || o.finished > 0 {
			errs = append(errs, errors.New("--url measures a nexus that runs already: --river, --binary, --set, --only and --finished are for one of our own"))
		}
		if !strings.HasPrefix(o.url, "http://") || strings.Trim(o.url[len("http://"):], "/") == "" {
			errs = append(errs, fmt.Errorf("--url is %q: want http://host:port", o.url))
		}
	}
	return errors.Join(errs...)
}

// addr is host:port of --url.
func (o options) addr() string {
	addr := strings.TrimRight(strings.TrimPrefix(o.url, "http://"), "/")
	if !strings.Contains(addr, ":") {
		addr += ":80"
	}
	return addr
}

// lengths are how long things are measured.
func (o options) lengths() suite.Options {
	if o.quick {
		return suite.Options{Phase: time.Second, Together: 2 * time.Second, Jobs: o.jobs, IdleJobs: 20, Finished: o.finished, Only: o.only}
	}
	return suite.Options{Phase: 4 * time.Second, Together: 6 * time.Second, Jobs: o.jobs, IdleJobs: 200, Finished: o.finished, Only: o.only}
}

// limit bounds the whole run, without what is built before it.
func (o options) limit() time.Duration {
	systems := 1
	if len(o.against) > 0 {
		systems = 2
	}
	if o.quick {
		return time.Duration(systems) * 90 * time.Second
	}
	return time.Duration(systems*o.rounds)*240*time.Second + time.Duration(o.finished)*200*time.Microsecond
}

// command is how to run the same again, without a key.
func (o options) command() string {
	words := []string{"go", "run", "./bench/load"}
	hide := false
	for _, a := range o.args {
		name, _, given := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch {
		case hide:
			a = "…"
			hide = false
		case name == "key" && given:
			a = "--key=…"
		case name == "key":
			hide = true
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}
