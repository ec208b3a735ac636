package jobs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

// Accepted is durable: whoever is answered finds the row, at once.
func TestGuaranteeAnsweredJobsAreCommitted(t *testing.T) {
	t.Parallel()
	h := start(t)
	var subs []contract.Submission
	for range 200 {
		subs = append(subs, submission(contract.JobAnalyze))
	}
	for i := 0; i < len(subs); i += 20 {
		h.send(subs[i : i+20]...)
	}
	for range subs {
		v := testkit.Receive(t, h.inbox)
		require.Empty(t, v.Code)
		var n int
		require.NoError(t, h.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.jobs WHERE id = $1`, v.JobID).Scan(&n))
		require.Equal(t, 1, n)
	}
}

func TestGuaranteeSameIDIsRecordedOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	first := submission(contract.JobAnalyze)
	first.IdempotencyKey = "order-7"
	var refs sync.Map
	for range 50 {
		again := first
		again.Ref = uuid.NewString()
		refs.Store(again.Ref, true)
		h.send(again)
	}
	fresh := 0
	for range 50 {
		v := testkit.Receive(t, h.inbox)
		_, known := refs.LoadAndDelete(v.Ref)
		require.True(t, known)
		require.Empty(t, v.Code)
		require.Equal(t, first.JobID, v.JobID)
		if !v.Existing {
			fresh++
		}
	}
	require.Equal(t, 1, fresh)

	other := first
	other.Ref, other.Payload = uuid.NewString(), json.RawMessage(`{"n":2}`)
	v := h.submit(other)
	require.Equal(t, contract.CodeConflict, v.Code)
	require.JSONEq(t, `{"n":1}`, string(h.get(first.JobID).Payload))
}

// At most once recorded: a result under a lease that is gone changes nothing.
func TestGuaranteeZombieCannotWrite(t *testing.T) {
	t.Parallel()
	h := start(t)
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	zombie := ref(sub.JobID)
	require.Len(t, h.claim("zombie", zombie).Granted, 1)

	// The zombie never renews: the sweeper recovers the job.
	waiting := h.reaches(sub.JobID, contract.StatusRetryWait)
	require.Equal(t, "zombie", waiting.Attempts[0].Worker)
	require.Contains(t, *waiting.ErrorText, "lease ran out")
	for {
		e := testkit.Receive(t, h.events)
		if e.Type != contract.EventType(contract.AreaJob, contract.WhatStaleLease) {
			continue
		}
		var data contract.StaleLease
		require.NoError(t, json.Unmarshal(e.Data, &data))
		require.Equal(t, sub.JobID, data.JobID)
		require.Equal(t, "zombie", data.OriginalLeaseOwner)
		require.Contains(t, data.RecoveringWorker, "sweeper-")
		require.Equal(t, contract.StatusRetryWait, data.NewStatus)
		break
	}
	h.work("second", done)
	h.reaches(sub.JobID, contract.StatusSucceeded)

	late := contract.RunResult{JobID: sub.JobID, LeaseToken: zombie.LeaseToken, Outcome: contract.OutcomeSucceeded, Result: json.RawMessage(`"zombie"`)}
	reply := h.finish("zombie", late)
	require.False(t, reply.Verdicts[0].Accepted)
	require.Equal(t, contract.StatusSucceeded, reply.Verdicts[0].Status)
	late.Outcome, late.ErrorText = contract.OutcomeFailed, "zombie"
	require.False(t, h.finish("zombie", late).Verdicts[0].Accepted)
	job := h.get(sub.JobID)
	require.JSONEq(t, `{"answer":42}`, string(job.Result))
	require.Len(t, job.Attempts, 2)
}

func TestExpiredLeaseOfLastAttemptFails(t *testing.T) {
	t.Parallel()
	h := start(t)
	sub := submission(contract.JobAnalyze)
	sub.MaxAttempts = 1
	h.submit(sub)
	require.Len(t, h.claim("silent", ref(sub.JobID)).Granted, 1)
	job := h.reaches(sub.JobID, contract.StatusFailed)
	require.Len(t, job.Attempts, 1)
	require.Equal(t, "failed", job.Attempts[0].Status)
}

func TestClaimsAndResultsAreIdempotentForTheirToken(t *testing.T) {
	t.Parallel()
	h := start(t)
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	mine := ref(sub.JobID)
	first := h.claim("w", mine)
	require.Len(t, first.Granted, 1)
	require.Equal(t, 1, first.Granted[0].Attempt)
	again := h.claim("w", mine)
	require.Len(t, again.Granted, 1, "a claim whose answer was lost is granted again")
	require.Equal(t, 1, again.Granted[0].Attempt)
	require.Equal(t, []string{sub.JobID}, h.claim("other", ref(sub.JobID)).Refused)

	stranger := ref(sub.JobID)
	beat, err := bus.Call[contract.HeartbeatReply](t.Context(), h.nc, contract.RPCJobsHeartbeat, contract.HeartbeatRequest{
		Worker: "w", Queue: "plugins", JobTypes: []string{"analyze"}, Leases: []contract.LeaseRef{mine, stranger},
	})
	require.NoError(t, err)
	require.Equal(t, []string{stranger.LeaseToken}, beat.Lost, "only the stranger's lease is lost")

	result := contract.RunResult{JobID: sub.JobID, LeaseToken: mine.LeaseToken, Outcome: contract.OutcomeSucceeded}
	for range 2 {
		require.Equal(t, []contract.FinishVerdict{{JobID: sub.JobID, Accepted: true, Status: contract.StatusSucceeded}}, h.finish("w", result).Verdicts,
			"a report whose answer was lost has it again")
	}
	require.Len(t, h.get(sub.JobID).Attempts, 1)
	failed := result
	failed.Outcome, failed.ErrorText = contract.OutcomeFailed, "no"
	require.False(t, h.finish("w", failed).Verdicts[0].Accepted, "another report is no repeat")
	result.LeaseToken = uuid.NewString()
	require.False(t, h.finish("w", result).Verdicts[0].Accepted)
	require.Equal(t, []string{sub.JobID}, h.claim("w", ref(sub.JobID)).Refused, "a finished job is not given out")
}

// Whatever came of a run, its report has the same answer when it is repeated, also
// when the job has gone on meanwhile.
func TestRepeatedReportsAreAcceptedAgain(t *testing.T) {
	t.Parallel()
	h := start(t)
	for name, r := range map[string]contract.RunResult{
		"failed":      {Outcome: contract.OutcomeFailed, ErrorText: "no", RetryAfterMS: 1},
		"released":    {Outcome: contract.OutcomeReleased},
		"snoozed":     {Outcome: contract.OutcomeSnoozed, RetryAfterMS: 1},
		"unavailable": {Outcome: contract.OutcomeFailed, Unavailable: true, ErrorText: "away"},
	} {
		sub := submission(contract.JobAnalyze)
		h.submit(sub)
		mine := ref(sub.JobID)
		require.Len(t, h.claim("w", mine).Granted, 1, name)
		r.JobID, r.LeaseToken = mine.JobID, mine.LeaseToken
		again := h.finish("w", r, r, contract.RunResult{JobID: mine.JobID, LeaseToken: uuid.NewString(), Outcome: r.Outcome}).Verdicts
		waiting := contract.FinishVerdict{JobID: sub.JobID, Accepted: true, Status: contract.StatusRetryWait}
		require.Equal(t, []contract.FinishVerdict{waiting, waiting, {JobID: sub.JobID, Status: contract.StatusRetryWait}}, again, name)
		require.Equal(t, waiting, h.finish("w", r).Verdicts[0], name)

		_, err := h.db.Pool.Exec(t.Context(), `UPDATE jobs.jobs SET next_run_at = now() WHERE id = $1`, sub.JobID)
		require.NoError(t, err)
		next := ref(sub.JobID)
		require.Len(t, h.claim("w", next).Granted, 1, name)
		require.Equal(t, contract.FinishVerdict{JobID: sub.JobID, Accepted: true, Status: contract.StatusRunning}, h.finish("w", r).Verdicts[0], name)
		r.Outcome = contract.OutcomeSucceeded
		require.False(t, h.finish("w", r).Verdicts[0].Accepted, name)
		require.Equal(t, contract.StatusRunning, h.get(sub.JobID).Status, "the run that came after goes on")
		done := contract.RunResult{JobID: sub.JobID, LeaseToken: next.LeaseToken, Outcome: contract.OutcomeSucceeded}
		verdicts := h.finish("w", r, done).Verdicts
		require.Equal(t, []bool{false, true}, []bool{verdicts[0].Accepted, verdicts[1].Accepted}, name)
	}
}

// Nothing vanishes: the broker forgets every run message, and the jobs run.
func TestGuaranteeBrokerLossLosesNoJob(t *testing.T) {
	t.Parallel()
	h := start(t)
	var ids []string
	for range 20 {
		sub := submission(contract.JobAnalyze)
		h.submit(sub)
		ids = append(ids, sub.JobID)
	}
	stream, err := h.js.Stream(t.Context(), contract.StreamRuns)
	require.NoError(t, err)
	testkit.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 20
	}, "the run messages did not arrive")
	require.NoError(t, stream.Purge(t.Context()))
	// The sweeper waits until a message cannot be on its way any more.
	_, err = h.db.Pool.Exec(t.Context(), `WITH d AS (UPDATE jobs.dispatches SET dispatched_at = dispatched_at - interval '1 minute')
		UPDATE jobs.jobs SET dispatched_at = dispatched_at - interval '1 minute'`)
	require.NoError(t, err)
	h.work("w", done)
	for _, id := range ids {
		require.Equal(t, 1, h.reaches(id, contract.StatusSucceeded).AttemptCount)
	}
}

// mute is a broker that takes no message.
type mute struct{ jetstream.JetStream }

func (mute) PublishMsgAsync(*nats.Msg, ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return nil, nats.ErrConnectionClosed
}

func (mute) PublishMsg(context.Context, *nats.Msg, ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return nil, nats.ErrConnectionClosed
}

// Every state change is an event, even when the process that committed it could
// publish nothing until its end: whoever comes after it publishes what it left.
func TestGuaranteeEventsSurviveACrashBeforePublishing(t *testing.T) {
	t.Parallel()
	h := servers(t)
	stop := h.serviceOn(config(), func(js jetstream.JetStream) jetstream.JetStream { return mute{js} })
	ended, waiting := submission(contract.JobAnalyze), submission(contract.JobAnalyze)
	require.Empty(t, h.submit(ended).Code)
	require.Empty(t, h.submit(waiting).Code)
	mine := ref(ended.JobID)
	require.Len(t, h.claim("w", mine).Granted, 1)
	require.True(t, h.finish("w", contract.RunResult{JobID: ended.JobID, LeaseToken: mine.LeaseToken, Outcome: contract.OutcomeSucceeded}).Verdicts[0].Accepted)
	stop()
	for name, pattern := range map[string]string{contract.StreamEvents: contract.PatternEvents, contract.StreamRuns: contract.PatternRuns} {
		stream, err := h.js.Stream(t.Context(), name)
		require.NoError(t, err)
		_, err = stream.GetLastMsgForSubject(t.Context(), pattern)
		require.ErrorIs(t, err, jetstream.ErrMsgNotFound, "the broker heard of nothing")
	}
	require.Empty(t, h.events)

	h.service(config())
	heard := map[string][]string{}
	for len(heard[ended.JobID]) < 3 || len(heard[waiting.JobID]) < 1 {
		e := testkit.Receive(t, h.events)
		var c contract.JobChange
		require.NoError(t, json.Unmarshal(e.Data, &c))
		require.Equal(t, contract.JobEventID(c.JobID, c.Version), e.ID)
		heard[c.JobID] = append(heard[c.JobID], e.Type)
	}
	require.Equal(t, map[string][]string{
		ended.JobID:   {"nexus.job.queued.v1", "nexus.job.running.v1", "nexus.job.succeeded.v1"},
		waiting.JobID: {"nexus.job.queued.v1"},
	}, heard)
	h.work("w", done)
	require.Equal(t, []string{"nexus.job.running.v1", "nexus.job.succeeded.v1"}, h.eventsUntil(waiting.JobID, "succeeded"), "its run message had been left, too")
	testkit.Eventually(t, func() bool {
		var n int
		return h.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.outbox`).Scan(&n) == nil && n == 0
	}, "the outbox was not emptied")
}

