package jobs_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// What is asked of leases, heartbeats and stale recovery (TASK-INFRA-013), line
// by line:
//
//	a job that is `running` with its lease in the past    TestStaleLeaseOfARunningJobIsRecovered
//	  is recovered, and no other
//	it goes to `retry_wait` with the right `next_run_at`  TestStaleLeaseWaitsInRetryWaitUntilNextRunAt
//	with attempt_count = max_attempts it goes to `failed` TestStaleLeaseOfTheLastAttemptGoesToFailed,
//	                                                      TestExpiredLeaseOfLastAttemptFails
//	the name of who recovered it is on record             TestStaleLeaseIsRecoveredUnderTheNameOfItsSweeper
//	of many sweepers one recovers it                      TestStaleLeasesAreRecoveredOnceBySeveralSweepers
//	a heartbeat keeps a lease                             TestGuaranteeHeartbeatKeepsLongJobs
//	a heartbeat too late is told that the lease is lost   TestStaleLeaseIsLostToALateHeartbeat
//	a result too late changes nothing                     TestGuaranteeZombieCannotWrite
//
// A job that is recovered has no lease any more, so its lease_owner is empty:
// who recovered it stands in the event and the audit entry of the recovery, and
// who went silent in the attempt.

// silent is the worker that holds the leases of stale jobs.
const silent = "host-1-0a1b2c3d"

// stale makes a job running, in its attempt-th of most attempts, under a lease
// that ends after the given time; no service may run meanwhile.
func (h *harness) stale(id string, attempt, most int, ends time.Duration) contract.LeaseRef {
	h.t.Helper()
	mine := ref(id)
	tag, err := h.db.Pool.Exec(h.t.Context(), `UPDATE jobs.jobs SET status = 'running', attempt_count = $2, max_attempts = $3, version = version + 1,
			next_run_at = NULL, dispatched_at = NULL, lease_owner = $4, lease_token = $5, lease_expires_at = clock_timestamp() + make_interval(secs => $6),
			started_at = clock_timestamp() - interval '5 minutes' WHERE id = $1`, id, attempt, most, silent, mine.LeaseToken, ends.Seconds())
	require.NoError(h.t, err)
	require.EqualValues(h.t, 1, tag.RowsAffected())
	_, err = h.db.Pool.Exec(h.t.Context(), `INSERT INTO jobs.claims (look_at, job_ids) VALUES (clock_timestamp() - interval '1 second', ARRAY[$1::uuid])`, id)
	require.NoError(h.t, err)
	return mine
}

// recorded submits jobs and stops the service that recorded them.
func recorded(t *testing.T, n int) (h *harness, ids []string) {
	t.Helper()
	h = servers(t)
	stop := h.service(config())
	for range n {
		sub := submission(contract.JobAnalyze)
		h.submit(sub)
		ids = append(ids, sub.JobID)
	}
	stop()
	return h, ids
}

// recovery waits for the event that a job was recovered.
func (h *harness) recovery(id string) (contract.Event, contract.StaleLease) {
	h.t.Helper()
	for {
		if e, data := h.nextRecovery(); data.JobID == id {
			return e, data
		}
	}
}

func TestStaleLeaseOfARunningJobIsRecovered(t *testing.T) {
	t.Parallel()
	h, ids := recorded(t, 2)
	h.stale(ids[0], 1, 3, -time.Minute)
	h.stale(ids[1], 1, 3, time.Hour)
	h.service(config())
	job := h.reaches(ids[0], contract.StatusRetryWait)
	require.Len(t, job.Attempts, 1)
	require.Equal(t, "failed", job.Attempts[0].Status)
	require.Equal(t, silent, job.Attempts[0].Worker)
	require.Equal(t, 1, job.Attempts[0].AttemptNumber)
	require.GreaterOrEqual(t, *job.Attempts[0].RuntimeMS, int64(5*60*1000), "from its start to its recovery")
	require.Equal(t, "the worker went silent and its lease ran out", *job.Attempts[0].ErrorText)
	require.Nil(t, job.LeaseOwner)
	require.Nil(t, job.LeaseExpiresAt)
	kept := h.get(ids[1])
	require.Equal(t, contract.StatusRunning, kept.Status, "its lease has not run out")
	require.Equal(t, silent, *kept.LeaseOwner)
}

func TestStaleLeaseWaitsInRetryWaitUntilNextRunAt(t *testing.T) {
	t.Parallel()
	waits := []time.Duration{2 * time.Second, 10 * time.Second, 30 * time.Second, 30 * time.Second}
	h, ids := recorded(t, len(waits))
	for i, id := range ids {
		h.stale(id, i+1, 9, -time.Minute)
	}
	began := time.Now()
	h.service(config())
	for range ids {
		_, data := h.nextRecovery()
		require.Equal(t, contract.StatusRetryWait, data.NewStatus)
	}
	var due time.Time
	for i, id := range ids {
		job := h.get(id)
		require.Equal(t, contract.StatusRetryWait, job.Status)
		require.Equal(t, i+1, job.AttemptCount)
		// The wait is counted from the recovery, not from the end of the lease.
		require.Equal(t, waits[i], job.NextRunAt.Sub(job.UpdatedAt), "after attempt %d", i+1)
		require.WithinRange(t, job.UpdatedAt, began.Add(-time.Second), time.Now().Add(time.Second))
		if i == 0 {
			due = *job.NextRunAt
		}
	}
	h.work("second", done)
	job := h.reaches(ids[0], contract.StatusSucceeded)
	require.Equal(t, 2, job.AttemptCount)
	require.False(t, job.Attempts[1].StartedAt.Before(due), "it ran before its time")
}

