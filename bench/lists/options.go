package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

type options struct {
	rows, calls int
	binary, dir string
	results     string
	keep        string
	// args are the arguments as given.
	args []string
}

const explanation = `Lists measures how long lists of jobs take where there are millions of jobs. Run
it from the root of the checkout, on a machine that does nothing else:

  go run ./bench/lists --results bench/LISTS.md

Flags:
`

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{args: args}
	flags := flag.NewFlagSet("lists", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rows, "rows", 5_000_000, "how many jobs there are; each takes about 2 kB of disk, log included")
	flags.IntVar(&o.calls, "calls", 100, "how often each list is asked for")
	flags.StringVar(&o.binary, "binary", "", "the nexus `program` to measure (default: the one of this checkout, built first)")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "the `folder` below which data is kept during the run")
	flags.StringVar(&o.results, "results", "", "put the figures into this `file`, between its marks")
	flags.StringVar(&o.keep, "keep", "", "keep the data in this `folder`; jobs that are there already are not written again")
	flags.Usage = func() {
		fmt.Fprint(stderr, explanation)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	return o, o.check(flags.Args())
}

func (o options) check(rest []string) error {
	var errs []error
	if len(rest) > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	if o.rows < 10_000 || o.rows > 100_000_000 {
		errs = append(errs, fmt.Errorf("--rows is %d: want 10000 to 100000000", o.rows))
	}
	if o.calls < 1 || o.calls > 10_000 {
		errs = append(errs, fmt.Errorf("--calls is %d: want 1 to 10000", o.calls))
	}
	return errors.Join(errs...)
}

// command is how to run the same again, on another machine.
func (o options) command() string {
	words := []string{"go", "run", "./bench/lists"}
	hide := false
	for _, a := range o.args {
		name, _, given := strings.Cut(strings.TrimLeft(a, "-"), "=")
		local := strings.HasPrefix(a, "-") && (name == "binary" || name == "dir" || name == "keep")
		switch {
		case hide:
			a = "…"
			hide = false
		case local && given:
			a = "--" + name + "=…"
		case local:
			hide = true
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}
