package checker_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/chaos/internal/checker"
	"nexus.internal/chaos/internal/history"
	"nexus.internal/libs/contract"
)

// life writes the records of one job: its submit, its events in stream and
// trail, its row and its attempts.
type life struct {
	records []history.Record
	row     history.Job
}

func job(id string) *life {
	l := &life{row: history.Job{ID: id, Key: "key-" + id, JobType: "noop", MaxAttempts: 3}}
	return l.add(history.Record{Submit: &history.Submit{Key: l.row.Key, Answer: history.Answer{Status: 200, JobID: id, JobStatus: contract.StatusQueued}}}).
		to(contract.StatusQueued)
}

func (l *life) add(records ...history.Record) *life {
	l.records = append(l.records, records...)
	return l
}

// to moves the job to a state and tells it.
func (l *life) to(status contract.Status) *life {
	before := l.row.Status
	l.row.Status = status
	l.row.Version++
	if status == contract.StatusRunning {
		l.row.AttemptCount++
	}
	e := history.Event{
		ID: contract.JobEventID(l.row.ID, l.row.Version), JobID: l.row.ID, Status: status, Version: l.row.Version, Attempt: l.row.AttemptCount, Worker: "w1",
	}
	again := e
	l.add(history.Record{Event: &e}, history.Record{Audit: &again})
	if before != contract.StatusRunning {
		return l
	}
	how := "failed"
	if status == contract.StatusSucceeded || status == contract.StatusCancelled {
		how = string(status)
	}
	return l.add(history.Record{Attempt: &history.Attempt{JobID: l.row.ID, Version: l.row.Version, Number: l.row.AttemptCount, Status: how, Worker: "w1"}})
}

// taken ends the run because the worker went silent.
func (l *life) taken(from, by string) *life {
	l.to(contract.StatusRetryWait)
	l.records[len(l.records)-1].Attempt.ErrorText = "the worker went silent and its lease ran out"
	l.records[len(l.records)-1].Attempt.Worker = from
	stale := history.Event{
		ID: contract.JobEventID(l.row.ID, l.row.Version) + "/" + contract.WhatStaleLease, JobID: l.row.ID, Version: l.row.Version,
		Recovery: &contract.StaleLease{JobID: l.row.ID, OriginalLeaseOwner: from, RecoveringWorker: by, NewStatus: contract.StatusRetryWait},
	}
	again := stale
	return l.add(history.Record{Event: &stale}, history.Record{Audit: &again})
}

// released gives the run back at no cost.
func (l *life) released() *life {
	l.row.AttemptCount--
	l.to(contract.StatusRetryWait)
	l.records = l.records[:len(l.records)-1]
	return l
}

func (l *life) done() *life {
	return l.to(contract.StatusRunning).to(contract.StatusSucceeded)
}

func (l *life) read(status contract.Status) *life {
	return l.add(history.Record{Read: &history.Answer{Status: 200, JobID: l.row.ID, JobStatus: status}})
}

// all are the records of the job, with its row.
func (l *life) all() []history.Record {
	row := l.row
	return append(slices.Clone(l.records), history.Record{Job: &row})
}

func run(r history.Run, parts ...[]history.Record) []history.Record {
	return append([]history.Record{{Run: &r}}, slices.Concat(parts...)...)
}

func TestGoodHistories(t *testing.T) {
	t.Parallel()
	released := job("released").to(contract.StatusRunning).released().done().all()
	for name, records := range map[string][]history.Record{
		"nothing":   nil,
		"success":   job("a").done().all(),
		"released":  released,
		"cancelled": job("a").to(contract.StatusCancelled).all(),
		"stopped":   job("a").to(contract.StatusRunning).to(contract.StatusCancelled).all(),
		"failed":    job("a").to(contract.StatusRunning).to(contract.StatusRetryWait).to(contract.StatusRunning).to(contract.StatusFailed).all(),
		"recovered": job("a").to(contract.StatusRunning).taken("w1", "w2").done().all(),
		"frozen": append(job("a").to(contract.StatusRunning).taken("w1", "w2").done().all(),
			history.Record{Disturbance: &history.Disturbance{What: "freeze", Target: "w1", Held: []string{"a"}}}),
		"read": job("a").read(contract.StatusQueued).done().read(contract.StatusSucceeded).read(contract.StatusSucceeded).all(),
		"refused and tried again": append([]history.Record{
			{Submit: &history.Submit{Key: "key-a", Answer: history.Answer{Error: "connection refused"}}},
			{Submit: &history.Submit{Key: "key-a", Answer: history.Answer{Status: 503, Code: "unavailable", RetryAfter: "2"}}},
			{Submit: &history.Submit{Key: "key-a", Answer: history.Answer{Status: 429, RetryAfter: "1"}}},
		}, job("a").done().all()...),
		"unknown outcome of a single try": {{Submit: &history.Submit{Key: "k", Answer: history.Answer{Status: 503, RetryAfter: "2"}}}},
		"receipt":                         append([]history.Record{{Receipt: &history.Receipt{Key: "key-a"}}}, job("a").done().all()...),
	} {
		report := checker.Check(run(history.Run{}, records))
		require.Empty(t, report.Violations, name)
	}
	require.Empty(t, checker.Check(run(history.Run{Orderly: true}, released)).Violations)
}

