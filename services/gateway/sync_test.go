package gateway_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway"
)

const syncBody = `{"job_type":"analyze","execution_mode":"sync"}`

func impatient(c *gateway.Config) { c.SyncWaitSeconds = 0.2 }

func TestSyncAnswersWithTheFinalStatus(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	for _, status := range []contract.Status{contract.StatusSucceeded, contract.StatusFailed, contract.StatusCancelled} {
		answer := g.role(identity.Operator).background(syncBody)
		job := testkit.Receive(t, w.recorded)
		require.Equal(t, contract.ModeSync, job.ExecutionMode)
		w.finish(job.JobID, status)
		var out submitted
		testkit.Receive(t, answer).is(http.StatusOK, &out)
		want := submitted{JobID: job.JobID, Status: string(status), JobType: "analyze", ExecutionMode: "sync"}
		if status == contract.StatusFailed {
			want.ErrorText = "it broke"
		}
		require.Equal(t, want, out)
	}
	require.Empty(t, w.requests(contract.RPCJobsGet), "the event says it all")
}

// The job may be finished before the recorder's word arrives.
func TestSyncEventBeforeTheVerdict(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	for _, verdict := range []verdictFunc{queued, silent} {
		w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
			w.finish(s.JobID, contract.StatusSucceeded)
			return verdict(s)
		})
		require.Equal(t, "succeeded", g.role(identity.Operator).submit(http.StatusOK, syncBody).Status)
	}
}

func TestSyncOfAFinishedJobDoesNotWait(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		return contract.SubmitVerdict{JobID: s.JobID, Status: contract.StatusSucceeded, Existing: true}, true
	})
	require.Equal(t, "succeeded", g.role(identity.Operator).submit(http.StatusOK, syncBody).Status)
	require.Empty(t, w.requests(contract.RPCJobsGet))
	// What it failed of is read, once.
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		return contract.SubmitVerdict{JobID: s.JobID, Status: contract.StatusFailed, Existing: true}, true
	})
	w.answer(contract.RPCJobsGet, jobIn(contract.StatusFailed))
	out := g.role(identity.Operator).submit(http.StatusOK, syncBody)
	require.Equal(t, "failed", out.Status)
	require.Equal(t, "it broke", out.ErrorText)
	require.Len(t, w.requests(contract.RPCJobsGet), 1)
}

func TestSyncWaitEndsFirst(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(impatient))
	c := g.role(identity.Operator)
	for name, tc := range map[string]struct {
		verdict verdictFunc
		get     answer
		status  int
		want    string
	}{
		"still running":       {queued, jobIn(contract.StatusRunning), 202, "running"},
		"waits for a retry":   {queued, jobIn(contract.StatusRetryWait), 202, "retry_wait"},
		"finished unheard":    {queued, jobIn(contract.StatusSucceeded), 200, "succeeded"},
		"nobody can say":      {queued, refuses(fault.Unavailablef("Postgres does not answer.")), 202, "queued"},
		"not recorded yet":    {silent, refuses(fault.NotFoundf("Job not found")), 202, "accepted"},
		"recorded meanwhile":  {silent, jobIn(contract.StatusQueued), 202, "queued"},
		"finished, no answer": {silent, jobIn(contract.StatusFailed), 200, "failed"},
	} {
		w.judges(tc.verdict)
		w.answer(contract.RPCJobsGet, tc.get)
		out := c.submit(tc.status, syncBody)
		require.Equal(t, tc.want, out.Status, name)
		require.Equal(t, tc.want == "failed", out.ErrorText == "it broke", name)
		require.Equal(t, contract.JobRequest{JobID: out.JobID}, lastRequest[contract.JobRequest](w, contract.RPCJobsGet), name)
	}
}

func jobIn(status contract.Status) answer {
	job := contract.Job{JobSummary: contract.JobSummary{Status: status}}
	if status == contract.StatusFailed {
		why := "it broke"
		job.ErrorText = &why
	}
	return always(job)
}

