package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

func TestJobSucceeds(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.work("w1", func(_ context.Context, job worker.Job) (worker.Result, error) {
		return worker.Result{
			Value:     map[string]any{"got": job.Payload, "attempt": job.Attempt, "by": job.CreatedBy},
			Artifacts: []contract.Artifact{{Type: "analyze_result", Payload: json.RawMessage(`{"layer_count":9}`)}},
		}, nil
	})
	sub := submission(contract.JobAnalyze)
	v := h.submit(sub)
	require.Equal(t, contract.StatusQueued, v.Status)

	job := h.reaches(sub.JobID, contract.StatusSucceeded)
	require.JSONEq(t, `{"got":{"n":1},"attempt":1,"by":"alice"}`, string(job.Result))
	require.Equal(t, 1, job.AttemptCount)
	require.Nil(t, job.LeaseOwner)
	require.Nil(t, job.NextRunAt)
	require.NotNil(t, job.FinishedAt)
	require.Len(t, job.Attempts, 1)
	require.Equal(t, "succeeded", job.Attempts[0].Status)
	require.Equal(t, "w1", job.Attempts[0].Worker)
	require.NotNil(t, job.Attempts[0].RuntimeMS)
	require.Len(t, job.Artifacts, 1)
	require.JSONEq(t, `{"layer_count":9}`, string(job.Artifacts[0].ArtifactPayload))

	require.Equal(t, []string{"nexus.job.queued.v1", "nexus.job.running.v1", "nexus.job.succeeded.v1"}, h.eventsUntil(sub.JobID, "succeeded"))
}

func TestFailureRetriesAfterTwoSecondsThenSucceeds(t *testing.T) {
	t.Parallel()
	h := start(t)
	var first time.Time
	again := make(chan time.Duration, 1)
	h.work("w1", func(_ context.Context, job worker.Job) (worker.Result, error) {
		if job.Attempt == 1 {
			first = time.Now()
			return worker.Result{}, errors.New("the corpus is away")
		}
		again <- time.Since(first)
		return worker.Result{}, nil
	})
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	waiting := h.reaches(sub.JobID, contract.StatusRetryWait)
	require.Equal(t, "the corpus is away", *waiting.ErrorText)
	require.NotNil(t, waiting.NextRunAt)
	wait := testkit.Receive(t, again)
	require.GreaterOrEqual(t, wait, 1900*time.Millisecond)
	job := h.reaches(sub.JobID, contract.StatusSucceeded)
	require.Len(t, job.Attempts, 2)
	require.Equal(t, "failed", job.Attempts[0].Status)
	require.Equal(t, "the corpus is away", *job.Attempts[0].ErrorText)
	require.Nil(t, job.ErrorText)
	require.Equal(t, []string{
		"nexus.job.queued.v1", "nexus.job.running.v1", "nexus.job.retry_wait.v1", "nexus.job.running.v1", "nexus.job.succeeded.v1",
	}, h.eventsUntil(sub.JobID, "succeeded"))
}

func TestAttemptsRunOut(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.work("w1", func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{}, worker.RetryAfter(10*time.Millisecond, errors.New("no"))
	})
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	job := h.reaches(sub.JobID, contract.StatusFailed)
	require.Equal(t, 3, job.AttemptCount)
	require.Len(t, job.Attempts, 3)
	require.Equal(t, "no", *job.ErrorText)
}

func TestPermanentFailureIsNotRetried(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.work("w1", func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{}, worker.Permanent(errors.New("document unknown"))
	})
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	job := h.reaches(sub.JobID, contract.StatusFailed)
	require.Equal(t, 1, job.AttemptCount)
}

// Whoever answers in a job's stead needs to know what kind of failure it was.
func TestTheFaultOfAFailureIsKept(t *testing.T) {
	t.Parallel()
	h := start(t)
	fails := make(chan error, 1)
	h.work("w1", func(context.Context, worker.Job) (worker.Result, error) { return worker.Result{}, <-fails })
	for name, tc := range map[string]struct {
		err        error
		kind, code any
	}{
		"a fault":              {worker.Permanent(fault.New(fault.Conflict, "in_conflict", "no")), "conflict", "in_conflict"},
		"none":                 {worker.Permanent(errors.New("no")), nil, nil},
		"a kind of its own":    {worker.Permanent(fault.New("odd", "in_conflict", "no")), nil, nil},
		"a code of nonsense":   {worker.Permanent(fault.New(fault.Conflict, "in\x00conflict", "no")), nil, nil},
		"a code without limit": {worker.Permanent(fault.New(fault.Conflict, strings.Repeat("x", 5000), "no")), nil, nil},
	} {
		fails <- tc.err
		sub := submission(contract.JobAnalyze)
		h.submit(sub)
		job := h.reaches(sub.JobID, contract.StatusFailed)
		require.Equal(t, "no", *job.ErrorText, name)
		if tc.kind == nil {
			require.Nil(t, job.ErrorKind, name)
			require.Nil(t, job.ErrorCode, name)
			continue
		}
		require.Equal(t, tc.kind, *job.ErrorKind, name)
		require.Equal(t, tc.code, *job.ErrorCode, name)
	}

	fails <- fault.NotFoundf("not yet")
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	require.Nil(t, h.reaches(sub.JobID, contract.StatusRetryWait).ErrorKind, "it has not failed yet")
}

