package suite

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/resource"
)

// Options say how long to measure.
type Options struct {
	// Phase is the length of a timed phase, Together that of one in which jobs
	// are submitted and run at once.
	Phase, Together time.Duration
	// Jobs are drained at once.
	Jobs int
	// Finished are put into the tables before some things are measured again; none
	// measures nothing again.
	Finished int
	// Only are the steps to measure; none means all.
	Only []string
	// IdleJobs are run one at a time for each of the latencies of an idle system.
	IdleJobs int
}

// notes takes down figures.
type notes struct {
	opts  Options
	sheet *figure.Sheet
	// meter charges the servers; without any, only rates are known.
	meter resource.Meter
	// progress is told each rate as it is known.
	progress io.Writer

	unconfirmed, refused atomic.Int64
}

// measured runs a phase and takes down its rate and what it cost.
func (n *notes) measured(name string, phase func() (pace.Result, error)) error {
	before := n.meter.Read()
	result, err := phase()
	used := n.meter.Read().Since(before)
	if err != nil {
		return fmt.Errorf("measure %s: %w", name, err)
	}
	if len(n.meter.Servers) == 0 {
		used = resource.Usage{}
	}
	n.sheet.PutRate(name, result, used)
	fmt.Fprintf(n.progress, "  %-28s %10.0f /s\n", name, result.PerSecond())
	return nil
}

// settleCounts takes down how many submits were not confirmed or refused since
// the last time.
func (n *notes) settleCounts() {
	n.sheet.Put(figure.Unconfirmed, float64(n.unconfirmed.Swap(0)))
	n.sheet.Put(figure.Refused, float64(n.refused.Swap(0)))
}