func TestALostBrokerExcusesWhatOnlyItHad(t *testing.T) {
	t.Parallel()
	unread := slices.DeleteFunc(job("a").done().all(), func(r history.Record) bool {
		return r.Audit != nil && r.Audit.Version == 2 || r.Event != nil
	})
	records := slices.Concat(unread, []history.Record{
		{Submit: &history.Submit{Key: "gone", Answer: history.Answer{Status: 202, JobID: "b", JobStatus: contract.StatusAccepted}}},
		{Receipt: &history.Receipt{Key: "gone too"}},
	})

	report := checker.Check(run(history.Run{BrokerLost: true}, records))
	require.Empty(t, report.Violations)
	require.Equal(t, 1, report.Tally.LostEvents)

	report = checker.Check(run(history.Run{}, records))
	require.Len(t, report.Violations, 5, "%v", report.Violations)

	records = append(records, history.Record{Submit: &history.Submit{Key: "promised", Answer: history.Answer{Status: 200, JobID: "c"}}})
	report = checker.Check(run(history.Run{BrokerLost: true}, records))
	require.Len(t, report.Violations, 1)
	require.Equal(t, checker.RuleRecorded, report.Violations[0].Rule, "what Postgres had may not be gone")
}

// edit returns the records with those that match changed.
func edit(records []history.Record, change func(r *history.Record)) []history.Record {
	for i := range records {
		change(&records[i])
	}
	return records
}

func without(records []history.Record, match func(history.Record) bool) []history.Record {
	return slices.DeleteFunc(records, match)
}

