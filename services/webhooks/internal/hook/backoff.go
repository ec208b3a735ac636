package hook

import (
	"math/rand/v2"
	"time"
)

// maxRetryAfter bounds how long an answer may put the next attempt off.
const maxRetryAfter = time.Hour

// waits are those after the first failed attempt, the second, and so on.
func waits() []time.Duration {
	return []time.Duration{
		5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour,
	}
}

// MaxAttempts is how often a delivery is posted before it has failed.
func MaxAttempts() int { return len(waits()) + 1 }

// Wait is how long a delivery waits after its attempts-th attempt failed, give or
// take a tenth, and at least as long as the answer asked. more is false where no
// further attempt comes.
func Wait(attempts int, retryAfter time.Duration) (wait time.Duration, more bool) {
	all := waits()
	if attempts < 1 || attempts > len(all) {
		return 0, false
	}
	jittered := time.Duration(float64(all[attempts-1]) * (0.9 + 0.2*rand.Float64()))
	return max(jittered, min(retryAfter, maxRetryAfter)), true
}
