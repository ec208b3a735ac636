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
		switch d.Kind {
		case figure.Rate:
			sideBySide(&b, d.Title+", a second", d.Name, true, one, other)
			sideBySide(&b, d.Title+", processor time of nexus for each in µs", figure.CPUPlatform(d.Name), false, one, other)
		case figure.Latency:
			sideBySide(&b, d.Title+", median in ms", figure.P50(d.Name), false, one, other)
		default:
		}
	}
	return b.String()
}

// sideBySide writes the row of a figure that both have. more says that more of it is
// better.
func sideBySide(b *strings.Builder, title, name string, more bool, one, other *figure.Sheet) {
	a, okA := one.Median(name)
	c, okC := other.Median(name)
	if !okA || !okC || a == 0 || c == 0 {
		return
	}
	better := a/c - 1
	if !more {
		better = c/a - 1
	}
	fmt.Fprintf(b, "| %s | %.4g | %.4g | %+.1f %% |\n", title, a, c, 100*better)
}