func TestBadHistories(t *testing.T) {
	t.Parallel()
	tested := map[checker.Rule]bool{}
	answer := func(a history.Answer) []history.Record {
		return []history.Record{{Submit: &history.Submit{Key: "k", Answer: a}}}
	}
	event := func(e history.Event) history.Record { return history.Record{Event: &e} }
	for name, tc := range map[string]struct {
		rule    checker.Rule
		records []history.Record
		orderly bool
	}{
		"a lost job":              {rule: checker.RuleRecorded, records: answer(history.Answer{Status: 200, JobID: "a"})},
		"a lost accepted job":     {rule: checker.RuleRecorded, records: answer(history.Answer{Status: 202, JobID: "a"})},
		"a lost message":          {rule: checker.RuleRecorded, records: []history.Record{{Receipt: &history.Receipt{Key: "k"}}}},
		"a job that never ends":   {rule: checker.RuleEnds, records: job("a").to(contract.StatusRunning).all()},
		"a job nobody dispatched": {rule: checker.RuleEnds, records: job("a").all()},
		"a client without answer": {rule: checker.RuleAnswered, records: []history.Record{{GaveUp: &history.GaveUp{Key: "k", Doing: "submit"}}}},
		"two ids told": {rule: checker.RuleOneKey, records: append(job("a").done().all(),
			history.Record{Submit: &history.Submit{Key: "key-a", Answer: history.Answer{Status: 200, JobID: "b"}}})},
		"two jobs recorded": {rule: checker.RuleOneKey, records: append(job("a").done().all(),
			edit(job("b").done().all(), func(r *history.Record) {
				if r.Job != nil {
					r.Job.Key = "key-a"
				}
				if r.Submit != nil {
					r.Submit = &history.Submit{Key: "x"}
				}
			})...)},
		"a server error":           {rule: checker.RuleRetryable, records: answer(history.Answer{Status: 500, Code: "internal"})},
		"a refusal for good":       {rule: checker.RuleRetryable, records: answer(history.Answer{Status: 401, Code: "unauthorized"})},
		"no word when":             {rule: checker.RuleRetryable, records: answer(history.Answer{Status: 503})},
		"a message refused":        {rule: checker.RuleRetryable, records: []history.Record{{Rejection: &history.Rejection{Key: "k"}}}},
		"a cancel refused":         {rule: checker.RuleRetryable, records: []history.Record{{Cancel: &history.Answer{Status: 404}}}},
		"not visible":              {rule: checker.RuleVisible, records: append(job("a").done().all(), history.Record{Read: &history.Answer{Status: 404, JobID: "a"}})},
		"an impossible transition": {rule: checker.RuleTransition, records: job("a").to(contract.StatusSucceeded).all()},
		"started as running":       {rule: checker.RuleTransition, records: edit(job("a").done().all(), firstRuns)},
		"a change after the end":   {rule: checker.RuleFinal, records: job("a").done().to(contract.StatusFailed).all()},
		"cancelled, then done":     {rule: checker.RuleFinal, records: job("a").to(contract.StatusRunning).to(contract.StatusCancelled).to(contract.StatusSucceeded).all()},
		"a cancel that did nothing": {rule: checker.RuleFinal, records: append(job("a").done().all(),
			history.Record{Cancel: &history.Answer{Status: 200, JobID: "a", JobStatus: contract.StatusRunning}})},
		"cancelled and succeeded": {rule: checker.RuleFinal, records: append(job("a").done().all(),
			history.Record{Cancel: &history.Answer{Status: 200, JobID: "a", JobStatus: contract.StatusCancelled}})},
		"read back otherwise": {rule: checker.RuleFinal, records: job("a").done().read(contract.StatusSucceeded).read(contract.StatusRunning).all()},
		"an event too few in the trail": {rule: checker.RuleEvents, records: without(job("a").done().all(), func(r history.Record) bool {
			return r.Audit != nil && r.Audit.Version == 2
		})},
		"the last event too few in the trail": {rule: checker.RuleEvents, records: without(job("a").done().all(), func(r history.Record) bool {
			return r.Audit != nil && r.Audit.Version == 3
		})},
		"an event too few in the stream": {rule: checker.RuleEvents, records: without(job("a").done().all(), func(r history.Record) bool {
			return r.Event != nil && r.Event.Version == 2
		})},
		"an event too many": {rule: checker.RuleEvents, records: edit(job("a").done().all(), func(r *history.Record) {
			if r.Job != nil {
				r.Job.Version = 2
			}
		})},
		"an event of no job": {rule: checker.RuleEvents, records: []history.Record{event(history.Event{ID: "x/1", JobID: "x", Version: 1, Status: contract.StatusQueued})}},
		"one id, two events": {rule: checker.RuleEvents, records: append(job("a").done().all(), event(history.Event{ID: "a/3", JobID: "a", Version: 3, Status: contract.StatusFailed, Attempt: 1}))},
		"a trail that differs": {rule: checker.RuleEvents, records: edit(job("a").done().all(), func(r *history.Record) {
			if r.Event != nil && r.Event.Version == 3 {
				r.Event.Status = contract.StatusFailed
			}
		})},
		"a job that differs from its events": {rule: checker.RuleEvents, records: edit(job("a").done().all(), func(r *history.Record) {
			if r.Job != nil {
				r.Job.AttemptCount = 2
			}
		})},
		"too many attempts": {rule: checker.RuleAttempts, records: edit(job("a").to(contract.StatusRunning).to(contract.StatusRetryWait).done().all(), func(r *history.Record) {
			if r.Job != nil {
				r.Job.MaxAttempts = 1
			}
		})},
		"a skipped attempt": {rule: checker.RuleAttempts, records: edit(job("a").done().all(), func(r *history.Record) {
			for _, e := range []*history.Event{r.Event, r.Audit} {
				if e != nil && e.Version > 1 {
					e.Attempt = 2
				}
			}
			if r.Job != nil {
				r.Job.AttemptCount = 2
			}
		})},
		"an attempt not recorded": {rule: checker.RuleAttempts, records: without(job("a").to(contract.StatusRunning).to(contract.StatusFailed).all(), func(r history.Record) bool {
			return r.Attempt != nil
		})},
		"two successes": {rule: checker.RuleOnce, records: edit(job("a").to(contract.StatusRunning).to(contract.StatusRetryWait).done().all(), func(r *history.Record) {
			if r.Attempt != nil {
				r.Attempt.Status = "succeeded"
			}
		})},
		"a zombie's success": {rule: checker.RuleOnce, records: edit(job("a").done().all(), func(r *history.Record) {
			if r.Attempt != nil {
				r.Attempt.Worker = "zombie"
			}
		})},
		"a success of a failed job": {rule: checker.RuleOnce, records: edit(job("a").to(contract.StatusRunning).to(contract.StatusFailed).all(), func(r *history.Record) {
			if r.Attempt != nil {
				r.Attempt.Status = "succeeded"
			}
		})},
		"a recovery not in the trail": {rule: checker.RuleRecovery, records: without(job("a").to(contract.StatusRunning).taken("w1", "w2").done().all(), func(r history.Record) bool {
			return r.Audit != nil && r.Audit.Recovery != nil
		})},
		"a recovery from somebody else": {rule: checker.RuleRecovery, records: edit(job("a").to(contract.StatusRunning).taken("w1", "w2").done().all(), func(r *history.Record) {
			if r.Attempt != nil {
				r.Attempt.Worker = "w3"
			}
		})},
		"a recovery without names": {rule: checker.RuleRecovery, records: job("a").to(contract.StatusRunning).taken("", "").done().all()},
		"a recovery of nothing": {rule: checker.RuleRecovery, records: without(job("a").to(contract.StatusRunning).taken("w1", "w2").done().all(), func(r history.Record) bool {
			return r.Attempt != nil && r.Attempt.Number == 1
		})},
		"a frozen worker that kept its job": {rule: checker.RuleRecovery, records: append(job("a").done().all(),
			history.Record{Disturbance: &history.Disturbance{Target: "w1", Held: []string{"a"}}})},
		"an attempt burnt in order": {rule: checker.RuleFree, orderly: true, records: job("a").to(contract.StatusRunning).to(contract.StatusRetryWait).done().all()},
	} {
		report := checker.Check(run(history.Run{Orderly: tc.orderly}, tc.records))
		tested[tc.rule] = true
		rules := map[checker.Rule]bool{}
		for _, v := range report.Violations {
			rules[v.Rule] = true
			require.NotEmpty(t, v.String())
		}
		require.Contains(t, rules, tc.rule, "%s: %v", name, report.Violations)
	}
	for _, rule := range checker.Rules() {
		require.Contains(t, tested, rule, "no history breaks it")
	}
}

