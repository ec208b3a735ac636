package checker

import (
	"maps"
	"slices"

	"nexus.internal/chaos/internal/history"
	"nexus.internal/libs/contract"
)

// recoveries checks that the trail names both workers of every run that was
// taken from a silent one, and no other.
func (c *check) recoveries() {
	ended := map[string]history.Attempt{}
	for _, id := range c.order {
		for _, a := range c.jobs[id].attempts {
			ended[contract.JobEventID(a.JobID, a.Version)] = a
		}
	}
	recovered := map[string]history.Event{}
	for _, id := range slices.Sorted(maps.Keys(c.stale)) {
		e := c.stale[id]
		change := contract.JobEventID(e.JobID, e.Version)
		a, known := ended[change]
		switch {
		case e.Recovery.OriginalLeaseOwner == "" || e.Recovery.RecoveringWorker == "":
			c.violate(RuleRecovery, e.JobID, "a recovery names %q and %q", e.Recovery.OriginalLeaseOwner, e.Recovery.RecoveringWorker)
		case !known:
			c.violate(RuleRecovery, e.JobID, "version %d was recovered, and no attempt ended with it", e.Version)
		case a.Worker != e.Recovery.OriginalLeaseOwner:
			c.violate(RuleRecovery, e.JobID, "it was recovered from %s, and %s had it", e.Recovery.OriginalLeaseOwner, a.Worker)
		}
		recovered[change] = e
	}
	c.frozen()
	if c.run.BrokerLost {
		return
	}
	for _, change := range slices.Sorted(maps.Keys(ended)) {
		a := ended[change]
		if _, audited := recovered[change]; !audited && a.ErrorText == history.LeaseExpired {
			c.violate(RuleRecovery, a.JobID, "attempt %d was taken from %s, and the trail does not say so", a.Number, a.Worker)
		}
	}
}

// frozen checks that what a frozen worker held was taken from it by another.
func (c *check) frozen() {
	for _, r := range c.records {
		if r.Disturbance == nil {
			continue
		}
		for _, id := range r.Disturbance.Held {
			if !c.takenFrom(id, r.Disturbance.Target) {
				c.violate(RuleRecovery, id, "%s was frozen with it, and nobody took it over", r.Disturbance.Target)
			}
		}
	}
}

func (c *check) takenFrom(id, worker string) bool {
	for _, e := range c.stale {
		if e.JobID == id && e.Recovery.OriginalLeaseOwner == worker && e.Recovery.RecoveringWorker != worker {
			return true
		}
	}
	return false
}