// A worker that stops gives back what it runs and burns no attempt.
func TestGuaranteeShutdownBurnsNoAttempt(t *testing.T) {
	t.Parallel()
	h := start(t)
	running := make(chan struct{})
	stop := h.workWith(worker.Config{Name: "leaver", Queue: contract.QueuePlugins, Concurrency: 1, Lease: testkit.Lease, Grace: 50 * time.Millisecond},
		func(ctx context.Context, _ worker.Job) (worker.Result, error) {
			close(running)
			<-ctx.Done()
			return worker.Result{}, ctx.Err()
		})
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	testkit.Receive(t, running)
	stop()
	released := h.get(sub.JobID)
	require.Equal(t, contract.StatusRetryWait, released.Status)
	require.Zero(t, released.AttemptCount)
	require.Empty(t, released.Attempts)
	h.work("successor", done)
	job := h.reaches(sub.JobID, contract.StatusSucceeded)
	require.Equal(t, 1, job.AttemptCount)
	require.Equal(t, "successor", job.Attempts[0].Worker)
}

// A handler that takes longer than its lease keeps it, and runs once.
func TestGuaranteeHeartbeatKeepsLongJobs(t *testing.T) {
	t.Parallel()
	h := start(t)
	var runs atomic.Int32
	release := make(chan struct{})
	h.work("slow", func(context.Context, worker.Job) (worker.Result, error) {
		runs.Add(1)
		<-release
		return worker.Result{}, nil
	})
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	first := h.reaches(sub.JobID, contract.StatusRunning)
	testkit.Eventually(t, func() bool {
		return h.get(sub.JobID).LeaseExpiresAt.After(first.LeaseExpiresAt.Add(2 * testkit.Lease))
	}, "the lease was not renewed")
	close(release)
	require.Equal(t, 1, h.reaches(sub.JobID, contract.StatusSucceeded).AttemptCount)
	require.EqualValues(t, 1, runs.Load())
}

