package report

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// The figures of a run stand between a line that begins so, which also says who
// writes them, and the end; everything else in the file is left as it is.
const (
	begin     = "<!-- figures: begin; written by "
	markClose = " -->\n"
	end       = "<!-- figures: end -->"
)

// ErrNoPlace says that a file has no place for figures.
var ErrNoPlace = errors.New("the lines between which the figures go are missing")

// Replace puts figures between the marks in a text.
func Replace(text, figures string) (string, error) {
	before, rest, begins := strings.Cut(text, begin)
	writer, rest, closes := strings.Cut(rest, markClose)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !closes || !ends {
		return "", ErrNoPlace
	}
	return before + begin + writer + markClose + "\n" + strings.TrimSpace(figures) + "\n\n" + end + after, nil
}

// Write puts figures into a file that has a place for them.
func Write(path, figures string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the results: %w", err)
	}
	replaced, err := Replace(string(text), figures)
	if err != nil {
		return fmt.Errorf("write figures to %s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(replaced), 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}