// firstRuns lets a job begin as running.
func firstRuns(r *history.Record) {
	for _, e := range []*history.Event{r.Event, r.Audit} {
		if e != nil && e.Version == 1 {
			e.Status = contract.StatusRunning
		}
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	report := checker.Check(run(history.Run{}, []history.Record{{Submit: &history.Submit{Key: "key-a", Answer: history.Answer{}}}},
		job("a").done().all(), job("b").to(contract.StatusRunning).taken("w1", "w2").done().all(), job("c").all()))
	require.Equal(t, checker.Tally{Accepted: 3, Finished: 2, Retried: 1, Recovered: 1, Refusals: 1}, report.Tally)
}

// The states are those of the page that is made from the code.
func TestTransitionsAreThoseOfTheStateMachine(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/state-machine.md")
	require.NoError(t, err)
	legal := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^    (\w+) --> (\w+)`).FindAllStringSubmatch(string(page), -1) {
		legal[m[1]+" "+m[2]] = true
	}
	require.NotEmpty(t, legal)
	all := contract.Statuses()
	for _, from := range all {
		for _, to := range all {
			l := job("a")
			l.records, l.row.Version, l.row.AttemptCount = nil, 0, 0
			l.row.Status = ""
			for _, s := range path(from) {
				l.to(s)
			}
			l.to(to)
			broken := false
			for _, v := range checker.Check(run(history.Run{}, l.all())).Violations {
				broken = broken || v.Rule == checker.RuleTransition
			}
			require.Equal(t, legal[fmt.Sprintf("%s %s", from, to)], !broken, "from %s to %s", from, to)
		}
	}
}

// path leads to a state.
func path(to contract.Status) []contract.Status {
	switch to {
	case contract.StatusQueued:
		return []contract.Status{to}
	case contract.StatusRunning, contract.StatusCancelled:
		return []contract.Status{contract.StatusQueued, to}
	default:
		return []contract.Status{contract.StatusQueued, contract.StatusRunning, to}
	}
}
