package worker

import (
	"math"
	"time"

	"nexus.internal/libs/contract"
)

// progressEvery is the least time between two heartbeats that carry progress.
const progressEvery = time.Second

// Progress says how far the run has come: percent is 0 to 100, message is for
// people and is cut to contract.MaxProgressMessage bytes. It never blocks. Only
// the newest report of a job is sent, at most once a second, and none after the
// run has ended: a report is news, not a record.
func (j Job) Progress(percent float64, message string) {
	if j.report != nil {
		j.report(percent, message)
	}
}

// progressOf makes a report that any jobs service takes.
func progressOf(ref contract.LeaseRef, percent float64, message string) *contract.Progress {
	if math.IsNaN(percent) {
		percent = 0
	}
	return &contract.Progress{
		JobID: ref.JobID, LeaseToken: ref.LeaseToken,
		Percent: min(max(percent, 0), 100), Message: contract.Cut(storable(message), contract.MaxProgressMessage),
	}
}

// progress keeps the newest report of a run for the next heartbeat.
func (w *Worker) progress(i *item, percent float64, message string) {
	i.progress.Store(progressOf(i.ref(), percent, message))
	w.tell()
}

// tell has a heartbeat with the news sent soon.
func (w *Worker) tell() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}
