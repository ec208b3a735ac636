package jobs_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

func call[Resp any](h *harness, subject string, req any) Resp {
	h.t.Helper()
	resp, err := bus.Call[Resp](h.t.Context(), h.nc, subject, req)
	require.NoError(h.t, err)
	return resp
}

// sendAtomic publishes a batch, in parts of the given size where there is one,
// the last part first.
func (h *harness) sendAtomic(partSize int, subs ...contract.Submission) {
	h.t.Helper()
	body, err := json.Marshal(contract.SubmitCommand{Submissions: subs, Atomic: true})
	require.NoError(h.t, err)
	if partSize == 0 {
		h.sendRaw(body)
		return
	}
	id, parts := uuid.NewString(), (len(body)+partSize-1)/partSize
	for i := parts - 1; i >= 0; i-- {
		part, err := json.Marshal(contract.SubmitPart{CommandID: id, Part: i, Parts: parts, Body: body[i*partSize : min(len(body), (i+1)*partSize)]})
		require.NoError(h.t, err)
		msg := nats.NewMsg(contract.SubjectSubmitJobs)
		msg.Data = part
		msg.Header.Set(contract.HeaderReplyTo, h.reply)
		msg.Header.Set(contract.HeaderType, contract.TypeSubmitPart)
		_, err = h.js.PublishMsg(h.t.Context(), msg)
		require.NoError(h.t, err)
	}
}

func (h *harness) verdicts(n int) map[string]contract.SubmitVerdict {
	h.t.Helper()
	out := map[string]contract.SubmitVerdict{}
	for range n {
		v := testkit.Receive(h.t, h.inbox)
		out[v.Ref] = v
	}
	return out
}

// A batch is recorded whole or not at all, however large it is.
func TestGuaranteeBatchIsAllOrNothing(t *testing.T) {
	t.Parallel()
	h := start(t)
	count := func() (n int) {
		require.NoError(t, h.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.jobs`).Scan(&n))
		return n
	}
	first := submission(contract.JobAnalyze)
	first.IdempotencyKey = "k"
	h.submit(first)

	taken := first
	taken.Ref, taken.Payload = uuid.NewString(), json.RawMessage(`{"n":2}`)
	unknown := submission("nope")
	for _, bad := range []contract.Submission{taken, unknown} {
		good := []contract.Submission{submission(contract.JobAnalyze), bad, submission(contract.JobAnalyze)}
		h.sendAtomic(0, good...)
		got := h.verdicts(3)
		require.Contains(t, []string{contract.CodeConflict, contract.CodeUnknownJobType}, got[bad.Ref].Code)
		require.Equal(t, contract.CodeNotRecorded, got[good[0].Ref].Code)
		require.Equal(t, contract.CodeNotRecorded, got[good[2].Ref].Code)
		require.Equal(t, 1, count())
	}
	for _, partSize := range []int{0, 1000} {
		var batch []contract.Submission
		for i := range 40 {
			sub := submission(contract.JobAnalyze)
			sub.IdempotencyKey = fmt.Sprint(partSize, i)
			batch = append(batch, sub)
		}
		for range 2 {
			h.sendAtomic(partSize, batch...)
			for _, v := range h.verdicts(len(batch)) {
				require.Empty(t, v.Code)
				require.Equal(t, contract.StatusQueued, v.Status)
			}
		}
	}
	require.Equal(t, 81, count(), "a repeated batch is the same batch")
	testkit.Eventually(t, func() bool {
		var n int
		return h.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.command_parts`).Scan(&n) == nil && n == 0
	}, "the parts were not dropped")
}

