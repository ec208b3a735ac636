package checker

import (
	"maps"
	"net/http"
	"slices"

	"nexus.internal/chaos/internal/history"
	"nexus.internal/libs/contract"
)

const (
	ok       = http.StatusOK
	accepted = http.StatusAccepted
)

// clients checks what clients were told, in the order they were.
func (c *check) clients() {
	final := map[string]contract.Status{}
	for _, r := range c.records {
		switch {
		case r.Submit != nil:
			c.answer("submit "+r.Submit.Key, r.Submit.Answer)
			c.finality(final, r.Submit.Answer)
		case r.Cancel != nil:
			c.answer("cancel "+r.Cancel.JobID, *r.Cancel)
			if r.Cancel.Status == ok && !r.Cancel.JobStatus.Finished() {
				c.violate(RuleFinal, r.Cancel.JobID, "a cancel was answered 200 and left the job %s", r.Cancel.JobStatus)
			}
			c.finality(final, *r.Cancel)
		case r.Read != nil:
			if r.Read.Status == http.StatusNotFound {
				c.violate(RuleVisible, r.Read.JobID, "it was answered 200 and then read back as 404")
				continue
			}
			c.answer("read "+r.Read.JobID, *r.Read)
			c.finality(final, *r.Read)
		case r.Rejection != nil:
			c.violate(RuleRetryable, r.Rejection.Key, "the NATS door refused it for good: %s: %s", r.Rejection.Code, r.Rejection.Detail)
		case r.GaveUp != nil:
			c.violate(RuleAnswered, r.GaveUp.Key, "its client could not %s to the end of the run %s", r.GaveUp.Doing, r.GaveUp.JobID)
		}
	}
}

// answer checks that a client was told success, or something to try again on.
func (c *check) answer(what string, a history.Answer) {
	switch a.Status {
	case ok, accepted:
		return
	case 0:
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if a.RetryAfter == "" {
			c.violate(RuleRetryable, what, "%d without Retry-After", a.Status)
		}
	default:
		c.violate(RuleRetryable, what, "%d %s: %s", a.Status, a.Code, a.Error)
	}
	c.report.Tally.Refusals++
}

// finality checks that a job once shown as finished is never shown otherwise.
func (c *check) finality(final map[string]contract.Status, a history.Answer) {
	if a.JobID == "" || a.JobStatus == "" {
		return
	}
	before, finished := final[a.JobID]
	if finished && before != a.JobStatus {
		c.violate(RuleFinal, a.JobID, "a client read %s, and later %s", before, a.JobStatus)
	}
	if !a.JobStatus.Finished() || finished {
		return
	}
	final[a.JobID] = a.JobStatus
	if j := c.jobs[a.JobID]; j != nil && j.row.Status != a.JobStatus {
		c.violate(RuleFinal, a.JobID, "a client read %s, and in the end it is %s", a.JobStatus, j.row.Status)
	}
}

// keys checks that each promised key has its job, and none has two.
func (c *check) keys() {
	for _, key := range slices.Sorted(maps.Keys(c.byKey)) {
		if ids := slices.Sorted(maps.Keys(c.byKey[key])); len(ids) > 1 {
			c.violate(RuleOneKey, key, "it has the jobs %v", ids)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.promised)) {
		if c.promised[key] && !c.recorded(key) {
			c.violate(RuleRecorded, key, "a job was promised, and none is recorded")
		}
	}
}

func (c *check) recorded(key string) bool {
	for id := range c.byKey[key] {
		if c.jobs[id] != nil {
			return true
		}
	}
	return false
}
