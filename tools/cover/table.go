package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
)

// row is the coverage of one service or library.
type row struct {
	name                string
	statements, covered int
}

func (r row) percent() float64 {
	return 100 * float64(r.covered) / float64(r.statements)
}

type table []row

// summarize adds files up by their first two folders, such as services/auth.
func summarize(files []file) table {
	rows := map[string]row{}
	for _, f := range files {
		name := rowName(f.name)
		r := rows[name]
		r.name = name
		r.statements += f.statements
		r.covered += f.covered
		rows[name] = r
	}
	return slices.SortedFunc(maps.Values(rows), func(a, b row) int {
		return strings.Compare(a.name, b.name)
	})
}

func rowName(file string) string {
	folders := strings.Split(path.Dir(file), "/")
	return strings.Join(folders[:min(2, len(folders))], "/")
}

func (t table) write(out io.Writer) error {
	total := row{name: "total"}
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(columns, "coverage\tcovered\tstatements\t ")
	for _, r := range t {
		total.statements += r.statements
		total.covered += r.covered
		fmt.Fprintf(columns, "%.1f %%\t%d\t%d\t %s\n", r.percent(), r.covered, r.statements, r.name)
	}
	fmt.Fprintf(columns, "%.1f %%\t%d\t%d\t %s\n", total.percent(), total.covered, total.statements, total.name)
	return columns.Flush()
}

// check names every row below the minimum.
func (t table) check(minimum float64) error {
	var failures []error
	for _, r := range t {
		if r.percent() < minimum {
			failures = append(failures, fmt.Errorf("%s has %.1f %%, want at least %g %%", r.name, r.percent(), minimum))
		}
	}
	return errors.Join(failures...)
}
