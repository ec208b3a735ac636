package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/resource"
)

// Run says what was run, where and when.
type Run struct {
	// Command is how to run it again.
	Command string
	Started time.Time
	Took    time.Duration
	Rounds  int
	Machine resource.Machine
	// Postgres and NATS are the versions of the servers, River that of the
	// library; "" where they are not known or not part of the run.
	Postgres, NATS, River string
	// Preliminary runs are too short, or too disturbed, to count.
	Preliminary bool
}

// Markdown renders a run.
func Markdown(run Run, sheet *figure.Sheet) string {
	var b strings.Builder
	b.WriteString(head(run))
	b.WriteString(disturbance(sheet))
	b.WriteString(goalTable(sheet))
	for _, g := range []figure.Group{figure.Floors, figure.Nexus, figure.River, figure.Machine} {
		b.WriteString(groupTables(g, sheet))
	}
	return b.String()
}

func head(run Run) string {
	var b strings.Builder
	if run.Preliminary {
		b.WriteString("**Preliminary: a quick run, too short to count.**\n\n")
	}
	fmt.Fprintf(&b, "`%s`, %s, %s, %s.\n\n", run.Command, run.Started.UTC().Format("2006-01-02 15:04 MST"), plural(run.Rounds, "round"), run.Took.Round(time.Second))
	fmt.Fprintf(&b, "%s.\n\n", Where(run))
	return b.String()
}

// Where says what a run was made on: the machine and the versions.
func Where(run Run) string {
	machine := []string{plural(run.Machine.Cores, "core")}
	if run.Machine.Model != "" {
		machine[0] += " (" + run.Machine.Model + ")"
	}
	if run.Machine.Memory > 0 {
		machine = append(machine, fmt.Sprintf("%d GiB", run.Machine.Memory>>30))
	}
	machine = append(machine, run.Machine.System)
	if run.Machine.FileSystem != "" {
		machine = append(machine, "data on "+run.Machine.FileSystem)
	}
	machine = append(machine, run.Machine.Go)
	for _, part := range []struct{ name, version string }{{"PostgreSQL", run.Postgres}, {"nats-server", run.NATS}, {"River", run.River}} {
		if part.version != "" {
			machine = append(machine, part.name+" "+part.version)
		}
	}
	return strings.Join(machine, ", ")
}

// disturbedFrom is the share of the machine from which other processes make
// rates and latencies worthless.
const disturbedFrom = 0.12

