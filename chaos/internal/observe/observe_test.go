package observe_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/chaos/internal/history"
	"nexus.internal/chaos/internal/observe"
	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

func create(t *testing.T) (file *history.File, read func() []history.Record) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	file, err := history.Create(path)
	require.NoError(t, err)
	return file, func() []history.Record {
		require.NoError(t, file.Close())
		records, err := history.ReadFile(path)
		require.NoError(t, err)
		return records
	}
}

func change(t *testing.T, id string, version int, status contract.Status) bus.Message {
	t.Helper()
	data, err := json.Marshal(contract.JobChange{JobID: id, JobType: "noop", Status: status, Version: version, Attempt: version - 1, MaxAttempts: 3})
	require.NoError(t, err)
	m, err := bus.EventMessage(contract.AreaJob, string(status), "noop", contract.Event{
		ID: contract.JobEventID(id, version), Type: contract.EventType(contract.AreaJob, string(status)), Time: time.Now(),
		Source: "nexus.jobs", Actor: "me", RequestID: "request-" + id, Data: data,
	})
	require.NoError(t, err)
	return m
}

func stale(t *testing.T, id string, version int) bus.Message {
	t.Helper()
	data, err := json.Marshal(contract.StaleLease{JobID: id, OriginalLeaseOwner: "a", RecoveringWorker: "b", NewStatus: contract.StatusRetryWait})
	require.NoError(t, err)
	m, err := bus.EventMessage(contract.AreaJob, contract.WhatStaleLease, "noop", contract.Event{
		ID: contract.JobEventID(id, version) + "/" + contract.WhatStaleLease, Type: contract.EventType(contract.AreaJob, contract.WhatStaleLease),
		Time: time.Now(), Source: "nexus.jobs", Actor: "b", Data: data,
	})
	require.NoError(t, err)
	return m
}

func rejected(t *testing.T) bus.Message {
	t.Helper()
	data, err := json.Marshal(contract.Rejection{Owner: "me", JobType: "noop", Code: "conflict", Detail: "no"})
	require.NoError(t, err)
	m, err := bus.EventMessage(contract.AreaSubmit, contract.WhatRejected, "me", contract.Event{
		ID: "r", Type: contract.EventType(contract.AreaSubmit, contract.WhatRejected), Time: time.Now(), Source: "nexus.gateway", RequestID: "key", Data: data,
	})
	require.NoError(t, err)
	return m
}

// A stream that is made anew loses the reader nothing it has seen, and nothing
// that comes after.
func TestEventsSurviveTheStream(t *testing.T) {
	t.Parallel()
	server := testkit.NATSServer(t)
	js := testkit.JetStream(t, testkit.Connect(t, server))
	pub := bus.NewPublisher(js, "test", time.Now)
	file, read := create(t)
	events, err := observe.NewEvents(server.ClientURL(), "", file)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		events.Run(ctx)
		close(done)
	}()

	id := uuid.NewString()
	send := func(i int, m bus.Message) {
		m.ID = fmt.Sprint(i)
		require.NoError(t, pub.Publish(t.Context(), m))
	}
	send(1, change(t, id, 1, contract.StatusQueued))
	// Published twice, as an event may be.
	send(2, change(t, id, 1, contract.StatusQueued))
	send(3, rejected(t))
	testkit.Eventually(t, func() bool { return events.Recorded("request-"+id) == id }, "the event was not read")

	require.NoError(t, js.DeleteStream(t.Context(), contract.StreamEvents))
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), contract.Consumers(testkit.Lease)))
	send(4, change(t, id, 2, contract.StatusRunning))
	send(5, change(t, id, 3, contract.StatusRetryWait))
	send(6, stale(t, id, 3))
	send(7, rejected(t))
	testkit.Eventually(t, func() bool { return events.Seen() == 4 }, "the new stream was not read")
	cancel()
	testkit.Receive(t, done)
	events.Close()

	var got []string
	for _, r := range read() {
		switch {
		case r.Rejection != nil:
			require.Equal(t, history.Rejection{Key: "key", Code: "conflict", Detail: "no"}, *r.Rejection)
			got = append(got, "rejected")
		case r.Event.Recovery != nil:
			require.Equal(t, 3, r.Event.Version)
			require.Equal(t, "a", r.Event.Recovery.OriginalLeaseOwner)
			got = append(got, "recovered")
		default:
			require.Equal(t, id, r.Event.JobID)
			got = append(got, string(r.Event.Status))
		}
	}
	require.ElementsMatch(t, []string{"queued", "rejected", "running", "retry_wait", "recovered"}, got)
}

