package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cover:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("cover", flag.ContinueOnError)
	module := flags.String("module", "", "common import path `prefix` of the measured modules")
	root := flags.String("root", ".", "`folder` that the prefix stands for")
	minimum := flags.Float64("min", 0, "lowest accepted coverage of a row, in `percent`")
	skip := flags.String("skip", "", "comma-separated `folders` left out, such as test support")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *module == "" || flags.NArg() == 0 {
		return fmt.Errorf("want -module and at least one profile")
	}

	merged := profile{}
	for _, name := range flags.Args() {
		if err := merged.addFile(name); err != nil {
			return err
		}
	}
	files, err := merged.files(*module, *root, strings.Split(*skip, ","))
	if err != nil {
		return err
	}
	if err := writeFiles(out, files); err != nil {
		return fmt.Errorf("print the files: %w", err)
	}
	table := summarize(files)
	if err := table.write(out); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return table.check(*minimum)
}
