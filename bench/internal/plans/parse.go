package plans

import (
	"regexp"
	"strings"
)

// Plan is how a statement was run.
type Plan struct {
	// Statement is what was sent, on one line.
	Statement string
	// Nodes are the lines of the plan.
	Nodes []string
}

// parse finds the plans in a log. An entry's further lines begin with a tab; the
// first that has a cost is the plan's.
func parse(log string) []Plan {
	var found []Plan
	var entry []string
	inPlan := false
	flush := func() {
		if inPlan {
			found = append(found, planOf(entry))
		}
		entry, inPlan = nil, false
	}
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\n")
		if rest, ok := strings.CutPrefix(line, "\t"); ok {
			entry = append(entry, rest)
			continue
		}
		flush()
		inPlan = strings.HasSuffix(line, " plan:")
	}
	flush()
	return found
}

func planOf(entry []string) Plan {
	for i, line := range entry {
		if strings.Contains(line, "(cost=") {
			statement := strings.Join(strings.Fields(strings.Join(entry[:i], " ")), " ")
			return Plan{Statement: strings.TrimPrefix(statement, "Query Text: "), Nodes: entry[i:]}
		}
	}
	return Plan{}
}

// readers are the plans of statements that read jobs and change nothing: the
// jobs service does other things meanwhile, each of which locks or changes rows.
func readers(all []Plan) []Plan {
	changes := regexp.MustCompile(`\b(INSERT|UPDATE|DELETE)\b`)
	reads := regexp.MustCompile(`jobs\.(jobs|dispatches|claims)\b`)
	// Asked for over and over by the scheduler.
	nextDue := "min(due_at)"
	var found []Plan
	for _, p := range all {
		if reads.MatchString(p.Statement) && !changes.MatchString(p.Statement) && !strings.Contains(p.Statement, nextDue) {
			found = append(found, p)
		}
	}
	return found
}

// Short is the plan without estimates, which matter to the planner only, with
// lines of at most width characters.
func (p Plan) Short(width int) string {
	estimate := regexp.MustCompile(`\(cost=\S+ rows=(\d+) width=\d+\) \(actual time=[\d.]+\.\.([\d.]+) rows=(\d+) loops=(\d+)\)`)
	var b strings.Builder
	for _, line := range p.Nodes {
		line = estimate.ReplaceAllString(line, "(rows: $3 of about $1, loops: $4, until $2 ms)")
		if cut := []rune(line); len(cut) > width {
			line = string(cut[:width-1]) + "…"
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
