package record_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/jobs/internal/record"
	"nexus.internal/services/jobs/internal/store"
)

// database is a store whose answer a test decides by the owner of a job.
type database struct {
	record.Store
	answer func(owner string) error

	mu       sync.Mutex
	recorded []string
	calls    map[string]int
}

func (d *database) Record(_ context.Context, jobs []store.NewJob, _ bool) ([]contract.SubmitVerdict, outbox.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range jobs {
		d.calls[j.CreatedBy]++
		if err := d.answer(j.CreatedBy); err != nil {
			return nil, outbox.Entry{}, err
		}
	}
	verdicts := make([]contract.SubmitVerdict, len(jobs))
	for _, j := range jobs {
		d.recorded = append(d.recorded, j.CreatedBy)
	}
	return verdicts, outbox.Entry{}, nil
}

func (d *database) Publish(context.Context, outbox.Entry) error { return nil }

func (d *database) has(owner string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.recorded {
		if o == owner {
			return true
		}
	}
	return false
}

func (d *database) asked(owner string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[owner]
}

type types struct{}

func (types) Lookup(name string) (contract.JobType, bool) { return contract.JobType{Name: name}, true }

func command(t *testing.T, js jetstream.JetStream, owners ...string) {
	t.Helper()
	for _, owner := range owners {
		body, err := contract.Encode(contract.SubmitCommand{Submissions: []contract.Submission{{
			JobID: uuid.NewString(), JobType: "t", ExecutionMode: contract.ModeAsync, Payload: json.RawMessage(`{}`), MaxAttempts: 1, CreatedBy: owner,
		}}})
		require.NoError(t, err)
		_, err = js.Publish(t.Context(), contract.SubjectSubmitJobs, body)
		require.NoError(t, err)
	}
}

// A command that can never be recorded costs neither the process nor those beside it:
// it becomes a dead letter, and the owner of its job is told. One that cannot be
// recorded now is tried for as long as it takes.
func TestCommandsThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	js := testkit.JetStream(t, nc)
	away := true
	db := &database{calls: map[string]int{}}
	db.answer = func(owner string) error {
		switch {
		case owner == "panics":
			panic("index out of range")
		case owner == "fails":
			return errors.New("a fault of ours")
		case owner == "waits" && away:
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	pub := bus.NewPublisher(js, "jobs", time.Now)
	testkit.Start(t, record.New(nc, js, db, types{}, pub, zerolog.Nop(), noop.NewTracerProvider(), time.Now))
	rejected, dead := make(chan contract.Rejection, 10), make(chan string, 10)
	follow(t, js, contract.StreamEvents, contract.RejectionPattern("*"), func(m jetstream.Msg) {
		events, err := contract.DecodeEvents(m.Data())
		require.NoError(t, err)
		var why contract.Rejection
		require.NoError(t, json.Unmarshal(events[0].Data, &why))
		rejected <- why
	})
	follow(t, js, contract.StreamDead, contract.PatternDead, func(m jetstream.Msg) { dead <- m.Subject() + " " + m.Headers().Get(contract.HeaderReason) })

	command(t, js, "good-1", "panics", "good-2", "fails", "waits", "good-3")
	why := testkit.Receive(t, rejected)
	require.Equal(t, []string{"panics", "internal"}, []string{why.Owner, why.Code})
	require.NotEmpty(t, why.JobID)
	require.Equal(t, "nexus.dead.jobs.unrecordable panic: index out of range", testkit.Receive(t, dead))
	for _, owner := range []string{"good-1", "good-2", "good-3"} {
		testkit.Eventually(t, func() bool { return db.has(owner) }, "%s was not recorded", owner)
	}
	var letter string
	require.Eventually(t, func() bool {
		select {
		case letter = <-dead:
			return true
		default:
			return false
		}
	}, time.Minute, 50*time.Millisecond, "it was tried for ever")
	require.Equal(t, "nexus.dead.jobs.unrecordable a fault of ours", letter)
	require.Equal(t, "fails", testkit.Receive(t, rejected).Owner)
	testkit.Eventually(t, func() bool { return db.asked("waits") > 6 }, "it was not tried again")
	db.mu.Lock()
	away = false
	db.mu.Unlock()
	testkit.Eventually(t, func() bool { return db.has("waits") }, "it was not recorded")
	require.Empty(t, dead)
}

func follow(t *testing.T, js jetstream.JetStream, stream, filter string, handle func(jetstream.Msg)) {
	t.Helper()
	cons, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}})
	require.NoError(t, err)
	reading, err := cons.Consume(handle)
	require.NoError(t, err)
	t.Cleanup(reading.Stop)
}
