package wmjs_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
)

// Whatever somebody manages to store has to reach the handler, which alone can
// put it aside; anything else comes again for ever.
func TestHostileMessagesReachTheHandler(t *testing.T) {
	t.Parallel()
	b, js := events(t)
	for _, m := range []*nats.Msg{
		{Header: nats.Header{"Status": {"409"}, "Description": {"Consumer Deleted"}}},
		{Header: nats.Header{"Status": {"100"}, "Description": {"Idle Heartbeat"}}},
		{Header: nats.Header{"Status": {"408"}, "Nats-Pending-Messages": {"5"}}},
		{Header: nats.Header{"Status": {"503"}}},
		{Header: nats.Header{"Twice": {"a", "b"}, "Nats-Msg-Id": {"x", "y"}}, Data: []byte("{}")},
		{Header: nats.Header{"Traceparent": {"nonsense"}, "Nexus-Type": {"\xff\xfe"}}},
	} {
		m.Subject = topic
		_, err := js.PublishMsg(t.Context(), m)
		require.NoError(t, err)
	}
	publishRaw(t, b, "NATS/1.0\r\nno colon here\r\n\r\n", "ok")
	publish(t, js, "last")

	for _, inFlight := range []int{1, 5} {
		sub := newSubscriber(t, js, time.Minute, func(c *wmjs.SubscriberConfig) {
			c.InFlight = inFlight
			c.Resolve = func(string) (contract.Consumer, error) {
				return contract.Consumer{Stream: "EVENTS", Durable: fmt.Sprint("d", inFlight), Filter: topic, AckWait: time.Minute, MaxAckPending: 100}, nil
			}
		})
		ch := subscribe(t, sub)
		for sequence := uint64(1); sequence <= 8; sequence++ {
			m := next(t, ch)
			d, _ := wmjs.DeliveryOf(m.Context())
			require.Equal(t, sequence, d.Sequence)
			require.Equal(t, 1, d.Attempt)
			m.Ack()
		}
	}
}

// publishRaw publishes headers that no client library would.
func publishRaw(t *testing.T, b *broker, header, body string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(b.srv.ClientURL(), "nats://"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
	_, err = fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"headers\":true}\r\nHPUB %s %d %d\r\n%s%s\r\nPING\r\n",
		topic, len(header), len(header)+len(body), header, body)
	require.NoError(t, err)
	var got strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(got.String(), "PONG") {
		n, err := conn.Read(buf)
		require.NoError(t, err, got.String())
		got.Write(buf[:n])
	}
	require.NotContains(t, got.String(), "-ERR")
}
