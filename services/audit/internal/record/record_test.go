package record_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/audit/internal/record"
	"nexus.internal/services/audit/internal/trail"
)

// database is a store that answers as the test wants.
type database struct {
	// answer decides about the ids that are appended together; nil keeps them.
	answer func(ids []string) error

	mu    sync.Mutex
	kept  []string
	calls int
	dead  []trail.DeadLetter
}

func (d *database) Append(_ context.Context, entries []trail.Entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.EventID)
	}
	if d.answer != nil {
		if err := d.answer(ids); err != nil {
			return err
		}
	}
	d.kept = append(d.kept, ids...)
	return nil
}

func (d *database) KeepDead(_ context.Context, l trail.DeadLetter) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = append(d.dead, l)
	return d.answer([]string{l.Reason})
}

func (d *database) ids() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.kept)
	return slices.Clone(d.kept)
}

// letters collects the dead letters by their words.
type letters struct {
	err error

	mu   sync.Mutex
	kept map[string]bus.DeadLetter
}

func (l *letters) Bury(_ context.Context, d bus.DeadLetter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if l.kept == nil {
		l.kept = map[string]bus.DeadLetter{}
	}
	l.kept[d.Service+"."+d.Word] = d
	return nil
}

func packOf(t *testing.T, ids ...string) *message.Message {
	t.Helper()
	var events []contract.Event
	for _, id := range ids {
		events = append(events, contract.Event{ID: id, Type: "nexus.job.queued.v1", Time: time.Unix(1, 0), Source: "test"})
	}
	body, err := contract.EncodeEvents(events)
	require.NoError(t, err)
	return message.NewMessage("m-"+ids[0], body)
}

func keeper(db *database, pub *letters) *record.Events {
	aside := record.NewAside(pub, zerolog.Nop())
	return record.NewEvents(db, aside, zerolog.Nop(), noop.NewTracerProvider().Tracer(""), 1<<20)
}

// settled hands the messages over at once, before the writer starts, so that
// they are written together; it returns which were nacked.
func settled(t *testing.T, events *record.Events, messages ...*message.Message) (nacked []string) {
	t.Helper()
	var handling sync.WaitGroup
	for _, m := range messages {
		handling.Go(func() {
			if events.Handle(m) != nil {
				m.Nack()
			}
			m.Ack()
		})
	}
	testkit.Start(t, events)
	handling.Wait()
	for _, m := range messages {
		select {
		case <-m.Nacked():
			nacked = append(nacked, m.UUID)
		case <-m.Acked():
		}
	}
	return nacked
}

func TestEventsAreKept(t *testing.T) {
	t.Parallel()
	db := &database{}
	require.Empty(t, settled(t, keeper(db, &letters{}), packOf(t, "1", "2"), packOf(t, "3")))
	require.Equal(t, []string{"1", "2", "3"}, db.ids())
}

func TestOutageNacks(t *testing.T) {
	t.Parallel()
	db := &database{answer: func([]string) error { return errors.New("the database is away") }}
	pub := &letters{}
	require.ElementsMatch(t, []string{"m-1", "m-2"}, settled(t, keeper(db, pub), packOf(t, "1"), packOf(t, "2")))
	require.Empty(t, pub.kept, "what can be kept later is no dead letter")
}

// One bad pack costs itself only, whether the database refuses it or the
// program stumbles over it.
func TestBadPackIsSetAside(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func() error{
		"refused": func() error { return fmt.Errorf("%w: value\nout of range", trail.ErrRefused) },
		"panic":   func() error { panic("index out of range") },
	} {
		db := &database{answer: func(ids []string) error {
			if slices.Contains(ids, "bad") {
				return answer()
			}
			return nil
		}}
		pub := &letters{}
		bad := packOf(t, "bad")
		require.Empty(t, settled(t, keeper(db, pub), packOf(t, "1"), bad, packOf(t, "2"), packOf(t, "3")), name)
		require.Equal(t, []string{"1", "2", "3"}, db.ids(), name)
		require.Len(t, pub.kept, 1, name)
		letter := pub.kept["audit.unstorable"]
		require.Equal(t, string(bad.Payload), string(letter.Body), name)
		require.Contains(t, letter.Reason, "out of range", name)
	}
}

func TestSetAsideFails(t *testing.T) {
	t.Parallel()
	pub := &letters{err: errors.New("the broker is away")}
	m := message.NewMessage("m", []byte("not ours"))
	require.ErrorIs(t, keeper(&database{}, pub).Handle(m), pub.err, "the router nacks it")
}

func TestWhatCannotBeReadIsSetAside(t *testing.T) {
	t.Parallel()
	pub := &letters{}
	m := message.NewMessage("m", []byte("not ours"))
	require.NoError(t, keeper(&database{}, pub).Handle(m))
	require.Equal(t, "not ours", string(pub.kept["audit.undecodable"].Body))
}

func TestStoppedWriterNacks(t *testing.T) {
	t.Parallel()
	events := keeper(&database{}, &letters{})
	testkit.Start(t, events)()
	m := packOf(t, "1")
	require.NoError(t, events.Handle(m))
	require.False(t, m.Ack(), "it was nacked")
}

func TestHandlerGivesUpWithItsMessage(t *testing.T) {
	t.Parallel()
	events := keeper(&database{}, &letters{})
	ctx, cancel := context.WithCancel(t.Context())
	m := packOf(t, "1")
	m.SetContext(ctx)
	handled := make(chan error, 1)
	go func() { handled <- events.Handle(m) }()
	cancel()
	require.NoError(t, testkit.Receive(t, handled))
	require.False(t, m.Ack(), "it was nacked")
}

func TestDead(t *testing.T) {
	t.Parallel()
	away := errors.New("the database is away")
	db := &database{answer: func(reasons []string) error {
		return map[string]error{"away": away, "refused": trail.ErrRefused}[reasons[0]]
	}}
	dead := record.NewDead(db, zerolog.Nop(), noop.NewTracerProvider().Tracer(""), 3)
	handle := func(reason, size string, body []byte) error {
		m := message.NewMessage("m", body)
		m.Metadata.Set(contract.HeaderReason, reason)
		m.Metadata.Set(contract.HeaderBodySize, size)
		m.Metadata.Set(contract.HeaderOrigin, "nexus.events.x")
		return dead.Handle(m)
	}
	require.NoError(t, handle("fine", "", []byte("abc")))
	require.NoError(t, handle("too long", "", []byte("abcd")))
	require.NoError(t, handle("cut before", "99", []byte("abcd")))
	require.NoError(t, handle("a lie", "-1", nil))
	require.NoError(t, handle("refused", "", nil), "it must not come again")
	require.ErrorIs(t, handle("away", "", nil), away, "it has to come again")

	var got []string
	for _, l := range db.dead[:4] {
		require.NotNil(t, l.Body)
		require.Equal(t, "nexus.events.x", l.Origin)
		got = append(got, fmt.Sprintf("%s: %s of %d", l.Reason, l.Body, l.BodySize))
	}
	require.Equal(t, []string{"fine: abc of 3", "too long: abc of 4", "cut before: abc of 99", "a lie:  of 0"}, got)
}