// disturbance warns of a machine that did other things as well.
func disturbance(s *figure.Sheet) string {
	share, ok := s.Median(figure.OtherProcesses)
	if !ok || share < disturbedFrom {
		return ""
	}
	return fmt.Sprintf("**Disturbed: other processes used %s of the machine. Rates and latencies do not count; processor times and bytes do.**\n\n", show(figure.Share, share))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func goalTable(sheet *figure.Sheet) string {
	var b strings.Builder
	b.WriteString("### Goals\n\n| figure | Nexus | River, or without | ratio | goal | met |\n|---|---:|---:|---:|---:|---|\n")
	for _, g := range Goals() {
		o := g.judge(sheet)
		sign := "≥"
		if g.AtMost {
			sign = "≤"
		}
		row := []string{g.Title, "–", "–", "–", sign + " " + show(g.Kind, g.Bound), "not measured"}
		if g.Rivals != "" {
			row[4] = fmt.Sprintf("%s %g ×", sign, g.Bound)
		}
		if o.found {
			row[1] = show(g.Kind, o.ours)
		}
		if o.compared {
			row[5] = verdict(g, o)
			if g.Rivals != "" {
				row[2], row[3] = show(g.Kind, o.rivals), fmt.Sprintf("%.2f ×", o.ratio)
			}
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	b.WriteString("\n")
	return b.String()
}

// verdict says whether a goal was met, and by how much it was missed.
func verdict(g Goal, o outcome) string {
	if o.met {
		return "yes"
	}
	compared := o.ours
	if g.Rivals != "" {
		compared = o.ratio
	}
	if g.Bound == 0 {
		return "**no**"
	}
	return fmt.Sprintf("**no**, by %.0f %%", 100*abs(compared-g.Bound)/g.Bound)
}

func abs(v float64) float64 { return max(v, -v) }

// groupTables are the figures of a group, one table for each kind of row. Of
// figures that were not measured there is no row.
func groupTables(g figure.Group, sheet *figure.Sheet) string {
	var rates, latencies, others []string
	for _, d := range figure.Catalogue() {
		if d.Group != g {
			continue
		}
		switch d.Kind {
		case figure.Rate:
			rates = appendRow(rates, rateRow(d, sheet))
		case figure.Latency:
			latencies = appendRow(latencies, latencyRow(d, sheet))
		default:
			others = appendRow(others, otherRow(d, sheet))
		}
	}
	var b strings.Builder
	for _, t := range []struct {
		head string
		rows []string
	}{
		{"| per second | median | least – most | CPU µs each: nexus | Postgres | load program |\n|---|---:|---:|---:|---:|---:|\n", rates},
		{"| milliseconds | p50 | least – most | p99 | least – most |\n|---|---:|---:|---:|---:|\n", latencies},
		{"| | median | least – most |\n|---|---:|---:|\n", others},
	} {
		if len(t.rows) > 0 {
			b.WriteString(t.head + strings.Join(t.rows, "") + "\n")
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "### " + string(g) + "\n\n" + b.String()
}

func appendRow(rows []string, row string) []string {
	if row == "" {
		return rows
	}
	return append(rows, row)
}

func rateRow(d figure.Description, s *figure.Sheet) string {
	if _, ok := s.Median(d.Name); !ok {
		return ""
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", d.Title, median(s, d.Kind, d.Name), spread(s, d.Kind, d.Name),
		median(s, figure.Count, figure.CPUPlatform(d.Name)), median(s, figure.Count, figure.CPUPostgres(d.Name)), median(s, figure.Count, figure.CPUClient(d.Name)))
}

func latencyRow(d figure.Description, s *figure.Sheet) string {
	p50, p99 := figure.P50(d.Name), figure.P99(d.Name)
	if _, ok := s.Median(p50); !ok {
		return ""
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", d.Title, median(s, d.Kind, p50), spread(s, d.Kind, p50), median(s, d.Kind, p99), spread(s, d.Kind, p99))
}

func otherRow(d figure.Description, s *figure.Sheet) string {
	if _, ok := s.Median(d.Name); !ok {
		return ""
	}
	return fmt.Sprintf("| %s | %s | %s |\n", d.Title, median(s, d.Kind, d.Name), spread(s, d.Kind, d.Name))
}

func median(s *figure.Sheet, kind figure.Kind, name string) string {
	v, ok := s.Median(name)
	if !ok {
		return "–"
	}
	return show(kind, v)
}

func spread(s *figure.Sheet, kind figure.Kind, name string) string {
	least, most := s.Range(name)
	if least == most {
		return ""
	}
	return show(kind, least) + " – " + show(kind, most)
}

// show renders a value as its kind is read.
func show(kind figure.Kind, v float64) string {
	switch kind {
	case figure.Latency:
		return fmt.Sprintf("%.2f ms", v)
	case figure.Bytes:
		return grouped(v) + " B"
	case figure.Seconds:
		return fmt.Sprintf("%.1f s", v)
	case figure.Mebibytes:
		return fmt.Sprintf("%.0f MiB", v)
	case figure.Share:
		return fmt.Sprintf("%.0f %%", 100*v)
	default:
		return grouped(v)
	}
}

// grouped writes a whole number with a comma between thousands.
func grouped(v float64) string {
	digits := strconv.FormatFloat(abs(v), 'f', 0, 64)
	var b strings.Builder
	if v < 0 && digits != "0" {
		b.WriteByte('-')
	}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
