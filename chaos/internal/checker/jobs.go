package checker

import (
	"cmp"
	"maps"
	"slices"

	"nexus.internal/chaos/internal/history"
	"nexus.internal/libs/contract"
)

// next are the states a job may reach from one, as docs/state-machine.md draws
// them; a test holds the two together.
func next(from contract.Status) []contract.Status {
	switch from {
	case "":
		return []contract.Status{contract.StatusQueued}
	case contract.StatusQueued, contract.StatusRetryWait:
		return []contract.Status{contract.StatusRunning, contract.StatusCancelled}
	case contract.StatusRunning:
		return []contract.Status{contract.StatusSucceeded, contract.StatusRetryWait, contract.StatusFailed, contract.StatusCancelled}
	case contract.StatusFailed, contract.StatusCancelled:
		// Only when somebody asks for it, which no client here does.
		return []contract.Status{contract.StatusQueued}
	default:
		return nil
	}
}

// job checks one recorded job.
func (c *check) job(j *job) {
	if !j.row.Status.Finished() {
		c.violate(RuleEnds, j.row.ID, "it is still %s", j.row.Status)
	}
	c.life(j)
	c.attempts(j)
	if c.run.Orderly && j.row.Status == contract.StatusSucceeded && j.row.AttemptCount != 1 {
		c.violate(RuleFree, j.row.ID, "it took %d attempts", j.row.AttemptCount)
	}
}

// life follows a job through its events, version by version. Where the broker
// was lost some may be missing, and what they would have said is not checked.
func (c *check) life(j *job) {
	slices.SortFunc(j.audit, func(a, b history.Event) int { return cmp.Compare(a.Version, b.Version) })
	before, gap := history.Event{}, false
	for _, e := range j.audit {
		if e.Version == before.Version {
			c.violate(RuleEvents, j.row.ID, "version %d is in the trail twice", e.Version)
			continue
		}
		for v := before.Version + 1; v < e.Version; v++ {
			c.missing(j.row.ID, v)
			gap = true
		}
		if !gap {
			c.step(j.row, before, e)
		}
		if before.Status.Finished() {
			c.violate(RuleFinal, j.row.ID, "it was %s at version %d, and %s later", before.Status, before.Version, e.Status)
		}
		before, gap = e, false
	}
	for v := before.Version + 1; v <= j.row.Version; v++ {
		c.missing(j.row.ID, v)
		gap = true
	}
	switch {
	case gap:
	case before.Version > j.row.Version:
		c.violate(RuleEvents, j.row.ID, "the trail knows version %d, and the job has %d", before.Version, j.row.Version)
	case before.Status != j.row.Status || before.Attempt != j.row.AttemptCount:
		c.violate(RuleEvents, j.row.ID, "its last event says %s after attempt %d, and the job %s after %d",
			before.Status, before.Attempt, j.row.Status, j.row.AttemptCount)
	}
}

func (c *check) missing(id string, version int) {
	if c.run.BrokerLost {
		c.report.Tally.LostEvents++
		return
	}
	c.violate(RuleEvents, id, "the trail lacks version %d", version)
}

// step checks one state change.
func (c *check) step(row history.Job, before, after history.Event) {
	if !slices.Contains(next(before.Status), after.Status) {
		c.violate(RuleTransition, row.ID, "from %q to %q at version %d", before.Status, after.Status, after.Version)
		return
	}
	want := []int{before.Attempt}
	switch after.Status {
	case contract.StatusRunning:
		want = []int{before.Attempt + 1}
	case contract.StatusRetryWait:
		// A run that was given back costs nothing.
		want = append(want, before.Attempt-1)
	default:
	}
	if !slices.Contains(want, after.Attempt) || after.Attempt > row.MaxAttempts {
		c.violate(RuleAttempts, row.ID, "attempt %d of %d, %s, follows attempt %d, %s",
			after.Attempt, row.MaxAttempts, after.Status, before.Attempt, before.Status)
	}
}

// attempts checks the attempts that have ended: numbered from one without gaps,
// and with one success where the job succeeded, and
// each ended in the name of the worker that had claimed it.
func (c *check) attempts(j *job) {
	slices.SortFunc(j.attempts, func(a, b history.Attempt) int { return cmp.Compare(a.Version, b.Version) })
	claimed := map[int]string{}
	for _, e := range j.audit {
		if e.Status == contract.StatusRunning {
			claimed[e.Version] = e.Worker
		}
	}
	successes := 0
	for i, a := range j.attempts {
		if a.Number != i+1 {
			c.violate(RuleAttempts, j.row.ID, "the attempt that ended with version %d has number %d, and is the %d.", a.Version, a.Number, i+1)
		}
		if worker, known := claimed[a.Version-1]; known && worker != a.Worker {
			c.violate(RuleOnce, j.row.ID, "%s claimed the run that %s ended with version %d", worker, a.Worker, a.Version)
		}
		if a.Status == string(contract.StatusSucceeded) {
			successes++
		}
	}
	want := 0
	if j.row.Status == contract.StatusSucceeded {
		want = 1
	}
	if successes != want {
		c.violate(RuleOnce, j.row.ID, "it is %s with %d successful attempts", j.row.Status, successes)
	}
	if j.row.AttemptCount > j.row.MaxAttempts || j.row.Status.Finished() && len(j.attempts) != j.row.AttemptCount {
		c.violate(RuleAttempts, j.row.ID, "%d attempts are recorded and %d counted, of at most %d", len(j.attempts), j.row.AttemptCount, j.row.MaxAttempts)
	}
}

// strangers checks that stream and trail tell the same events, of jobs there are.
func (c *check) strangers() {
	for _, id := range slices.Compact(slices.Sorted(slices.Values(c.differing))) {
		c.violate(RuleEvents, id, "the same id was seen with different events")
	}
	for _, id := range slices.Sorted(maps.Keys(c.streamed)) {
		e := c.streamed[id]
		kept, audited := c.audited[id]
		switch {
		case c.jobs[e.JobID] == nil:
			c.violate(RuleEvents, id, "an event of a job that is not recorded")
		case audited && !same(e, kept):
			c.violate(RuleEvents, id, "the stream and the trail tell different events")
		case !audited && e.Recovery != nil && !c.run.BrokerLost:
			c.violate(RuleRecovery, id, "the trail lacks a recovery that was in the stream")
		}
	}
	if c.run.BrokerLost {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(c.audited)) {
		if _, seen := c.streamed[id]; !seen {
			c.violate(RuleEvents, id, "a reader of the stream never saw what the trail has")
		}
	}
}