// A second message for a job does no harm.
func TestGuaranteeDuplicateRunMessagesRunOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	var runs atomic.Int32
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	subject, err := contract.RunSubject(contract.QueuePlugins, contract.PriorityNormal, contract.JobAnalyze, sub.JobID)
	require.NoError(t, err)
	twice, err := json.Marshal(contract.RunMessage{JobIDs: []string{sub.JobID, sub.JobID, uuid.NewString()}})
	require.NoError(t, err)
	for i, b := range [][]byte{twice, twice, []byte("not json"), []byte(`{"job_ids":[]}`)} {
		_, err = h.js.Publish(t.Context(), subject, b, jetstream.WithMsgID(fmt.Sprint(sub.JobID, i)))
		require.NoError(t, err)
	}
	h.work("w", func(context.Context, worker.Job) (worker.Result, error) {
		runs.Add(1)
		return worker.Result{}, nil
	})
	h.reaches(sub.JobID, contract.StatusSucceeded)
	stream, err := h.js.Stream(t.Context(), contract.StreamRuns)
	require.NoError(t, err)
	testkit.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	}, "the messages were not settled")
	require.EqualValues(t, 1, runs.Load())
	require.Equal(t, 1, h.get(sub.JobID).AttemptCount)
}

func TestBenchJobsTravelInPacks(t *testing.T) {
	t.Parallel()
	h := servers(t)
	cfg := config()
	cfg.BenchJobs, cfg.BenchWorkers = true, 50
	h.service(cfg)
	const n = 500
	var subs []contract.Submission
	for range n {
		subs = append(subs, submission(contract.JobNoop))
	}
	for i := 0; i < n; i += contract.MaxSubmissions {
		h.send(subs[i:min(n, i+contract.MaxSubmissions)]...)
	}
	testkit.Eventually(t, func() bool {
		var done int
		err := h.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.jobs WHERE status = 'succeeded' AND attempt_count = 1`).Scan(&done)
		return err == nil && done == n
	}, "the jobs did not finish")
	var attempts int
	require.NoError(t, h.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.job_attempts`).Scan(&attempts))
	require.Equal(t, n, attempts)
}

