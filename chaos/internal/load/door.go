package load

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/contract"
)

// receiptWithin bounds the wait for the broker's receipt.
const receiptWithin = 3 * time.Second

// door publishes jobs straight to the broker, as an outsider would.
type door struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	owner string
}

func newDoor(url, owner, key string) (*door, error) {
	nc, err := nats.Connect(url, nats.Token(key), nats.CustomInboxPrefix(contract.InboxPrefix(owner)),
		nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.IgnoreAuthErrorAbort(), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return nil, fmt.Errorf("connect to the NATS door: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("open JetStream at the NATS door: %w", err)
	}
	return &door{nc: nc, js: js, owner: owner}, nil
}

// publish returns the place the broker gave the message. The request id makes
// its events recognisable.
func (d *door) publish(ctx context.Context, i intent) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, receiptWithin)
	defer cancel()
	subject, err := contract.SubmitSubject(d.owner, i.jobType)
	if err != nil {
		return 0, err
	}
	msg := nats.NewMsg(subject)
	if msg.Data, err = i.body(); err != nil {
		return 0, fmt.Errorf("encode a job: %w", err)
	}
	msg.Header.Set(contract.HeaderRequestID, i.key)
	ack, err := d.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, fmt.Errorf("publish a job: %w", err)
	}
	return ack.Sequence, nil
}
