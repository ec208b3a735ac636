package checker

import (
	"nexus.internal/chaos/internal/history"
)

// index is a history, sorted by what belongs together.
type index struct {
	run     history.Run
	records []history.Record
	jobs    map[string]*job
	// order are the ids of jobs as they came, so that reports do not change.
	order []string
	// byKey are the ids that were seen for an idempotency key.
	byKey map[string]map[string]bool
	// promised are the keys that were submitted, and whether a job was promised.
	promised map[string]bool
	// stale are the audited recoveries by event id.
	stale map[string]history.Event
	// streamed are the events a reader saw, audited those of the trail, by id.
	streamed, audited map[string]history.Event
	// differing are ids under which different events were seen.
	differing []string
}

// job is a job with what is known about it.
type job struct {
	row      history.Job
	attempts []history.Attempt
	audit    []history.Event
}

func indexOf(records []history.Record) *index {
	x := &index{
		records: records, jobs: map[string]*job{}, byKey: map[string]map[string]bool{}, promised: map[string]bool{},
		stale: map[string]history.Event{}, streamed: map[string]history.Event{}, audited: map[string]history.Event{},
	}
	for _, r := range records {
		switch {
		case r.Run != nil:
			x.run = *r.Run
		case r.Job != nil:
			x.jobs[r.Job.ID] = &job{row: *r.Job}
			x.order = append(x.order, r.Job.ID)
			x.saw(r.Job.Key, r.Job.ID)
		case r.Submit != nil:
			x.saw(r.Submit.Key, r.Submit.JobID)
			x.promised[r.Submit.Key] = x.promised[r.Submit.Key] || x.promises(r.Submit.Status)
		case r.Receipt != nil:
			x.promised[r.Receipt.Key] = x.promised[r.Receipt.Key] || !x.run.BrokerLost
		}
	}
	for _, r := range records {
		x.addToJob(r)
	}
	return x
}

// promises reports whether an answer promises a job. 202 says that the broker
// has the command, and no more.
func (x *index) promises(status int) bool {
	return status == ok || status == accepted && !x.run.BrokerLost
}

func (x *index) saw(key, id string) {
	if key == "" || id == "" {
		return
	}
	if x.byKey[key] == nil {
		x.byKey[key] = map[string]bool{}
	}
	x.byKey[key][id] = true
}

func (x *index) addToJob(r history.Record) {
	switch {
	case r.Attempt != nil:
		if j := x.jobs[r.Attempt.JobID]; j != nil {
			j.attempts = append(j.attempts, *r.Attempt)
		}
	case r.Event != nil:
		x.remember(x.streamed, *r.Event)
	case r.Audit != nil:
		x.remember(x.audited, *r.Audit)
		if r.Audit.Recovery != nil {
			x.stale[r.Audit.ID] = *r.Audit
		} else if j := x.jobs[r.Audit.JobID]; j != nil {
			j.audit = append(j.audit, *r.Audit)
		}
	}
}

func (x *index) remember(in map[string]history.Event, e history.Event) {
	if before, known := in[e.ID]; known && !same(before, e) {
		x.differing = append(x.differing, e.ID)
	}
	in[e.ID] = e
}

// same reports whether two events say the same.
func same(a, b history.Event) bool {
	if (a.Recovery == nil) != (b.Recovery == nil) || a.Recovery != nil && *a.Recovery != *b.Recovery {
		return false
	}
	a.Recovery, b.Recovery = nil, nil
	return a == b
}
