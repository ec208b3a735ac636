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
	files, megabytes int
	from             string
	binary, dir      string
	results          string
	args             []string
}

const explanation = `Ingest measures how fast files become documents and atoms. Run it from the root
of the checkout, on a machine that does nothing else:

  go run ./bench/ingest --results bench/INGEST.md

Flags:
`

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{args: args}
	flags := flag.NewFlagSet("ingest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.files, "files", 2000, "how many mixed files there are")
	flags.IntVar(&o.megabytes, "megabytes", 16, "how much text there is for counting atoms, in files of 4 MB")
	flags.StringVar(&o.from, "from", "/usr/share/doc:/usr/share/common-licenses:/usr/share/perl", "`folders` of this machine whose files are taken")
	flags.StringVar(&o.binary, "binary", "", "the nexus `program` to measure (default: the one of this checkout, built first)")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "the `folder` below which data is kept during the run")
	flags.StringVar(&o.results, "results", "", "put the figures into this `file`, between its marks")
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
	if o.files < 20 || o.files > 10_000 {
		errs = append(errs, fmt.Errorf("--files is %d: want 20 to 10000", o.files))
	}
	if o.megabytes < 4 || o.megabytes > 256 {
		errs = append(errs, fmt.Errorf("--megabytes is %d: want 4 to 256", o.megabytes))
	}
	return errors.Join(errs...)
}

// command is how the run can be repeated.
func (o options) command() string {
	return strings.Join(append([]string{"go run ./bench/ingest"}, o.args...), " ")
}