func TestPanicAndTimeoutFailTheAttemptOnly(t *testing.T) {
	t.Parallel()
	h := servers(t)
	_, err := h.db.Pool.Exec(t.Context(), `UPDATE jobs.job_types SET timeout_seconds = 1 WHERE name = 'analyze'`)
	require.NoError(t, err)
	h.service(config())
	h.work("w1", func(ctx context.Context, job worker.Job) (worker.Result, error) {
		switch job.Attempt {
		case 1:
			panic("boom")
		case 2:
			<-ctx.Done()
			return worker.Result{}, ctx.Err()
		default:
			return worker.Result{Value: "ok"}, nil
		}
	})
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	var job contract.Job
	testkit.Eventually(t, func() bool {
		job = h.get(sub.JobID)
		return len(job.Attempts) == 2 && job.Status == contract.StatusRetryWait
	}, "the second attempt did not end")
	require.Contains(t, *job.Attempts[0].ErrorText, "panicked: boom")
	require.Contains(t, *job.Attempts[1].ErrorText, "longer than its limit of 1s")
}

func TestCancelQueuedJobNeverRuns(t *testing.T) {
	t.Parallel()
	h := start(t)
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	cancelled, err := bus.Call[contract.Job](t.Context(), h.nc, contract.RPCJobsCancel, contract.JobRequest{JobID: sub.JobID, Actor: "bob"})
	require.NoError(t, err)
	require.Equal(t, contract.StatusCancelled, cancelled.Status)
	require.Empty(t, cancelled.Attempts)

	ran := make(chan string, 10)
	h.work("w1", func(_ context.Context, job worker.Job) (worker.Result, error) {
		ran <- job.ID
		return worker.Result{}, nil
	})
	other := submission(contract.JobAnalyze)
	h.submit(other)
	h.reaches(other.JobID, contract.StatusSucceeded)
	require.Equal(t, other.JobID, <-ran)
	require.Empty(t, ran)
	require.Equal(t, contract.StatusCancelled, h.get(sub.JobID).Status)
}

func TestCancelRunningJobStopsItAndRefusesItsResult(t *testing.T) {
	t.Parallel()
	h := start(t)
	running, stopped := make(chan struct{}), make(chan error, 1)
	h.work("w1", func(ctx context.Context, _ worker.Job) (worker.Result, error) {
		close(running)
		<-ctx.Done()
		stopped <- context.Cause(ctx)
		return worker.Result{Value: "late"}, nil
	})
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	testkit.Receive(t, running)
	job, err := bus.Call[contract.Job](t.Context(), h.nc, contract.RPCJobsCancel, contract.JobRequest{JobID: sub.JobID, Actor: "bob"})
	require.NoError(t, err)
	require.Equal(t, contract.StatusCancelled, job.Status)
	require.ErrorContains(t, testkit.Receive(t, stopped), "cancelled")
	require.Len(t, job.Attempts, 1)
	require.Equal(t, "cancelled", job.Attempts[0].Status)

	again, err := bus.Call[contract.Job](t.Context(), h.nc, contract.RPCJobsCancel, contract.JobRequest{JobID: sub.JobID, Actor: "bob"})
	require.NoError(t, err)
	require.Equal(t, job.UpdatedAt, again.UpdatedAt, "a finished job is returned unchanged")
	require.Equal(t, "null", string(again.Result))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := start(t)
	for name, tc := range map[string]struct {
		change func(*contract.Submission)
		code   string
	}{
		"unknown type":       {func(s *contract.Submission) { s.JobType = "nope" }, contract.CodeUnknownJobType},
		"switched off type":  {func(s *contract.Submission) { s.JobType = contract.JobNoop }, contract.CodeUnknownJobType},
		"no id":              {func(s *contract.Submission) { s.JobID = "x" }, contract.CodeInvalid},
		"no attempts":        {func(s *contract.Submission) { s.MaxAttempts = 0 }, contract.CodeInvalid},
		"too many attempts":  {func(s *contract.Submission) { s.MaxAttempts = 11 }, contract.CodeInvalid},
		"unknown mode":       {func(s *contract.Submission) { s.ExecutionMode = "later" }, contract.CodeInvalid},
		"payload not object": {func(s *contract.Submission) { s.Payload = json.RawMessage(`[1]`) }, contract.CodeInvalid},
		"payload with NUL":   {func(s *contract.Submission) { s.Payload = json.RawMessage(`{"a":"\u0000"}`) }, contract.CodeInvalid},
	} {
		sub := submission(contract.JobAnalyze)
		tc.change(&sub)
		v := h.submit(sub)
		require.Equal(t, tc.code, v.Code, name)
		require.NotEmpty(t, v.Detail, name)
	}
	// One bad submission does not touch its neighbour, and neither does a
	// character that only Postgres refuses.
	good, bad, nul := submission(contract.JobAnalyze), submission("nope"), submission(contract.JobAnalyze)
	nul.CreatedBy = "a\x00b"
	h.send(good, bad)
	h.send(nul)
	verdicts := map[string]contract.SubmitVerdict{}
	for range 3 {
		v := testkit.Receive(t, h.inbox)
		verdicts[v.Ref] = v
	}
	require.Equal(t, contract.StatusQueued, verdicts[good.Ref].Status)
	require.Equal(t, contract.CodeUnknownJobType, verdicts[bad.Ref].Code)
	require.Equal(t, contract.CodeInvalid, verdicts[nul.Ref].Code)
}

func TestUndecodableCommandBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.sendRaw([]byte("not json"))
	stream, err := h.js.Stream(t.Context(), contract.StreamDead)
	require.NoError(t, err)
	testkit.Eventually(t, func() bool {
		msg, err := stream.GetLastMsgForSubject(t.Context(), contract.PatternDead)
		return err == nil && strings.Contains(msg.Header.Get(contract.HeaderReason), "decode the command") &&
			msg.Header.Get(contract.HeaderOrigin) == contract.SubjectSubmitJobs
	}, "no dead letter")
	require.Equal(t, contract.StatusQueued, h.submit(submission(contract.JobAnalyze)).Status, "it blocks nobody")

	// It is kept to the byte, or as much of it as a message with headers holds.
	whole := []byte(`{"jobs":7,"é":"\u0000"} and ` + strings.Repeat("\x01", 300_000))
	for _, body := range [][]byte{whole, []byte(`{"` + strings.Repeat("x", 1<<20-100) + `":1`)} {
		before := lastDead(t, stream)
		h.sendRaw(body)
		testkit.Eventually(t, func() bool { return lastDead(t, stream).Sequence > before.Sequence }, "no dead letter")
		letter := lastDead(t, stream)
		require.Equal(t, body[:min(len(body), contract.MaxMessage)], letter.Data)
		require.Equal(t, len(body) > contract.MaxMessage, letter.Header.Get(contract.HeaderBodySize) == strconv.Itoa(len(body)))
		require.LessOrEqual(t, len(letter.Header.Get(contract.HeaderReason)), 1024)
	}
}

func lastDead(t *testing.T, s jetstream.Stream) *jetstream.RawStreamMsg {
	t.Helper()
	msg, err := s.GetLastMsgForSubject(t.Context(), contract.PatternDead)
	require.NoError(t, err)
	return msg
}