func TestLargePayloadReachesItsHandler(t *testing.T) {
	t.Parallel()
	h := start(t)
	sub := submission(contract.JobAnalyze)
	// What is not the same everywhere shows a part that is missing or out of place.
	var text strings.Builder
	for i := 0; text.Len() < 1400<<10; i++ {
		fmt.Fprintf(&text, "%d ü ", i)
	}
	sub.Payload = json.RawMessage(`{"text":"` + text.String() + `"}`)
	got := make(chan bool, 1)
	h.work("w", func(_ context.Context, job worker.Job) (worker.Result, error) {
		got <- string(job.Payload) == string(sub.Payload)
		return worker.Result{}, nil
	})
	h.sendAtomic(contract.MaxCommandPart, sub)
	require.Empty(t, testkit.Receive(t, h.inbox).Code)
	require.True(t, testkit.Receive(t, got), "the payload is whole")
	job := h.reaches(sub.JobID, contract.StatusSucceeded)
	require.Equal(t, len(sub.Payload), job.PayloadBytes)
	require.Equal(t, "null", string(job.Payload), "it does not fit the answer")
	parts := 0
	read, err := contract.FetchPayload(job.PayloadBytes, func(offset int) (contract.PayloadReply, error) {
		parts++
		return bus.Call[contract.PayloadReply](t.Context(), h.nc, contract.RPCJobsPayload, contract.PayloadRequest{JobID: sub.JobID, Offset: offset})
	})
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256(sub.Payload), sha256.Sum256(read), "what is read is not what was sent")
	require.Equal(t, 3, parts)
	_, err = bus.Call[contract.PayloadReply](t.Context(), h.nc, contract.RPCJobsPayload, contract.PayloadRequest{JobID: uuid.NewString()})
	require.Equal(t, fault.NotFound, fault.KindOf(err))
}

func TestDelayPriorityTimeoutAndTags(t *testing.T) {
	t.Parallel()
	h := start(t)
	sub := submission(contract.JobAnalyze)
	sub.DelaySeconds, sub.Priority, sub.TimeoutSeconds, sub.Tags = 1, contract.PriorityHigh, 77, []string{"a", "b:c"}
	began := time.Now()
	h.submit(sub)
	job := h.get(sub.JobID)
	require.Equal(t, contract.PriorityHigh, job.Priority)
	require.Equal(t, 77, job.TimeoutSeconds)
	require.Equal(t, []string{"a", "b:c"}, job.Tags)
	require.WithinDuration(t, job.CreatedAt.Add(time.Second), *job.NextRunAt, time.Millisecond)
	require.Equal(t, []string{sub.JobID}, h.claim("early", ref(sub.JobID)).Refused, "not before its time")

	past := submission(contract.JobAnalyze)
	at := time.Now().Add(-time.Hour)
	past.RunAt = &at
	h.submit(past)
	require.Len(t, h.claim("w", ref(past.JobID)).Granted, 1, "a time that has passed means at once")

	stream, err := h.js.Stream(t.Context(), contract.StreamRuns)
	require.NoError(t, err)
	testkit.Eventually(t, func() bool {
		_, err := stream.GetLastMsgForSubject(t.Context(), contract.RunFilter(contract.QueuePlugins, contract.PriorityHigh))
		return err == nil
	}, "the job was not sent to its lane")
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	require.Len(t, h.claim("w", ref(sub.JobID)).Granted, 1)
}

func TestSnoozeCostsNoAttempt(t *testing.T) {
	t.Parallel()
	h := start(t)
	sub := submission(contract.JobAnalyze)
	sub.MaxAttempts = 1
	h.submit(sub)
	mine := ref(sub.JobID)
	require.Len(t, h.claim("w", mine).Granted, 1)
	v := h.finish("w", contract.RunResult{JobID: sub.JobID, LeaseToken: mine.LeaseToken, Outcome: contract.OutcomeSnoozed, RetryAfterMS: 300})
	require.Equal(t, contract.StatusRetryWait, v.Verdicts[0].Status)
	job := h.get(sub.JobID)
	require.Zero(t, job.AttemptCount)
	require.Equal(t, 1, job.SnoozeCount)
	require.Empty(t, job.Attempts)
	h.work("w", done)
	require.Equal(t, 1, h.reaches(sub.JobID, contract.StatusSucceeded).AttemptCount)
}

