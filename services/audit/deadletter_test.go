package audit_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

// bury publishes a dead letter of a service and waits until it is kept.
func (h *harness) bury(service, origin string, body []byte, header nats.Header) contract.DeadLetterSummary {
	h.t.Helper()
	subject, err := contract.DeadSubject(service, "undecodable")
	require.NoError(h.t, err)
	m := &nats.Msg{Subject: subject, Data: body, Header: nats.Header{contract.HeaderReason: {"bad"}, contract.HeaderOrigin: {origin}}}
	for name, values := range header {
		m.Header[name] = values
	}
	h.publishRaw(m)
	h.quiet()
	return h.letters(contract.DeadLetterQuery{Limit: 1}).DeadLetters[0]
}

func (h *harness) letters(q contract.DeadLetterQuery) contract.DeadLettersReply {
	h.t.Helper()
	reply, err := bus.Call[contract.DeadLettersReply](h.t.Context(), h.nc, contract.RPCDeadLetters, q)
	require.NoError(h.t, err)
	return reply
}

func (h *harness) mark(subject string, id int64, force bool) (contract.DeadLetter, error) {
	h.t.Helper()
	return bus.Call[contract.DeadLetter](h.t.Context(), h.nc, subject, contract.MarkDeadLetterRequest{
		Asker: contract.Asker{Actor: "root", RequestID: "r-9", Address: "192.0.2.1"}, ID: id, Force: force,
	})
}

// stored is how many messages a subject of a stream has.
func (h *harness) stored(stream, subject string) uint64 {
	h.t.Helper()
	s, err := h.js.Stream(h.t.Context(), stream)
	require.NoError(h.t, err)
	var n uint64
	info, err := s.Info(h.t.Context(), jetstream.WithSubjectFilter(subject))
	require.NoError(h.t, err)
	for _, count := range info.State.Subjects {
		n += count
	}
	return n
}

func TestDeadLettersAreReplayedOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	const origin = "nexus.submit.ann.analyze"
	letter := h.bury("gateway", origin, []byte(`{"job_type":"é"}`), nil)
	require.Equal(t, "gateway", letter.Service)
	require.Equal(t, origin, letter.Subject)
	const many = 8
	errs := make(chan error, many)
	var wg sync.WaitGroup
	for range many {
		wg.Go(func() {
			_, err := h.mark(contract.RPCDeadLetterReplay, letter.ID, false)
			errs <- err
		})
	}
	wg.Wait()
	done := 0
	for range many {
		if err := <-errs; err == nil {
			done++
		} else {
			require.Equal(t, fault.Conflict, fault.KindOf(err), err)
		}
	}
	require.Equal(t, 1, done)
	require.EqualValues(t, 1, h.stored(contract.StreamSubmit, origin))
	again, err := h.mark(contract.RPCDeadLetterReplay, letter.ID, true)
	require.NoError(t, err)
	require.Equal(t, 2, again.Replays)
	require.Len(t, again.Marks, 2)
	require.Equal(t, "root", again.Marks[0].Actor)
	require.EqualValues(t, 2, h.stored(contract.StreamSubmit, origin))
	h.quiet()
	entries := h.logs(contract.AuditQuery{Action: "dead_letter.replayed"}).Entries
	require.Len(t, entries, 2)
	require.Equal(t, "root", entries[0].Actor)
	require.Equal(t, "r-9", entries[0].RequestID)
}

// What is replayed goes on under the request id and in the trace that the letter
// kept.
func TestReplayKeepsRequestIDAndTrace(t *testing.T) {
	t.Parallel()
	h := start(t)
	const origin, trace = "nexus.submit.ann.analyze", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	replay := func(header nats.Header) nats.Header {
		t.Helper()
		_, err := h.mark(contract.RPCDeadLetterReplay, h.bury("gateway", origin, []byte(`{}`), header).ID, false)
		require.NoError(t, err)
		s, err := h.js.Stream(t.Context(), contract.StreamSubmit)
		require.NoError(t, err)
		m, err := s.GetLastMsgForSubject(t.Context(), origin)
		require.NoError(t, err)
		return m.Header
	}
	whole := replay(nats.Header{contract.HeaderRequestID: {"door-7"}, "Traceparent": {trace}})
	require.Equal(t, "door-7", whole.Get(contract.HeaderRequestID))
	require.Equal(t, trace, whole.Get("Traceparent"))
	bare := replay(nats.Header{"Traceparent": {"nonsense"}})
	require.NotContains(t, bare, contract.HeaderRequestID)
	require.NotContains(t, bare, "Traceparent")
}

