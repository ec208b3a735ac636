package bus_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
)

func letter(body []byte) bus.DeadLetter {
	return bus.DeadLetter{
		Service: "jobs", Word: "undecodable", Reason: "not\nours\x00 \xff", Body: body, RequestID: "r-1",
		From: bus.Origin{Stream: contract.StreamCommands, Subject: "nexus.cmd.jobs.submit", Sequence: 7, Stored: at()},
	}
}

func TestDeadLettersAreKept(t *testing.T) {
	t.Parallel()
	js := testkit.JetStream(t, testkit.NATS(t))
	p := bus.NewPublisher(js, "jobs", at)
	require.NoError(t, p.Bury(t.Context(), letter([]byte("\x00 as it came"))))
	require.NoError(t, p.Bury(t.Context(), letter([]byte("\x00 as it came"))))
	dead := stream(t, js, contract.StreamDead)
	require.Equal(t, 1, count(t, dead), "a message is buried once")

	kept, err := dead.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "nexus.dead.jobs.undecodable", kept.Subject)
	require.Equal(t, "\x00 as it came", string(kept.Data))
	require.Equal(t, "not ours\uFFFD \uFFFD", kept.Header.Get(contract.HeaderReason), "a header is one line of text")
	require.Equal(t, "nexus.cmd.jobs.submit", kept.Header.Get(contract.HeaderOrigin))
	require.Equal(t, "r-1", kept.Header.Get(contract.HeaderRequestID))
	require.Empty(t, kept.Header.Get(contract.HeaderBodySize))

	later := letter(nil)
	later.From.Stored = later.From.Stored.Add(1)
	require.NoError(t, p.Bury(t.Context(), later))
	require.Equal(t, 2, count(t, dead), "a stream that was made again counts from 1 again")
}

// A message as large as the broker takes has no room for more headers, and a reason
// can be as long as the message.
func TestLargeDeadLettersAreCut(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	js := testkit.JetStream(t, nc)
	l := letter(make([]byte, nc.MaxPayload()))
	l.Reason = strings.Repeat("x", 1<<20)
	require.NoError(t, bus.NewPublisher(js, "jobs", at).Bury(t.Context(), l))
	kept, err := stream(t, js, contract.StreamDead).GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, kept.Data, contract.MaxMessage)
	require.Equal(t, strconv.FormatInt(nc.MaxPayload(), 10), kept.Header.Get(contract.HeaderBodySize))
	require.Len(t, kept.Header.Get(contract.HeaderReason), 1024)
}

func TestDeadLettersThatCannotBeKept(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	js := testkit.JetStream(t, nc)
	p := bus.NewPublisher(js, "jobs", at)
	unnamed := letter(nil)
	unnamed.Word = "two words"
	require.ErrorContains(t, p.Bury(t.Context(), unnamed), "name a dead letter")
	nc.Close()
	require.Equal(t, fault.Unavailable, fault.KindOf(p.Bury(t.Context(), letter(nil))))
}
