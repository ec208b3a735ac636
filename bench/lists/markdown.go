package main

import (
	"fmt"
	"strings"
	"time"

	"nexus.internal/bench/internal/report"
)

// planWidth is how much of a line of a plan is shown.
const planWidth = 180

// disturbedFrom is the share of the machine from which other processes bend what
// is measured.
const disturbedFrom = 0.12

func markdown(run report.Run, rows int, others float64, findings []finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`, %s, %s.\n\n%s.\n\n", run.Command, run.Started.UTC().Format("2006-01-02 15:04 MST"), run.Took.Round(time.Second), report.Where(run))
	missed := 0
	for _, f := range findings {
		if f.missed() {
			missed++
		}
	}
	fmt.Fprintf(&b, "%d jobs; %d of %d lists met the goal: p99 of at most %s.\n\n", rows, len(findings)-missed, len(findings), goal)
	if others >= disturbedFrom {
		fmt.Fprintf(&b, "**Disturbed: other processes used %.0f %% of the machine. p50 is nearest to the truth.**\n\n", 100*others)
	}
	b.WriteString("| list | rows | p50 ms | p99 ms | worst ms | goal met |\n|---|---:|---:|---:|---:|---|\n")
	for _, f := range findings {
		met := "yes"
		if f.missed() {
			met = "**no**"
		}
		if f.failed != nil {
			fmt.Fprintf(&b, "| %s | – | – | – | – | **no**: not answered in time |\n", f.name)
			continue
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s |\n", f.name, f.rows, millis(f.p50), millis(f.p99), millis(f.worst), met)
	}
	b.WriteString("\n### Plans\n")
	for _, f := range findings {
		if f.failed != nil {
			continue
		}
		fmt.Fprintf(&b, "\n<details><summary>%s: <code>GET /api/v1/jobs%s</code></summary>\n", f.name, f.describe())
		for _, p := range f.plans {
			fmt.Fprintf(&b, "\n```\n%s```\n", p.Short(planWidth))
		}
		b.WriteString("\n</details>\n")
	}
	return b.String()
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