// A dead letter cannot make the audit service say what its sender may not.
func TestGuaranteeReplayGoesBackWhereALetterCameFrom(t *testing.T) {
	t.Parallel()
	h := start(t)
	for service, origins := range map[string][]string{
		"gateway": {"nexus.cmd.jobs.submit", "nexus.rpc.auth.key_create", "", "nexus.submit.*.x", "nexus.submit.>", "nexus.submit..x", "nexus.dead.a.b"},
		"plugins": {"nexus.cmd.jobs.submit", "nexus.events.key.updated.x"},
		"other":   {"nexus.submit.ann.analyze"},
	} {
		for _, origin := range origins {
			letter := h.bury(service, origin, []byte("x"), nil)
			_, err := h.mark(contract.RPCDeadLetterReplay, letter.ID, true)
			require.Equal(t, fault.Conflict, fault.KindOf(err), "%s %s", service, origin)
		}
	}
	cut := h.bury("jobs", "nexus.cmd.jobs.submit", []byte("x"), nats.Header{contract.HeaderBodySize: {"2"}})
	_, err := h.mark(contract.RPCDeadLetterReplay, cut.ID, true)
	require.Equal(t, fault.Conflict, fault.KindOf(err))
	require.Zero(t, h.stored(contract.StreamCommands, ">"))
	require.Zero(t, h.count("dead_letter_marks"))
}

func TestDiscardHides(t *testing.T) {
	t.Parallel()
	h := start(t)
	first := h.bury("jobs", "nexus.cmd.jobs.submit", []byte{0xff, 0}, nil)
	second := h.bury("gateway", "nexus.submit.ann.analyze", []byte("text"), nil)
	got, err := h.mark(contract.RPCDeadLetterDiscard, first.ID, false)
	require.NoError(t, err)
	require.True(t, got.Discarded)
	require.Equal(t, "base64", got.Encoding)
	require.Equal(t, "/wA=", got.Body)
	_, err = h.mark(contract.RPCDeadLetterDiscard, first.ID, false)
	require.Equal(t, fault.Conflict, fault.KindOf(err))
	_, err = h.mark(contract.RPCDeadLetterReplay, first.ID, false)
	require.Equal(t, fault.Conflict, fault.KindOf(err))
	_, err = h.mark(contract.RPCDeadLetterDiscard, 1<<40, false)
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	require.Equal(t, second.ID, h.letters(contract.DeadLetterQuery{}).DeadLetters[0].ID)
	require.Len(t, h.letters(contract.DeadLetterQuery{}).DeadLetters, 1)
	require.Len(t, h.letters(contract.DeadLetterQuery{All: true, Service: "jobs"}).DeadLetters, 1)
	page := h.letters(contract.DeadLetterQuery{All: true, Limit: 1})
	require.Equal(t, second.ID, page.DeadLetters[0].ID)
	page = h.letters(contract.DeadLetterQuery{All: true, Limit: 1, Cursor: page.NextCursor})
	require.Equal(t, first.ID, page.DeadLetters[0].ID)
	for name, q := range map[string]contract.DeadLetterQuery{
		"limit": {Limit: 1001}, "cursor": {Cursor: "!"}, "NUL": {Reason: "\x00"}, "long": {Origin: strings.Repeat("x", 1025)},
	} {
		_, err := bus.Call[contract.DeadLettersReply](t.Context(), h.nc, contract.RPCDeadLetters, q)
		require.Equal(t, fault.Unprocessable, fault.KindOf(err), name)
	}
	shown, err := bus.Call[contract.DeadLetter](t.Context(), h.nc, contract.RPCDeadLetter, contract.DeadLetterRequest{ID: second.ID})
	require.NoError(t, err)
	require.Equal(t, "text", shown.Body)
	text, err := json.Marshal(shown.Headers)
	require.NoError(t, err)
	require.Contains(t, string(text), "Nexus-Origin")
}
