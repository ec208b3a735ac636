package audit_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// BenchmarkEvents measures how many events a second become entries, from full
// packs as a loaded platform publishes them and from packs of one.
func BenchmarkEvents(b *testing.B) {
	for _, size := range []int{contract.MaxEventsPerMessage, 1} {
		b.Run(fmt.Sprintf("pack=%d", size), func(b *testing.B) {
			h := servers(b)
			for i := range b.N {
				h.publishPack(size, i*size)
			}
			testkit.Receive(b, h.js.PublishAsyncComplete())
			before := h.wal()
			b.ResetTimer()
			h.service(noop.NewTracerProvider())
			h.quiet()
			b.StopTimer()
			events := b.N * size
			require.Equal(b, events, h.count("audit_logs"))
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric((h.wal()-before)/float64(events), "WAL-B/event")
		})
	}
}

// wal is how many bytes of write-ahead log the server has written.
func (h *harness) wal() float64 {
	h.t.Helper()
	var n float64
	require.NoError(h.t, h.db.Pool.QueryRow(h.t.Context(), "SELECT (pg_current_wal_lsn() - '0/0')::float8").Scan(&n))
	return n
}

// publishPack publishes a pack as the jobs service would: every event with a
// trace and the data of a job's change.
func (h *harness) publishPack(size, first int) {
	h.t.Helper()
	var events []contract.Event
	for i := range size {
		job := fmt.Sprintf("019900d0-0000-7000-8000-%012d", first+i)
		data, err := json.Marshal(contract.JobChange{
			JobID: job, JobType: contract.JobNoop, Status: "queued", MaxAttempts: 3, Version: 1, CreatedBy: "dev-operator",
		})
		require.NoError(h.t, err)
		events = append(events, contract.Event{
			ID: contract.JobEventID(job, 1), Type: contract.EventType(contract.AreaJob, "queued"), Time: noon, Source: "nexus.jobs",
			Actor: "dev-operator", RequestID: "5b0c37a4-8c1d-4b8e-9d3a-0a3f1f6f2c11", TraceParent: oneTrace, Data: data,
		})
	}
	body, err := contract.EncodeEvents(events)
	require.NoError(h.t, err)
	_, err = h.js.PublishMsgAsync(&nats.Msg{Subject: "nexus.events.job.queued.noop", Data: body}, jetstream.WithStallWait(time.Minute))
	require.NoError(h.t, err)
}
