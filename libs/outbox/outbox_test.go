package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
)

// The Postgres server of the test program ends with the program.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("nexus.internal/libs/embed/embedpg.startProcess.func1"),
		goleak.IgnoreAnyFunction("nexus.internal/libs/embed/embedpg.(*Server).watch"),
	)
}

const schema = "jobs"

var errAway = errors.New("the broker is away")

// recorder is a publisher that remembers what it was given.
type recorder struct {
	mu   sync.Mutex
	got  []bus.Message
	err  error
	gate func()
}

func (r *recorder) Publish(_ context.Context, messages ...bus.Message) error {
	if r.gate != nil {
		r.gate()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.got = append(r.got, messages...)
	return nil
}

func (r *recorder) fail(err error) {
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
}

func (r *recorder) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, m := range r.got {
		out = append(out, m.ID)
	}
	return out
}

func messages(n int) []bus.Message {
	out := make([]bus.Message, n)
	for i := range out {
		out[i] = bus.Message{
			Subject: "nexus.events.job.queued.noop", Type: "nexus.test.v1", TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			RequestID: "r-1", Body: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)),
		}
	}
	return out
}

// commit writes messages in a transaction of their own.
func commit(t *testing.T, db *pg.DB, o *outbox.Outbox, m []bus.Message) outbox.Entry {
	t.Helper()
	var entry outbox.Entry
	require.NoError(t, pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) (err error) {
		entry, err = o.Append(t.Context(), tx, m)
		return err
	}))
	return entry
}

func rows(t *testing.T, db *pg.DB) int {
	t.Helper()
	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.outbox`).Scan(&n))
	return n
}

func makeOld(t *testing.T, db *pg.DB) {
	t.Helper()
	_, err := db.Pool.Exec(t.Context(), `UPDATE jobs.outbox SET created_at = created_at - interval '1 minute'`)
	require.NoError(t, err)
}

func TestAppendIsPartOfTheTransaction(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	var pub recorder
	o := outbox.New(db, schema, &pub, zerolog.Nop())
	m := messages(3)
	m[1].TraceParent, m[1].RequestID, m[1].Body = "", "", nil
	commit(t, db, o, m)
	require.Equal(t, 1, rows(t, db), "one row for all of them")
	var id uuid.UUID
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT id FROM jobs.outbox`).Scan(&id))
	for i := range m {
		require.Equal(t, fmt.Sprintf("%s.%d", id, i), m[i].ID, "the caller learns the ids")
	}

	err := pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error {
		_, err := o.Append(t.Context(), tx, messages(1))
		require.NoError(t, err)
		return errAway
	})
	require.ErrorIs(t, err, errAway)
	require.Equal(t, 1, rows(t, db), "a transaction that fails leaves nothing to publish")

	_, err = o.Relay(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, pub.got, len(m))
	for i, got := range pub.got {
		require.Equal(t, string(m[i].Body), string(got.Body))
		got.Body, m[i].Body = nil, nil
		require.Equal(t, m[i], got, "the row holds the messages as they were")
	}
}