func TestEventsNeedAKeyAndAServer(t *testing.T) {
	t.Parallel()
	_, err := observe.NewEvents("nats://127.0.0.1:1", "/nowhere", nil)
	require.ErrorContains(t, err, "key")
	_, err = observe.NewEvents("nats://127.0.0.1:1", "", nil)
	require.ErrorContains(t, err, "connect")
}

const job = `INSERT INTO jobs.jobs (id, job_type, status, execution_mode, version, attempt_count, max_attempts, timeout_seconds, created_by, next_run_at, lease_owner, lease_token, lease_expires_at, started_at, finished_at)
	VALUES ($1, 'noop', $2, 'async', $3, $4, 3, 30, 'me', $5, $6, $7, $8, $8, $9)`

const input = `INSERT INTO jobs.job_inputs (job_id, payload, idempotency_key, request_hash) VALUES ($1, '{}', $2, '\x00')`

func TestDatabase(t *testing.T) {
	t.Parallel()
	url := testkit.PostgresURL(t)
	db := testkit.OpenPostgres(t, url, "")
	exec := func(query string, args ...any) {
		_, err := db.Pool.Exec(t.Context(), query, args...)
		require.NoError(t, err)
	}
	database, err := observe.OpenDatabase(t.Context(), url)
	require.NoError(t, err)
	defer database.Close()
	left := func(promised ...string) observe.Left {
		l, err := database.Left(t.Context(), promised)
		require.NoError(t, err)
		return l
	}
	require.Equal(t, observe.Left{Unrecorded: 1}, left("k1"))

	now := time.Now()
	running, done := uuid.NewString(), uuid.NewString()
	exec(job, running, "running", 2, 1, nil, "w1", uuid.NewString(), now, nil)
	exec(job, done, "failed", 3, 1, nil, nil, nil, nil, now)
	exec(input, running, "k1")
	exec(input, done, "k2")
	exec(`INSERT INTO jobs.job_attempts (job_id, version, attempt_number, status, worker, error_text, started_at, finished_at)
		VALUES ($1, 3, 1, 'failed', 'w1', $2, $3, $3)`, done, history.LeaseExpired, now)
	exec(`INSERT INTO jobs.outbox (id, body) VALUES ($1, '[]')`, uuid.NewString())
	require.Equal(t, observe.Left{Unrecorded: 1, Unfinished: 1, Unsent: 1, Unaudited: 6, Events: 6}, left("k1", "k2", "k3"))

	held, err := database.Held(t.Context(), "w1")
	require.NoError(t, err)
	require.Equal(t, []string{running}, held)

	for id, details := range map[string]string{
		done + "/3":                      `{"job_id":"` + done + `","status":"failed","version":3,"attempt":1}`,
		done + "/3/stale_lease_recovery": `{"job_id":"` + done + `","original_lease_owner":"w1","recovering_worker":"w2","new_status":"failed"}`,
		"somebody/1/else":                `{}`,
	} {
		exec(`INSERT INTO audit.audit_logs (occurred_at, event_id, action, actor, source, request_id, details) VALUES ($1, $2, 'a', '', 'nexus.jobs', 'r', $3)`,
			now, id, details)
	}
	require.Equal(t, 4, left().Unaudited)

	file, read := create(t)
	require.NoError(t, database.Collect(t.Context(), file))
	var jobs, attempts, audited, recovered int
	for _, r := range read() {
		switch {
		case r.Job != nil:
			jobs++
		case r.Attempt != nil:
			attempts++
			require.Equal(t, history.Attempt{JobID: done, Version: 3, Number: 1, Status: "failed", Worker: "w1", ErrorText: history.LeaseExpired}, *r.Attempt)
		case r.Audit.Recovery != nil:
			recovered++
			require.Equal(t, "w2", r.Audit.Recovery.RecoveringWorker)
		default:
			audited++
			require.Equal(t, history.Event{ID: done + "/3", JobID: done, Status: contract.StatusFailed, Version: 3, Attempt: 1, RequestID: "r"}, *r.Audit)
		}
	}
	require.Equal(t, []int{2, 1, 1, 1}, []int{jobs, attempts, audited, recovered})
}

func TestADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	database, err := observe.OpenDatabase(t.Context(), "postgres://nobody@127.0.0.1:1/nothing")
	require.NoError(t, err)
	defer database.Close()
	_, err = database.Left(t.Context(), nil)
	require.Error(t, err)
	_, err = database.Held(t.Context(), "w")
	require.Error(t, err)
	file, _ := create(t)
	require.Error(t, database.Collect(t.Context(), file))
	_, err = observe.OpenDatabase(t.Context(), "::")
	require.Error(t, err)
}