func TestRetryGivesAllAttemptsAgain(t *testing.T) {
	t.Parallel()
	h := start(t)
	var failing sync.Map
	h.work("w", func(_ context.Context, job worker.Job) (worker.Result, error) {
		if _, failed := failing.LoadOrStore(job.ID, true); !failed {
			return worker.Result{}, worker.Permanent(errors.New("no"))
		}
		return worker.Result{}, nil
	})
	var ids []string
	for range 3 {
		sub := submission(contract.JobAnalyze)
		h.submit(sub)
		ids = append(ids, sub.JobID)
		h.reaches(sub.JobID, contract.StatusFailed)
	}
	again := call[contract.Job](h, contract.RPCJobsRetry, contract.JobRequest{JobID: ids[0], Actor: "bob"})
	require.Nil(t, again.ErrorText)
	job := h.reaches(ids[0], contract.StatusSucceeded)
	require.Equal(t, 1, job.AttemptCount)
	require.Len(t, job.Attempts, 2, "the attempts before are kept")
	_, err := bus.Call[contract.Job](t.Context(), h.nc, contract.RPCJobsRetry, contract.JobRequest{JobID: ids[0]})
	require.Equal(t, fault.Conflict, fault.KindOf(err))

	req := contract.RetryJobsRequest{Status: "failed", JobType: contract.JobAnalyze, Limit: 1, PerSecond: 1}
	reply := call[contract.RetryJobsReply](h, contract.RPCJobsRetryMany, req)
	require.Equal(t, []string{ids[1]}, reply.JobIDs, "the oldest first")
	require.True(t, reply.More)
	req.Limit = 10
	require.Equal(t, []string{ids[2]}, call[contract.RetryJobsReply](h, contract.RPCJobsRetryMany, req).JobIDs)
	require.Empty(t, call[contract.RetryJobsReply](h, contract.RPCJobsRetryMany, req).JobIDs)
	h.reaches(ids[1], contract.StatusSucceeded)
	h.reaches(ids[2], contract.StatusSucceeded)
	for _, bad := range []contract.RetryJobsRequest{{Status: "succeeded", Limit: 1, PerSecond: 1}, {Status: "failed", PerSecond: 1}, {Status: "failed", Limit: 1}} {
		_, err := bus.Call[contract.RetryJobsReply](t.Context(), h.nc, contract.RPCJobsRetryMany, bad)
		require.Equal(t, fault.Unprocessable, fault.KindOf(err))
	}
}