func TestStaleLeaseOfTheLastAttemptGoesToFailed(t *testing.T) {
	t.Parallel()
	h, ids := recorded(t, 1)
	h.stale(ids[0], 3, 3, -time.Minute)
	h.service(config())
	_, data := h.recovery(ids[0])
	require.Equal(t, contract.StatusFailed, data.NewStatus)
	job := h.get(ids[0])
	require.Equal(t, contract.StatusFailed, job.Status)
	require.Equal(t, 3, job.AttemptCount)
	require.Nil(t, job.NextRunAt)
	require.NotNil(t, job.FinishedAt)
	require.Equal(t, "the worker went silent and its lease ran out", *job.ErrorText)
	require.Equal(t, []string{ids[0]}, h.claim("second", ref(ids[0])).Refused, "there is no attempt left")
}

func TestStaleLeaseIsRecoveredUnderTheNameOfItsSweeper(t *testing.T) {
	t.Parallel()
	h, ids := recorded(t, 1)
	h.stale(ids[0], 1, 3, -time.Minute)
	h.service(config())
	event, data := h.recovery(ids[0])
	require.Equal(t, contract.StaleLease{
		JobID: ids[0], OriginalLeaseOwner: silent, RecoveringWorker: h.sweeper, NewStatus: contract.StatusRetryWait,
	}, data)
	require.Equal(t, h.sweeper, event.Actor)
	require.Equal(t, "req-1", event.RequestID)
	require.Nil(t, h.get(ids[0]).LeaseOwner, "nobody holds a job that waits")
}

func TestStaleLeasesAreRecoveredOnceBySeveralSweepers(t *testing.T) {
	t.Parallel()
	const jobs = 60
	h, ids := recorded(t, jobs)
	for _, id := range ids {
		h.stale(id, 1, 1, -time.Minute)
	}
	for range 3 {
		h.service(config())
	}
	recoveries := map[string]int{}
	var last string
	for len(recoveries) < jobs {
		_, data := h.nextRecovery()
		recoveries[data.JobID]++
		last = data.JobID
	}
	require.Equal(t, contract.StatusFailed, h.get(last).Status)
	// One more goes through all sweepers; what they did twice has come by then.
	extra := submission(contract.JobAnalyze)
	h.submit(extra)
	require.Len(t, h.claim(silent, ref(extra.JobID)).Granted, 1)
	for _, data := h.nextRecovery(); data.JobID != extra.JobID; _, data = h.nextRecovery() {
		recoveries[data.JobID]++
	}
	for _, id := range ids {
		require.Equal(t, 1, recoveries[id], "recoveries of job %s", id)
		require.Len(t, h.get(id).Attempts, 1)
	}
}

func (h *harness) nextRecovery() (contract.Event, contract.StaleLease) {
	h.t.Helper()
	for {
		e := testkit.Receive(h.t, h.events)
		if e.Type == contract.EventType(contract.AreaJob, contract.WhatStaleLease) {
			var data contract.StaleLease
			require.NoError(h.t, json.Unmarshal(e.Data, &data))
			return e, data
		}
	}
}

func TestStaleLeaseIsLostToALateHeartbeat(t *testing.T) {
	t.Parallel()
	h, ids := recorded(t, 2)
	gone, kept := h.stale(ids[0], 1, 3, -time.Minute), h.stale(ids[1], 1, 3, time.Hour)
	h.service(config())
	h.reaches(ids[0], contract.StatusRetryWait)
	reply := call[contract.HeartbeatReply](h, contract.RPCJobsHeartbeat, contract.HeartbeatRequest{
		Worker: silent, Queue: contract.QueuePlugins, JobTypes: []string{contract.JobAnalyze}, InFlight: 2, Leases: []contract.LeaseRef{gone, kept},
		Progress: []contract.Progress{{JobID: gone.JobID, LeaseToken: gone.LeaseToken, Percent: 50}},
	})
	require.Equal(t, []string{gone.LeaseToken}, reply.Lost)
	job := h.get(ids[0])
	require.Equal(t, contract.StatusRetryWait, job.Status, "a heartbeat does not bring a lease back")
	require.Nil(t, job.LeaseExpiresAt)
	require.Nil(t, job.Progress)
	require.Equal(t, []string{ids[0]}, h.claim(silent, gone).Refused, "nor does its old token, before the wait is over")
}
