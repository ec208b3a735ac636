package wmjs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/telemetry"
)

// ErrClosed is returned by a publisher or subscriber that was closed.
var ErrClosed = errors.New("closed")

// ErrMetadata means that a value of a message's metadata holds a line break or
// outer white space, which a header cannot carry.
var ErrMetadata = errors.New("a header cannot carry it unchanged")

// Publisher publishes to JetStream; a topic is a subject. It implements
// message.Publisher and is safe for concurrent use.
type Publisher struct {
	js jetstream.JetStream

	mu     sync.RWMutex
	closed bool
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher makes a publisher. The connection behind js stays the caller's.
func NewPublisher(js jetstream.JetStream) *Publisher {
	return &Publisher{js: js}
}

// Publish stores messages one after the other and returns once the broker has
// acknowledged the last. At the first failure it stops: the messages before it
// are stored, and publishing all of them again stores none twice as long as
// the stream remembers their ids.
//
// The UUID becomes the broker's message id and metadata becomes headers, except
// metadata whose name starts with "Nats-": such headers are orders to the
// broker, and a message that is passed on must not repeat them. The trace of
// the message's context travels along. That context bounds the wait; without a
// deadline the default timeout of the JetStream context does.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return fmt.Errorf("publish to %s: %w", topic, ErrClosed)
	}
	for _, m := range messages {
		if err := p.publish(m.Context(), topic, m); err != nil {
			return fmt.Errorf("publish message %s to %s: %w", m.UUID, topic, err)
		}
	}
	return nil
}

func (p *Publisher) publish(ctx context.Context, topic string, m *message.Message) error {
	header, err := headerOf(ctx, m.Metadata)
	if err != nil {
		return err
	}
	var opts []jetstream.PublishOpt
	if m.UUID != "" {
		opts = append(opts, jetstream.WithMsgID(m.UUID))
	}
	_, err = p.js.PublishMsg(ctx, &nats.Msg{Subject: topic, Header: header, Data: m.Payload}, opts...)
	return err
}

// Close waits for the messages being published; later ones are refused.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

const brokerHeaders = "nats-"

func isBrokerHeader(name string) bool {
	return len(name) >= len(brokerHeaders) && strings.EqualFold(name[:len(brokerHeaders)], brokerHeaders)
}

func headerOf(ctx context.Context, metadata message.Metadata) (nats.Header, error) {
	trace := nats.Header{}
	telemetry.InjectHeader(ctx, trace)
	header := make(nats.Header, len(metadata)+1)
	for name, value := range metadata {
		if isBrokerHeader(name) || overridden(trace, name) {
			continue
		}
		if strings.ContainsAny(value, "\r\n") || strings.TrimSpace(value) != value {
			return nil, fmt.Errorf("metadata %q: %w", name, ErrMetadata)
		}
		header.Set(name, value)
	}
	for name, values := range trace {
		header[name] = values
	}
	return header, nil
}

// overridden reports whether by has the header in any case: a message must not
// be in two traces.
func overridden(by nats.Header, name string) bool {
	for own := range by {
		if strings.EqualFold(own, name) {
			return true
		}
	}
	return false
}
