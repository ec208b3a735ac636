package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// span is where a block of statements begins and ends.
type span struct{ line, column, endLine, endColumn int }

// parseSpan reads "line.column,line.column".
func parseSpan(text string) (span, error) {
	start, end, both := strings.Cut(text, ",")
	var s span
	for _, part := range []struct {
		text         string
		line, column *int
	}{{start, &s.line, &s.column}, {end, &s.endLine, &s.endColumn}} {
		line, column, _ := strings.Cut(part.text, ".")
		var errs [2]error
		*part.line, errs[0] = strconv.Atoi(line)
		*part.column, errs[1] = strconv.Atoi(column)
		if errors.Join(errs[:]...) != nil {
			both = false
		}
	}
	if !both || s.line < 1 || s.endLine < s.line {
		return span{}, fmt.Errorf("no position: %q", text)
	}
	return s, nil
}

// block is a run of statements that are reached together.
type block struct {
	statements int
	covered    bool
}

// profile holds the blocks of each file, by their position in it.
type profile map[string]map[span]block

func (p profile) addFile(name string) (err error) {
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("open profile: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := p.add(file); err != nil {
		return fmt.Errorf("read profile %s: %w", name, err)
	}
	return nil
}

// add merges a text profile. Its first line names the counter mode; each other
// line is "file:position statements count".
func (p profile) add(text io.Reader) error {
	lines := bufio.NewScanner(text)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "mode: ") {
		return errors.Join(errors.New("no mode line"), lines.Err())
	}
	for lines.Scan() {
		if err := p.addLine(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (p profile) addLine(line string) error {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return fmt.Errorf("line %q: want 3 fields", line)
	}
	file, position, found := strings.Cut(fields[0], ":")
	if !found {
		return fmt.Errorf("line %q: no position", line)
	}
	where, err := parseSpan(position)
	if err != nil {
		return fmt.Errorf("line %q: %w", line, err)
	}
	statements, err := strconv.Atoi(fields[1])
	if err != nil {
		return fmt.Errorf("line %q: statements: %w", line, err)
	}
	count, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil {
		return fmt.Errorf("line %q: count: %w", line, err)
	}

	blocks := p[file]
	if blocks == nil {
		blocks = map[span]block{}
		p[strings.Clone(file)] = blocks
	}
	known, seen := blocks[where]
	if seen && known.statements != statements {
		return fmt.Errorf("line %q: %d statements here, %d in another profile: they are of different sources",
			line, statements, known.statements)
	}
	blocks[where] = block{statements: statements, covered: known.covered || count > 0}
	return nil
}
