package checker

import (
	"cmp"
	"fmt"
	"slices"

	"nexus.internal/chaos/internal/history"
)

// Rule is a promise that a history can break.
type Rule string

// The rules.
const (
	// RuleRecorded: what was answered 200 or 202, or has the broker's receipt, is
	// a job.
	RuleRecorded Rule = "accepted is recorded"
	// RuleEnds: every job reaches a final state.
	RuleEnds Rule = "every job ends"
	// RuleAnswered: a client that tries again is told in the end.
	RuleAnswered Rule = "every client is answered"
	// RuleOneKey: an idempotency key has one job.
	RuleOneKey Rule = "one key, one job"
	// RuleRetryable: whoever is refused may try again, and is told when.
	RuleRetryable Rule = "refusals can be retried"
	// RuleVisible: what was answered 200 can be read.
	RuleVisible Rule = "answered is visible"
	// RuleTransition: a job moves only as the state machine allows.
	RuleTransition Rule = "legal transitions"
	// RuleEvents: there is one event for each state change, in the trail and in
	// the stream, and it says the same everywhere.
	RuleEvents Rule = "every change is an event"
	// RuleAttempts: attempts are counted without gaps, within their limit.
	RuleAttempts Rule = "attempts within bounds"
	// RuleOnce: exactly one attempt of a job succeeded, if it did, and each was
	// ended in the name of whoever had claimed it.
	RuleOnce Rule = "one success"
	// RuleFinal: a finished job never changes, and a cancelled one least.
	RuleFinal Rule = "finished is final"
	// RuleRecovery: a run taken from a silent worker is in the trail, with both
	// names.
	RuleRecovery Rule = "recoveries are audited"
	// RuleFree: where nothing crashed no attempt is lost.
	RuleFree Rule = "orderly costs nothing"
)

// Rules lists every rule.
func Rules() []Rule {
	return []Rule{
		RuleRecorded, RuleEnds, RuleAnswered, RuleOneKey, RuleRetryable, RuleVisible, RuleTransition, RuleEvents, RuleAttempts, RuleOnce, RuleFinal,
		RuleRecovery, RuleFree,
	}
}

// Violation is a broken promise.
type Violation struct {
	Rule Rule
	// Subject is a job id or an idempotency key.
	Subject string
	Detail  string
}

// String is the violation in one line.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: %s", v.Rule, v.Subject, v.Detail)
}

// Tally is what happened, in numbers.
type Tally struct {
	// Accepted are the keys that a client was promised a job for.
	Accepted int
	Finished int
	// Retried are the jobs that took more than one attempt, Recovered the runs
	// that were taken from a silent worker.
	Retried, Recovered int
	// Refusals are the tries that got no job.
	Refusals int
	// LostEvents are events that went with the broker before anybody had read
	// them. They count as violations where no broker was lost.
	LostEvents int
}

// Report is what a history came to.
type Report struct {
	Tally      Tally
	Violations []Violation
}

// Check holds a history against every rule.
func Check(records []history.Record) Report {
	x := indexOf(records)
	c := &check{index: x}
	c.clients()
	c.keys()
	for _, id := range x.order {
		c.job(x.jobs[id])
	}
	c.strangers()
	c.recoveries()
	c.tally()
	slices.SortStableFunc(c.report.Violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject))
	})
	return c.report
}

type check struct {
	*index
	report Report
}

func (c *check) violate(rule Rule, subject, format string, args ...any) {
	c.report.Violations = append(c.report.Violations, Violation{Rule: rule, Subject: subject, Detail: fmt.Sprintf(format, args...)})
}

func (c *check) tally() {
	t := &c.report.Tally
	for _, promised := range c.promised {
		if promised {
			t.Accepted++
		}
	}
	for _, j := range c.jobs {
		if j.row.Status.Finished() {
			t.Finished++
		}
		if j.row.AttemptCount > 1 {
			t.Retried++
		}
	}
	t.Recovered = len(c.stale)
}
