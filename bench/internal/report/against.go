package report

import (
	"fmt"
	"strings"

	"nexus.internal/bench/internal/figure"
)

// Against sets the medians of two systems that were measured in turn side by side.
// Above 0 % the first one did better.
func Against(settings []string, one, other *figure.Sheet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nIn turn with a nexus that has `%s`:\n\n| figure | without | with | without is better by |\n|---|---|---|---|\n", strings.Join(settings, " "))
	for _, d := range figure.Catalogue() {
		name, title := d.Name, d.Title
		switch d.Kind {
		case figure.Rate:
			title += ", a second"
		case figure.Latency:
			name, title = figure.P50(name), title+", median in ms"
		default:
			continue
		}
		a, okA := one.Median(name)
		c, okC := other.Median(name)
		if !okA || !okC || a == 0 || c == 0 {
			continue
		}
		better := a/c - 1
		if d.Kind == figure.Latency {
			better = c/a - 1
		}
		fmt.Fprintf(&b, "| %s | %.4g | %.4g | %+.1f %% |\n", title, a, c, 100*better)
	}
	return b.String()
}