// A paused queue starts nothing, keeps everything, and goes on where it was;
// other queues do not notice.
func TestGuaranteePausedQueueStartsNothing(t *testing.T) {
	t.Parallel()
	h := servers(t)
	stop := h.service(config())
	pause := func(paused bool) contract.Queue {
		return call[contract.Queue](h, contract.RPCJobsPause, contract.PauseQueueRequest{Queue: contract.QueuePlugins, Paused: paused, Actor: "root"})
	}
	require.True(t, pause(true).Paused)
	sub, cancelled := submission(contract.JobAnalyze), submission(contract.JobAnalyze)
	h.submit(sub)
	h.submit(cancelled)
	h.work("w", done)
	testkit.Eventually(t, func() bool {
		var n int
		return h.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.jobs WHERE due_at IS NOT NULL`).Scan(&n) == nil && n == 2
	}, "the jobs were not parked")
	stop()
	h.service(config())
	require.Equal(t, contract.StatusCancelled, call[contract.Job](h, contract.RPCJobsCancel, contract.JobRequest{JobID: cancelled.JobID}).Status)
	queues := call[contract.QueuesReply](h, contract.RPCJobsQueues, struct{}{}).Queues
	require.Equal(t, []string{"bench", "corpus", "plugins"}, []string{queues[0].Name, queues[1].Name, queues[2].Name})
	require.Equal(t, contract.Queue{Name: "plugins", Paused: true, Waiting: contract.LaneCounts{Normal: 1}, JobTypes: []string{"analyze"}}, queues[2])
	require.Equal(t, contract.StatusQueued, h.get(sub.JobID).Status)
	require.False(t, pause(false).Paused)
	h.reaches(sub.JobID, contract.StatusSucceeded)
	_, err := bus.Call[contract.Queue](t.Context(), h.nc, contract.RPCJobsPause, contract.PauseQueueRequest{Queue: "nope"})
	require.Equal(t, fault.NotFound, fault.KindOf(err))
}

func TestProgressAndWorkersAreSeen(t *testing.T) {
	t.Parallel()
	h := start(t)
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	mine := ref(sub.JobID)
	require.Len(t, h.claim("w", mine).Granted, 1)
	version := h.get(sub.JobID).UpdatedAt
	beat := contract.HeartbeatRequest{
		Worker: "w", Queue: "plugins", JobTypes: []string{"analyze"}, InFlight: 1, Leases: []contract.LeaseRef{mine},
		Progress: []contract.Progress{
			{JobID: sub.JobID, LeaseToken: mine.LeaseToken, Percent: 40, Message: "page 4\x00"},
			{JobID: sub.JobID, LeaseToken: uuid.NewString(), Percent: 90},
			{JobID: sub.JobID, LeaseToken: mine.LeaseToken, Percent: 400},
			{JobID: "x"},
		},
	}
	call[contract.HeartbeatReply](h, contract.RPCJobsHeartbeat, beat)
	job := h.get(sub.JobID)
	require.Equal(t, &contract.JobProgress{Percent: 40, Message: "page 4"}, job.Progress)
	require.Equal(t, version, job.UpdatedAt, "it is not a change of state")
	for {
		if e := testkit.Receive(t, h.events); e.Type == contract.EventType(contract.AreaJob, contract.WhatProgress) {
			require.JSONEq(t, `{"job_id":"`+sub.JobID+`","job_type":"analyze","percent":40,"message":"page 4"}`, string(e.Data))
			break
		}
	}
	workers := call[contract.WorkersReply](h, contract.RPCJobsWorkers, struct{}{}).Workers
	require.Len(t, workers, 1)
	require.Equal(t, "live", workers[0].Status)
	require.Equal(t, 1, workers[0].InFlight)
	_, err := h.db.Pool.Exec(t.Context(), `UPDATE jobs.workers SET heartbeat_at = heartbeat_at - interval '1 minute'`)
	require.NoError(t, err)
	require.Equal(t, "gone", call[contract.WorkersReply](h, contract.RPCJobsWorkers, struct{}{}).Workers[0].Status)
}

// Cancel and finish meet a thousand times: one of them wins, and the events say
// which.
func TestGuaranteeCancelAgainstFinishHasOneEnd(t *testing.T) {
	t.Parallel()
	h := start(t)
	const n = 1000
	var subs []contract.Submission
	for i := range n {
		subs = append(subs, submission(contract.JobAnalyze))
		if (i+1)%50 == 0 {
			h.send(subs[i-49:]...)
		}
	}
	h.verdicts(n)
	refs := make([]contract.LeaseRef, n)
	for i, s := range subs {
		refs[i] = ref(s.JobID)
	}
	var racing sync.WaitGroup
	slots := make(chan struct{}, 16)
	accepted := make([]bool, n)
	const together = 20
	for i, r := range refs {
		if i%together == 0 {
			// No lease may run out before its race.
			racing.Wait()
			require.Len(t, h.claim("w", refs[i:i+together]...).Granted, together)
		}
		slots <- struct{}{}
		racing.Go(func() {
			defer func() { <-slots }()
			var pair sync.WaitGroup
			pair.Go(func() {
				_, err := bus.Call[contract.Job](t.Context(), h.nc, contract.RPCJobsCancel, contract.JobRequest{JobID: r.JobID, Actor: "bob"})
				if err != nil {
					t.Errorf("cancel: %v", err)
				}
			})
			reply, err := bus.Call[contract.FinishReply](t.Context(), h.nc, contract.RPCJobsFinish, contract.FinishRequest{
				Worker: "w", Results: []contract.RunResult{{JobID: r.JobID, LeaseToken: r.LeaseToken, Outcome: contract.OutcomeSucceeded}},
			})
			if err != nil {
				t.Errorf("finish: %v", err)
			} else {
				accepted[i] = reply.Verdicts[0].Accepted
			}
			pair.Wait()
		})
	}
	racing.Wait()
	ends := map[string]string{}
	for len(ends) < n {
		e := testkit.Receive(t, h.events)
		var c contract.JobChange
		require.NoError(t, json.Unmarshal(e.Data, &c))
		if c.Status.Finished() {
			require.Contains(t, []string{"", e.ID}, ends[c.JobID], "two ends")
			ends[c.JobID] = e.ID
			want := contract.StatusCancelled
			for i := range refs {
				if refs[i].JobID == c.JobID && accepted[i] {
					want = contract.StatusSucceeded
				}
			}
			require.Equal(t, want, c.Status)
		}
	}
	var attempts, twice int
	require.NoError(t, h.db.Pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE j.status <> a.status) FROM jobs.job_attempts AS a JOIN jobs.jobs AS j ON j.id = a.job_id`).Scan(&attempts, &twice))
	require.Equal(t, n, attempts)
	require.Zero(t, twice)
}

