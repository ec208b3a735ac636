package load

import (
	"fmt"
	"math/rand/v2"

	"nexus.internal/libs/contract"
)

// intent is one job that somebody wants done. It depends on the seed and its
// number alone, so that a seed always asks for the same jobs.
type intent struct {
	key, jobType, payload string
	maxAttempts           int
	// door submits it at the NATS door, both there and then over REST.
	door, both bool
	// cancel asks for its end once it is recorded.
	cancel bool
	// trust takes 202 for an answer.
	trust bool
}

// Shares of all intents, in percent.
const (
	shareAudit   = 8
	shareAnalyze = 8
	shareDoor    = 12
	shareCancel  = 5
)

// maxAttempts leaves room for the attempts that crashes cost.
const maxAttempts = 8

func intentOf(run string, seed uint64, number int) intent {
	random := rand.New(rand.NewPCG(seed, uint64(number))) //nolint:gosec // it has to be repeatable
	percent := func(p int) bool { return random.IntN(100) < p }
	i := intent{
		key: fmt.Sprintf("%s-%d-%06d", run, seed, number), jobType: contract.JobNoop,
		payload: fmt.Sprintf(`{"number":%d}`, number), maxAttempts: maxAttempts,
	}
	switch kind := random.IntN(100); {
	case kind < shareAudit:
		i.jobType = contract.JobIntegrityAudit
	case kind < shareAudit+shareAnalyze:
		// There is no such document: the job fails.
		i.jobType, i.payload = contract.JobAnalyze, fmt.Sprintf(`{"document_id":"00000000-0000-4000-8000-%012d","mode":"PUBLIC"}`, number)
	}
	i.door = percent(shareDoor)
	i.both = i.door && percent(50)
	i.cancel = percent(shareCancel) && !i.door
	i.trust = percent(50)
	return i
}
