package jobs_test

import (
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
	"nexus.internal/services/jobs"
)

// The broker forgets everything, streams too, under a running service: once
// rebuilt, every unfinished job ends, and a queue that was made has its lanes.
func TestGuaranteeRebuiltBrokerRunsWhatIsUnfinished(t *testing.T) {
	t.Parallel()
	h := start(t)
	call[contract.JobType](h, contract.RPCJobsSetType, contract.SetJobTypeRequest{Create: true, Actor: "root", JobType: contract.JobType{
		Name: "brew_tea", Queue: "kitchen", MaxAttempts: 2, TimeoutSeconds: 5, RunsPerMessage: 1, BackoffSeconds: []int{1}, MinRole: "operator", Enabled: true,
	}})
	var ids []string
	for range 10 {
		sub := submission(contract.JobAnalyze)
		h.submit(sub)
		ids = append(ids, sub.JobID)
	}
	for _, s := range contract.Streams() {
		require.NoError(t, h.js.DeleteStream(t.Context(), s.Name))
	}
	require.NoError(t, bus.Provision(t.Context(), h.js, contract.Streams(), contract.Consumers(testkit.Lease)))
	deps := jobs.Deps{
		NC: h.nc, JS: h.js, DB: h.db, Log: zerolog.Nop(), Now: time.Now,
		Worker: worker.Settings{Name: "rebuilder", LeaseSeconds: int(testkit.Lease.Seconds()), GraceSeconds: 5},
	}
	for range 2 {
		require.NoError(t, jobs.Rebuild(t.Context(), deps))
	}
	_, err := h.js.Consumer(t.Context(), contract.StreamRuns, contract.RunConsumer("kitchen", contract.PriorityHigh))
	require.NoError(t, err)
	h.work("w", done)
	for _, id := range ids {
		require.Equal(t, 1, h.reaches(id, contract.StatusSucceeded).AttemptCount)
	}
	require.Equal(t, contract.StatusQueued, h.submit(submission(contract.JobAnalyze)).Status, "the recorder goes on")
}