func TestBadRequestsOfWorkersAndReaders(t *testing.T) {
	t.Parallel()
	h := start(t)
	for _, tc := range []struct {
		subject string
		req     any
		kind    fault.Kind
	}{
		{contract.RPCJobsGet, contract.JobRequest{JobID: "x"}, fault.Unprocessable},
		{contract.RPCJobsGet, contract.JobRequest{JobID: uuid.NewString()}, fault.NotFound},
		{contract.RPCJobsCancel, contract.JobRequest{JobID: "x"}, fault.Unprocessable},
		{contract.RPCJobsCancel, contract.JobRequest{JobID: uuid.NewString()}, fault.NotFound},
		{contract.RPCJobsList, contract.ListJobsRequest{Limit: 0}, fault.Unprocessable},
		{contract.RPCJobsList, contract.ListJobsRequest{Limit: 1001}, fault.Unprocessable},
		{contract.RPCJobsList, contract.ListJobsRequest{Limit: 1, Offset: -1}, fault.Unprocessable},
		{contract.RPCJobsList, contract.ListJobsRequest{Limit: 1, Status: "a\x00"}, fault.Unprocessable},
		{contract.RPCJobsList, contract.ListJobsRequest{Limit: 1, JobType: "\x00"}, fault.Unprocessable},
		{contract.RPCJobsList, contract.ListJobsRequest{Limit: 1, CreatedBy: "a\x00b"}, fault.Unprocessable},
		{contract.RPCJobsList, contract.ListJobsRequest{Limit: 1, Priority: "\x00"}, fault.Unprocessable},
		{contract.RPCJobsList, contract.ListJobsRequest{Limit: 1, Tag: "\x00b"}, fault.Unprocessable},
		{contract.RPCJobsRetryMany, contract.RetryJobsRequest{Status: "failed", Limit: 1, PerSecond: 1, JobType: "\x00"}, fault.Unprocessable},
		{contract.RPCJobsRetryMany, contract.RetryJobsRequest{Status: "failed", Limit: 1, PerSecond: 1, CreatedBy: "\x00"}, fault.Unprocessable},
		{contract.RPCJobsRetryMany, contract.RetryJobsRequest{Status: "failed", Limit: 1, PerSecond: 1, Tag: "\x00"}, fault.Unprocessable},
		{contract.RPCJobsPause, contract.PauseQueueRequest{Queue: "a\x00", Actor: "root"}, fault.NotFound},
		{contract.RPCJobsClaim, contract.ClaimRequest{}, fault.Invalid},
		{contract.RPCJobsClaim, contract.ClaimRequest{Worker: "w", Claims: []contract.LeaseRef{{JobID: "x"}}}, fault.Invalid},
		{contract.RPCJobsClaim, contract.ClaimRequest{Worker: "w", Claims: []contract.LeaseRef{{JobID: uuid.NewString(), LeaseToken: "x"}}}, fault.Invalid},
		{contract.RPCJobsClaim, contract.ClaimRequest{Worker: "w", Claims: make([]contract.LeaseRef, contract.MaxBatch+1)}, fault.Invalid},
		{contract.RPCJobsHeartbeat, contract.HeartbeatRequest{Worker: "w", Queue: "a b"}, fault.Invalid},
		{contract.RPCJobsHeartbeat, contract.HeartbeatRequest{Queue: "q"}, fault.Invalid},
		{contract.RPCJobsFinish, contract.FinishRequest{}, fault.Invalid},
		{contract.RPCJobsFinish, contract.FinishRequest{Worker: "w", Results: []contract.RunResult{{JobID: uuid.NewString(), LeaseToken: uuid.NewString(), Outcome: "maybe"}}}, fault.Invalid},
		{contract.RPCJobsFinish, "text", fault.Invalid},
	} {
		_, err := bus.Call[json.RawMessage](t.Context(), h.nc, tc.subject, tc.req)
		require.Equal(t, tc.kind, fault.KindOf(err), "%s %+v: %v", tc.subject, tc.req, err)
	}
}

func TestListFiltersAndPages(t *testing.T) {
	t.Parallel()
	h := start(t)
	var ids []string
	for i := range 5 {
		sub := submission(contract.JobAnalyze)
		if i%2 == 1 {
			sub.JobType, sub.CreatedBy = contract.JobIngestBatch, "bob"
		}
		h.submit(sub)
		ids = append(ids, sub.JobID)
	}
	list := func(req contract.ListJobsRequest) []string {
		if req.Limit == 0 {
			req.Limit = 100
		}
		reply, err := bus.Call[contract.ListJobsReply](t.Context(), h.nc, contract.RPCJobsList, req)
		require.NoError(t, err)
		out := []string{}
		for _, j := range reply.Jobs {
			out = append(out, j.JobID)
		}
		return out
	}
	require.Equal(t, []string{ids[4], ids[3], ids[2], ids[1], ids[0]}, list(contract.ListJobsRequest{}))
	require.Equal(t, []string{ids[3], ids[2]}, list(contract.ListJobsRequest{Limit: 2, Offset: 1}))
	require.Equal(t, []string{ids[3], ids[1]}, list(contract.ListJobsRequest{JobType: contract.JobIngestBatch}))
	require.Equal(t, []string{ids[3], ids[1]}, list(contract.ListJobsRequest{CreatedBy: "bob", Status: "queued"}))
	require.Empty(t, list(contract.ListJobsRequest{Status: "failed"}))
	at := h.get(ids[2]).CreatedAt
	require.Equal(t, []string{ids[4], ids[3]}, list(contract.ListJobsRequest{CreatedAfter: &at}))
	require.Equal(t, []string{ids[1], ids[0]}, list(contract.ListJobsRequest{CreatedBefore: &at}))
}