func TestRowsOfAnEarlierReleaseArePublished(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	m := messages(2)
	m[0].ID, m[1].ID = "a.0", "a.1"
	body, err := json.Marshal(m)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO jobs.outbox (id, body) VALUES ($1, $2)`, uuid.New(), body)
	require.NoError(t, err)
	var pub recorder
	n, err := outbox.New(db, schema, &pub, zerolog.Nop()).Relay(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, m, pub.got)
}

func TestNothingToAppend(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	var pub recorder
	pub.fail(errAway)
	o := outbox.New(db, schema, &pub, zerolog.Nop())
	entry := commit(t, db, o, nil)
	require.Zero(t, rows(t, db))
	require.NoError(t, o.Publish(t.Context(), entry))
	require.NoError(t, o.Publish(t.Context(), outbox.Entry{}))
}

func TestAppendSaysWhatFailed(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	_, err := outbox.New(db, "nowhere", &recorder{}, zerolog.Nop()).Append(t.Context(), db.Pool, messages(1))
	require.ErrorContains(t, err, "write the outbox row")
	require.Zero(t, rows(t, db))
}

func TestPublishedRowsAreDeleted(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	js := testkit.JetStream(t, testkit.NATS(t))
	o := outbox.New(db, schema, bus.NewPublisher(js, "jobs", time.Now), zerolog.Nop())
	require.Equal(t, "jobs outbox relay", o.Name())
	testkit.Start(t, o)
	for range 3 {
		require.NoError(t, o.Publish(t.Context(), commit(t, db, o, messages(2))))
	}
	require.EqualValues(t, 6, stored(t, js))
	testkit.Eventually(t, func() bool { return rows(t, db) == 0 }, "the rows stay")
}

func stored(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), contract.StreamEvents)
	require.NoError(t, err)
	return s.CachedInfo().State.Msgs
}

func TestStopDeletesWhatWasPublished(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := outbox.New(db, schema, &recorder{}, zerolog.Nop())
	stop := testkit.Start(t, o)
	require.NoError(t, o.Publish(t.Context(), commit(t, db, o, messages(1))))
	left := commit(t, db, o, messages(1))
	stop()
	require.Equal(t, 1, rows(t, db), "only the row that nobody published is left")
	require.NoError(t, o.Publish(t.Context(), left))
}

// The process dies between the commit and the publish.
func TestRelayPublishesWhatWasLeftBehind(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	m := messages(2)
	commit(t, db, outbox.New(db, schema, &recorder{}, zerolog.Nop()), m)

	var pub recorder
	next := outbox.New(db, schema, &pub, zerolog.Nop())
	n, err := next.Relay(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Zero(t, n, "the writer may still be alive")
	require.Empty(t, pub.ids())
	makeOld(t, db)
	n, err = next.Relay(t.Context(), time.Second)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, m, pub.got, "just as they were written")
	require.Zero(t, rows(t, db))
	n, err = next.Relay(t.Context(), 0)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestRunRelaysByItself(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	m := messages(1)
	commit(t, db, outbox.New(db, schema, &recorder{}, zerolog.Nop()), m)
	makeOld(t, db)
	var pub recorder
	testkit.Start(t, outbox.New(db, schema, &pub, zerolog.Nop()))
	testkit.Eventually(t, func() bool { return len(pub.ids()) == 1 }, "nobody published it")
	require.Equal(t, m[0].ID, pub.ids()[0])
	testkit.Eventually(t, func() bool { return rows(t, db) == 0 }, "the row stays")
}

func TestPublishedTwiceIsStoredOnce(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	js := testkit.JetStream(t, testkit.NATS(t))
	o := outbox.New(db, schema, bus.NewPublisher(js, "jobs", time.Now), zerolog.Nop())
	require.NoError(t, o.Publish(t.Context(), commit(t, db, o, messages(3))))
	n, err := o.Relay(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 1, n, "the row was still there")
	require.EqualValues(t, 3, stored(t, js))
}

func TestRowsStayWhileThePublisherFails(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	var pub recorder
	pub.fail(errAway)
	o := outbox.New(db, schema, &pub, zerolog.Nop())
	m := messages(1)
	err := o.Publish(t.Context(), commit(t, db, o, m))
	require.ErrorIs(t, err, errAway)
	require.ErrorContains(t, err, "publish outbox row "+m[0].ID[:36])
	n, err := o.Relay(t.Context(), 0)
	require.ErrorIs(t, err, errAway)
	require.Zero(t, n)
	require.Equal(t, 1, rows(t, db))
	pub.fail(nil)
	n, err = o.Relay(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{m[0].ID}, pub.ids())
	require.Zero(t, rows(t, db))
}

func TestRelayEmptiesTheOutboxInOrder(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	var pub recorder
	o := outbox.New(db, schema, &pub, zerolog.Nop())
	var want []string
	for range 45 {
		m := messages(1)
		commit(t, db, o, m)
		want = append(want, m[0].ID)
	}
	n, err := o.Relay(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 45, n)
	require.Equal(t, want, pub.ids())
	require.Zero(t, rows(t, db))
}

// Two relays share the work: one that is slow holds up neither the other nor
// its rows' single publication.
func TestRelaysBesideEachOther(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	slowHas, goOn := make(chan struct{}), make(chan struct{})
	slow := &recorder{gate: sync.OnceFunc(func() { close(slowHas); <-goOn })}
	var fast recorder
	first := outbox.New(db, schema, slow, zerolog.Nop())
	var want []string
	for range 50 {
		m := messages(1)
		commit(t, db, first, m)
		want = append(want, m[0].ID)
	}
	type outcome struct {
		n   int
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		n, err := first.Relay(t.Context(), 0)
		done <- outcome{n, err}
	}()
	testkit.Receive(t, slowHas)
	n, err := outbox.New(db, schema, &fast, zerolog.Nop()).Relay(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 30, n, "all but those the other one holds")
	close(goOn)
	other := testkit.Receive(t, done)
	require.NoError(t, other.err)
	require.Equal(t, 20, other.n)
	require.ElementsMatch(t, want, append(slow.ids(), fast.ids()...))
	require.Zero(t, rows(t, db))
}

// Whoever asks learns that the broker takes nothing, for as long as it does not.
func TestCheckTellsThatTheBrokerTakesNothing(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	pub := &recorder{err: errAway}
	o := outbox.New(db, schema, pub, zerolog.Nop())
	commit(t, db, o, messages(1))
	makeOld(t, db)
	require.NoError(t, o.Check(), "nothing is known yet")
	testkit.Start(t, o)
	testkit.Eventually(t, func() bool { return o.Check() != nil }, "it does not tell")
	require.Equal(t, fault.Unavailable, fault.KindOf(o.Check()))
	pub.fail(nil)
	testkit.Eventually(t, func() bool { return o.Check() == nil }, "it did not notice that the broker takes messages again")
	require.Len(t, pub.ids(), 1)
}

func TestTroubleIsLoggedAndGetsOver(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	var log lines
	o := outbox.New(db, schema, &recorder{}, zerolog.New(&log))
	testkit.Start(t, o)
	entry := commit(t, db, o, messages(1))
	_, err := db.Pool.Exec(t.Context(), `ALTER TABLE jobs.outbox RENAME TO outbox_away`)
	require.NoError(t, err)
	require.NoError(t, o.Publish(t.Context(), entry))
	for _, problem := range []string{"delete published outbox rows", "find outbox rows"} {
		testkit.Eventually(t, func() bool { return log.contains(problem) }, "nothing was logged of: %s", problem)
	}
	require.True(t, log.contains(`"schema":"jobs","message":"the outbox is behind"`))
	_, err = db.Pool.Exec(t.Context(), `ALTER TABLE jobs.outbox_away RENAME TO outbox`)
	require.NoError(t, err)
	testkit.Eventually(t, func() bool { return rows(t, db) == 0 }, "the row that was published is forgotten")
}

func TestUnreadableRowsAreReported(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	for _, body := range []string{"not json", "not json\n{}", `[{"subject":"s","id":"i","type":"t","size":3}]` + "\n{}", `[{"subject":"s","id":"i","type":"t","size":1}]` + "\n{}", `[{"size":-1}]` + "\n"} {
		id := uuid.New()
		_, err := db.Pool.Exec(t.Context(), `INSERT INTO jobs.outbox (id, body) VALUES ($1, convert_to($2, 'UTF8'))`, id, body)
		require.NoError(t, err)
		n, err := outbox.New(db, schema, &recorder{}, zerolog.Nop()).Relay(t.Context(), 0)
		require.ErrorContains(t, err, "outbox row "+id.String(), body)
		require.Zero(t, n)
		require.Equal(t, 1, rows(t, db))
		_, err = db.Pool.Exec(t.Context(), `DELETE FROM jobs.outbox`)
		require.NoError(t, err)
	}
}

func TestRelayEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := outbox.New(db, schema, &recorder{}, zerolog.Nop()).Relay(ctx, 0)
	require.ErrorIs(t, err, context.Canceled)
}

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) contains(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text.Bytes(), []byte(s))
}