func TestResultsPostgresCannotKeepFailTheJob(t *testing.T) {
	t.Parallel()
	h := start(t)
	for name, change := range map[string]func(*contract.RunResult){
		"artifact without type": func(r *contract.RunResult) { r.Artifacts = []contract.Artifact{{Payload: json.RawMessage(`1`)}} },
		"huge result": func(r *contract.RunResult) {
			r.Result = json.RawMessage(fmt.Sprintf(`"%0*d"`, contract.MaxInlineResult, 1))
		},
	} {
		sub := submission(contract.JobAnalyze)
		h.submit(sub)
		mine := ref(sub.JobID)
		require.Len(t, h.claim("w", mine).Granted, 1)
		r := contract.RunResult{JobID: sub.JobID, LeaseToken: mine.LeaseToken, Outcome: contract.OutcomeSucceeded}
		change(&r)
		require.Equal(t, contract.StatusFailed, h.finish("w", r).Verdicts[0].Status, name)
	}
}

// What was not committed is not told: a claim whose transaction fails at its
// very end leaves no event behind.
func TestGuaranteeOnlyCommittedChangesAreEvents(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.service(config())
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	require.Equal(t, []string{"nexus.job.queued.v1"}, h.eventsUntil(sub.JobID, "queued"))
	for _, statement := range []string{
		`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the commit fails'; END $$`,
		`CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON jobs.jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
			WHEN (new.status = 'running') EXECUTE FUNCTION refuse()`,
	} {
		_, err := h.db.Pool.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	claim := contract.ClaimRequest{Worker: "w", Claims: []contract.LeaseRef{{JobID: sub.JobID, LeaseToken: uuid.NewString()}}}
	_, err := bus.Call[contract.ClaimReply](t.Context(), h.nc, contract.RPCJobsClaim, claim)
	require.Error(t, err)
	_, err = h.db.Pool.Exec(t.Context(), `DROP TRIGGER refuse ON jobs.jobs`)
	require.NoError(t, err)
	_, err = bus.Call[contract.Job](t.Context(), h.nc, contract.RPCJobsCancel, contract.JobRequest{JobID: sub.JobID, Actor: "bob"})
	require.NoError(t, err)
	require.Equal(t, []string{"nexus.job.cancelled.v1"}, h.eventsUntil(sub.JobID, "cancelled"))
}
