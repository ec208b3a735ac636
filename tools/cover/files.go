package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// shownWorst is of how many files the uncovered lines are printed.
const shownWorst = 10

// lines is a range of lines, both ends in it.
type lines struct{ first, last int }

func (l lines) String() string {
	if l.first == l.last {
		return strconv.Itoa(l.first)
	}
	return fmt.Sprintf("%d-%d", l.first, l.last)
}

// file is the coverage of one source file.
type file struct {
	// name is the path below the module prefix.
	name                string
	statements, covered int
	uncovered           []lines
}

func (f file) percent() float64 {
	return 100 * float64(f.covered) / float64(f.statements)
}

// files adds up the blocks of each file that counts, in the order of their names.
// Files outside the module prefix are an error: a table that silently leaves code out
// would look better than it is.
func (p profile) files(module, root string, skip []string) ([]file, error) {
	var out []file
	for name, blocks := range p {
		inside, found := strings.CutPrefix(name, module+"/")
		if !found {
			return nil, fmt.Errorf("%s is not part of %s", name, module)
		}
		if isBelow(rowName(inside), skip) {
			continue
		}
		counts, err := isCounted(filepath.Join(root, filepath.FromSlash(inside)))
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", name, err)
		}
		if f := addUp(inside, blocks); counts && f.statements > 0 {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the profiles hold no statement to count")
	}
	slices.SortFunc(out, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// addUp joins uncovered blocks that only a closing brace or an empty line divides.
func addUp(name string, blocks map[span]block) file {
	f := file{name: name}
	reached := true
	for _, where := range slices.SortedFunc(maps.Keys(blocks), inOrder) {
		b := blocks[where]
		f.statements += b.statements
		if b.covered {
			f.covered += b.statements
		}
		if b.covered || b.statements == 0 {
			reached = reached || b.covered
			continue
		}
		last := len(f.uncovered) - 1
		if last >= 0 && (where.line <= f.uncovered[last].last || !reached && where.line <= f.uncovered[last].last+2) {
			f.uncovered[last].last = max(f.uncovered[last].last, where.endLine)
		} else {
			f.uncovered = append(f.uncovered, lines{where.line, where.endLine})
		}
		reached = false
	}
	return f
}

func inOrder(a, b span) int {
	return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column),
		cmp.Compare(a.endLine, b.endLine), cmp.Compare(a.endColumn, b.endColumn))
}

func isBelow(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return name == folder || strings.HasPrefix(name, folder+"/")
	})
}

// isCounted reports whether a source file is meant to be covered by tests:
// generated code and the entry point of a program are not.
func isCounted(name string) (bool, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		return false, err
	}
	entryPoint := parsed.Name.Name == "main" && filepath.Base(name) == "main.go"
	return !entryPoint && !ast.IsGenerated(parsed), nil
}

// worst are the files with the lowest percentages that are not covered whole. Of equal
// ones, the file with more left to cover is worse.
func worst(files []file) []file {
	left := slices.DeleteFunc(slices.Clone(files), func(f file) bool { return f.covered == f.statements })
	slices.SortStableFunc(left, func(a, b file) int {
		return cmp.Or(cmp.Compare(a.percent(), b.percent()), cmp.Compare(b.statements, a.statements))
	})
	return left[:min(shownWorst, len(left))]
}

// writeFiles prints the percentage of each file and the uncovered lines of the worst.
func writeFiles(out io.Writer, files []file) error {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(columns, "coverage\tcovered\tstatements\t file")
	for _, f := range files {
		fmt.Fprintf(columns, "%.1f %%\t%d\t%d\t %s\n", f.percent(), f.covered, f.statements, f.name)
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	left := worst(files)
	if len(left) > 0 {
		fmt.Fprintf(out, "\nLines that no test reached, in the %d files that are covered least:\n", len(left))
	}
	for _, f := range left {
		ranges := make([]string, len(f.uncovered))
		for i, l := range f.uncovered {
			ranges[i] = l.String()
		}
		fmt.Fprintf(out, "  %.1f %%  %s: %s\n", f.percent(), f.name, strings.Join(ranges, ", "))
	}
	_, err := fmt.Fprintln(out)
	return err
}
