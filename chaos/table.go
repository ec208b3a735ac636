package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"nexus.internal/chaos/internal/checker"
	"nexus.internal/chaos/internal/scenario"
)

// shown bounds the violations that are printed for each rule.
const shown = 5

func printTable(w io.Writer, outcomes []scenario.Outcome) {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "scenario\tseconds\taccepted\tfinished\tretried\trecovered\trefusals\tlost events\tviolations\t")
	for _, o := range outcomes {
		violations := fmt.Sprint(len(o.Report.Violations))
		if o.Err != nil {
			violations = "not played"
		}
		y := o.Report.Tally
		fmt.Fprintf(t, "%s\t%.0f\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n",
			o.Scenario, o.Took.Seconds(), y.Accepted, y.Finished, y.Retried, y.Recovered, y.Refusals, y.LostEvents, violations)
	}
	// What it is written to fails for whatever comes next as well.
	_ = t.Flush()
	fmt.Fprintln(w)
}

// explain says what is wrong, and how to play it again.
func explain(w io.Writer, opts options, dir string, outcomes []scenario.Outcome) (failed bool) {
	for _, o := range outcomes {
		for _, name := range slices.Sorted(maps.Keys(o.EndedByItself)) {
			fmt.Fprintf(w, "%s: %s ended by itself %d time(s) and was started again\n", o.Scenario, name, o.EndedByItself[name])
		}
		if !o.Failed() {
			continue
		}
		failed = true
		if o.Err != nil {
			fmt.Fprintf(w, "%s: %v\n", o.Scenario, o.Err)
		}
		if s := o.Settled; s.Unrecorded+s.Unfinished+s.Unsent+s.Unaudited > 0 {
			fmt.Fprintf(w, "%s: after %.0f s %d promised jobs were not recorded, %d unfinished, %d outbox rows unsent, %d events not in the trail\n",
				o.Scenario, s.Seconds, s.Unrecorded, s.Unfinished, s.Unsent, s.Unaudited)
		}
		printViolations(w, o.Report.Violations)
		fmt.Fprintf(w, "%s: its history is %s; again: %s\n\n", o.Scenario, scenario.HistoryPath(filepath.Join(dir, o.Scenario)), opts.again(o.Scenario))
	}
	return failed
}

func printViolations(w io.Writer, violations []checker.Violation) {
	count := map[checker.Rule]int{}
	for _, v := range violations {
		if count[v.Rule]++; count[v.Rule] <= shown {
			fmt.Fprintln(w, "  "+v.String())
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(count)) {
		if more := count[rule] - shown; more > 0 {
			fmt.Fprintf(w, "  %s: and %d more\n", rule, more)
		}
	}
}