// Strangers' jobs, other events and nonsense on the event subjects wake nobody.
func TestSyncHearsOnlyItsOwnJob(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	first, second := g.role(identity.Operator).background(syncBody), g.role(identity.Admin).background(syncBody)
	a, b := testkit.Receive(t, w.recorded), testkit.Receive(t, w.recorded)
	for _, nonsense := range []string{"", "{}", "[]", "null", `[{"id":"1"}]`, `[{"id":"1","type":"x","time":"2026-05-01T12:00:00Z","source":"x","data":7}]`} {
		require.NoError(t, w.nc.Publish("nexus.events.job.succeeded.analyze", []byte(nonsense)))
	}
	w.finish(b.JobID, contract.StatusFailed)
	w.finish(b.JobID, contract.StatusFailed)
	w.finish(a.JobID, contract.StatusSucceeded)
	status := map[string]string{a.JobID: "succeeded", b.JobID: "failed"}
	for _, answer := range []<-chan reply{first, second} {
		var out submitted
		testkit.Receive(t, answer).is(http.StatusOK, &out)
		require.Equal(t, status[out.JobID], out.Status)
	}
}

func TestManyWaitForOneJob(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	body := `{"job_type":"analyze","execution_mode":"sync","idempotency_key":"one"}`
	answers := make([]<-chan reply, 10)
	for i := range answers {
		answers[i] = g.role(identity.Operator).background(body)
	}
	var id string
	for range answers {
		id = testkit.Receive(t, w.recorded).JobID
	}
	w.finish(id, contract.StatusSucceeded)
	for _, answer := range answers {
		var out submitted
		testkit.Receive(t, answer).is(http.StatusOK, &out)
		require.Equal(t, submitted{JobID: id, Status: "succeeded", JobType: "analyze", ExecutionMode: "sync"}, out)
	}
}

// The gateway listens to the events only while somebody waits.
func TestNobodyWaitsNobodyListens(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	g.role(identity.Operator).submit(http.StatusOK, `{"job_type":"analyze"}`)
	testkit.Receive(t, w.recorded)
	idle := g.nc.NumSubscriptions()

	first, second := g.role(identity.Operator).background(syncBody), g.role(identity.Operator).background(syncBody)
	a, b := testkit.Receive(t, w.recorded), testkit.Receive(t, w.recorded)
	listening := g.nc.NumSubscriptions()
	require.Equal(t, idle+3, listening, "one subscription for each way a job ends, however many wait")
	w.finish(a.JobID, contract.StatusSucceeded)
	select {
	case <-first:
	case <-second:
		second = first
	}
	require.Equal(t, listening, g.nc.NumSubscriptions(), "somebody still waits")
	w.finish(b.JobID, contract.StatusSucceeded)
	testkit.Receive(t, second).is(http.StatusOK, nil)
	require.Equal(t, idle, g.nc.NumSubscriptions())

	// A submit that is refused has not waited long.
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		return contract.SubmitVerdict{JobID: s.JobID, Code: contract.CodeConflict, Detail: "no"}, true
	})
	g.role(identity.Operator).send(http.MethodPost, submitURL, syncBody).fails(http.StatusConflict, "conflict")
	require.Equal(t, idle, g.nc.NumSubscriptions())
}

func TestSyncAndEventsUnderLoad(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	ends := []contract.Status{contract.StatusSucceeded, contract.StatusFailed, contract.StatusCancelled}
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		w.finish(s.JobID, ends[int(s.IdempotencyKey[0])%len(ends)])
		return queued(s)
	})
	c := g.role(identity.Operator)
	var wg sync.WaitGroup
	results := make(chan error, 100)
	for i := range cap(results) {
		wg.Go(func() {
			r := c.try(http.MethodPost, submitURL, fmt.Sprintf(`{"job_type":"analyze","execution_mode":"sync","idempotency_key":"%c%d"}`, 'a'+i%3, i))
			results <- matches(r, string(ends[('a'+i%3)%len(ends)]), "")
		})
	}
	wg.Wait()
	for range cap(results) {
		require.NoError(t, <-results)
	}
}