func TestListsByCursorStatusAndTag(t *testing.T) {
	t.Parallel()
	h := start(t)
	var ids []string
	for i := range 7 {
		sub := submission(contract.JobAnalyze)
		sub.Tags = []string{"all", fmt.Sprint("n=", i%2)}
		if i == 3 {
			sub.Priority = contract.PriorityLow
		}
		h.submit(sub)
		ids = append([]string{sub.JobID}, ids...)
	}
	list := func(req contract.ListJobsRequest) contract.ListJobsReply {
		if req.Limit == 0 {
			req.Limit = 100
		}
		return call[contract.ListJobsReply](h, contract.RPCJobsList, req)
	}
	idsOf := func(r contract.ListJobsReply) (out []string) {
		for _, j := range r.Jobs {
			out = append(out, j.JobID)
		}
		return out
	}
	var paged []string
	req := contract.ListJobsRequest{Limit: 3}
	for page := list(req); ; page = list(req) {
		paged = append(paged, idsOf(page)...)
		if req.Cursor = page.NextCursor; req.Cursor == "" {
			break
		}
	}
	require.Equal(t, ids, paged)
	require.Equal(t, []string{ids[3]}, idsOf(list(contract.ListJobsRequest{Priority: contract.PriorityLow})))
	require.Equal(t, []string{ids[1], ids[3], ids[5]}, idsOf(list(contract.ListJobsRequest{Tag: "n=1", Status: "queued", JobType: "analyze", CreatedBy: "alice"})))
	require.Empty(t, idsOf(list(contract.ListJobsRequest{Tag: "n=2"})))

	require.Len(t, h.claim("w", ref(ids[0])).Granted, 1)
	call[contract.Job](h, contract.RPCJobsCancel, contract.JobRequest{JobID: ids[6]})
	require.Equal(t, []string{ids[0]}, idsOf(list(contract.ListJobsRequest{Status: "running"})))
	require.Equal(t, []string{ids[6]}, idsOf(list(contract.ListJobsRequest{Status: "cancelled"})))
	require.Equal(t, ids[1:6], idsOf(list(contract.ListJobsRequest{Status: "queued"})))
	counts := call[contract.JobCounts](h, contract.RPCJobsCounts, struct{}{})
	require.EqualValues(t, 5, counts.Queued)
	require.EqualValues(t, 1, counts.Running)
	require.EqualValues(t, 1, counts.Cancelled)
	for _, bad := range []contract.ListJobsRequest{{Limit: 1, Cursor: "x"}, {Limit: 1, Cursor: "eA"}, {Limit: 1, Offset: 1, Cursor: list(contract.ListJobsRequest{Limit: 1}).NextCursor}} {
		_, err := bus.Call[contract.ListJobsReply](t.Context(), h.nc, contract.RPCJobsList, bad)
		require.Equal(t, fault.Unprocessable, fault.KindOf(err))
	}
}

func TestNewTypeHasItsQueueAtOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	kind := contract.JobType{Name: "brew_tea", Queue: "kitchen", MaxAttempts: 2, TimeoutSeconds: 5, RunsPerMessage: 1, BackoffSeconds: []int{1}, MinRole: "operator", Enabled: true}
	set := contract.SetJobTypeRequest{JobType: kind, Create: true, Actor: "root"}
	require.Equal(t, kind, call[contract.JobType](h, contract.RPCJobsSetType, set))
	sub := submission("brew_tea")
	require.Equal(t, contract.StatusQueued, h.submit(sub).Status)
	_, err := h.js.Consumer(t.Context(), contract.StreamRuns, contract.RunConsumer("kitchen", contract.PriorityLow))
	require.NoError(t, err)
	_, err = bus.Call[contract.JobType](t.Context(), h.nc, contract.RPCJobsSetType, set)
	require.Equal(t, fault.Conflict, fault.KindOf(err))
	set.Create, set.JobType.Enabled = false, false
	call[contract.JobType](h, contract.RPCJobsSetType, set)
	require.Equal(t, contract.CodeUnknownJobType, h.submit(submission("brew_tea")).Code)
	require.Len(t, h.claim("w", ref(sub.JobID)).Granted, 1, "jobs of a type that is switched off still run")
	set.JobType.Name = "nope"
	_, err = bus.Call[contract.JobType](t.Context(), h.nc, contract.RPCJobsSetType, set)
	require.Equal(t, fault.NotFound, fault.KindOf(err))
}
