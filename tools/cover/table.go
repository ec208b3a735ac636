package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"path"
	"path/filepath"
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

// summarize adds the blocks up by the first two folders below the module prefix,
// such as services/auth. Files outside the prefix are an error: a table that
// silently leaves code out would look better than it is.
func summarize(p profile, module, root string, skip []string) (table, error) {
	rows := map[string]row{}
	for file, blocks := range p {
		inside, found := strings.CutPrefix(file, module+"/")
		if !found {
			return nil, fmt.Errorf("%s is not part of %s", file, module)
		}
		name := rowName(inside)
		if isBelow(name, skip) {
			continue
		}
		counts, err := isCounted(filepath.Join(root, filepath.FromSlash(inside)))
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", file, err)
		}
		if !counts {
			continue
		}
		r := rows[name]
		r.name = name
		for _, b := range blocks {
			r.statements += b.statements
			if b.covered {
				r.covered += b.statements
			}
		}
		if r.statements > 0 {
			rows[name] = r
		}
	}
	if len(rows) == 0 {
		return nil, errors.New("the profiles hold no statement to count")
	}
	return slices.SortedFunc(maps.Values(rows), func(a, b row) int {
		return strings.Compare(a.name, b.name)
	}), nil
}

func rowName(file string) string {
	folders := strings.Split(path.Dir(file), "/")
	return strings.Join(folders[:min(2, len(folders))], "/")
}

func isBelow(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return name == folder || strings.HasPrefix(name, folder+"/")
	})
}

// isCounted reports whether a source file is meant to be covered by tests:
// generated code and the entry point of a program are not.
func isCounted(file string) (bool, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		return false, err
	}
	entryPoint := parsed.Name.Name == "main" && filepath.Base(file) == "main.go"
	return !entryPoint && !ast.IsGenerated(parsed), nil
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
