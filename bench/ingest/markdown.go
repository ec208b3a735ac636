package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nexus.internal/bench/internal/report"
)

const (
	// goal is how many atoms a second there should be.
	goal = 100_000
	// disturbedFrom is the share of the machine from which other processes bend
	// what is measured.
	disturbedFrom = 0.12
)

func (m *measurement) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`, %s, %s.\n\n%s.\n\n", m.run.Command, m.run.Started.UTC().Format("2006-01-02 15:04 MST"), m.run.Took.Round(time.Second), report.Where(m.run))
	if m.others >= disturbedFrom {
		fmt.Fprintf(&b, "**Disturbed: other processes used %.0f %% of the machine.**\n\n", 100*m.others)
	}
	rate := perSecond(m.large.AtomsCreated, m.large.took)
	met := "met"
	if rate < goal {
		met = "**missed**"
	}
	fmt.Fprintf(&b, "The goal of %d atoms a second is %s.\n\n", goal, met)
	b.WriteString("| what | files | atoms | seconds | atoms/s |\n|---|---:|---:|---:|---:|\n")
	row := func(what string, files int, atoms int64, took time.Duration) {
		fmt.Fprintf(&b, "| %s | %d | %d | %.2f | %.0f |\n", what, files, atoms, took.Seconds(), perSecond(atoms, took))
	}
	row("texts of 4 MB, over REST", m.large.DocumentsIngested, m.large.AtomsCreated, m.large.took)
	row("floor: COPY of the same atoms in runs, as they are kept", 0, m.floors.atoms, m.floors.runs)
	row("floor: COPY of the same atoms, a row for each", 0, m.floors.atoms, m.floors.plain)
	row(fmt.Sprintf("%d mixed files of %.1f MB, over REST", m.opts.files, float64(m.bytes)/(1<<20)), m.first.DocumentsIngested, m.first.AtomsCreated, m.first.took)
	row("the same files again, unchanged", m.again.DocumentsUnchanged, m.again.AtomsCreated, m.again.took)
	b.WriteString("\nWhat became of the mixed files:\n\n| files | status |\n|---:|---|\n")
	for _, reason := range slices.SortedFunc(maps.Keys(m.reasons), func(a, c string) int { return m.reasons[c] - m.reasons[a] }) {
		fmt.Fprintf(&b, "| %d | %s |\n", m.reasons[reason], reason)
	}
	return b.String()
}

func perSecond(n int64, took time.Duration) float64 { return float64(n) / took.Seconds() }
