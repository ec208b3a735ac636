package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
)

// Message is what a service publishes to a stream.
type Message struct {
	Subject string `json:"subject"`
	// ID is the broker's de-duplication id.
	ID string `json:"id"`
	// Type is the versioned type of Body.
	Type        string `json:"type"`
	TraceParent string `json:"traceparent,omitempty"`
	// RequestID is that of the request the message is for; most say it in Body.
	RequestID string          `json:"request_id,omitempty"`
	Body      json.RawMessage `json:"body"`
}

// EventMessage makes the message of a pack of events of one kind; see
// contract.EventSubject for the word. Its id is that of the first event.
func EventMessage(area, what, word string, events ...contract.Event) (Message, error) {
	subject, err := contract.EventSubject(area, what, word)
	if err != nil {
		return Message{}, fmt.Errorf("name an event: %w", err)
	}
	body, err := contract.EncodeEvents(events)
	if err != nil {
		return Message{}, err
	}
	return Message{
		Subject: subject, ID: events[0].ID, Type: contract.EventType(area, what), TraceParent: events[0].TraceParent, Body: body,
	}, nil
}

// Publisher publishes for one service and waits for the broker's word.
type Publisher struct {
	js     jetstream.JetStream
	source string
	now    func() time.Time
}

// NewPublisher makes a publisher. source names the service in every message.
func NewPublisher(js jetstream.JetStream, source string, now func() time.Time) *Publisher {
	return &Publisher{js: js, source: source, now: now}
}

func (p *Publisher) encode(m Message) *nats.Msg {
	msg := nats.NewMsg(m.Subject)
	msg.Data = m.Body
	msg.Header.Set(contract.HeaderType, m.Type)
	msg.Header.Set(contract.HeaderSource, p.source)
	msg.Header.Set(contract.HeaderTime, p.now().UTC().Format(time.RFC3339Nano))
	if m.TraceParent != "" {
		msg.Header.Set("Traceparent", m.TraceParent)
	}
	if m.RequestID != "" {
		msg.Header.Set(contract.HeaderRequestID, m.RequestID)
	}
	return msg
}

// Publish sends messages together and returns once the broker has stored every
// one of them. On an error some may be stored; publishing all again with the
// same ids is right.
func (p *Publisher) Publish(ctx context.Context, messages ...Message) error {
	futures := make([]jetstream.PubAckFuture, 0, len(messages))
	for _, m := range messages {
		f, err := p.Send(m, nil)
		if err != nil {
			return err
		}
		futures = append(futures, f)
	}
	for i, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			return publishFault(messages[i].Subject, err)
		case <-ctx.Done():
			return fmt.Errorf("publish to %s: %w", messages[i].Subject, ctx.Err())
		}
	}
	return nil
}

// Send publishes one message without waiting. header is added to the message's
// own headers.
func (p *Publisher) Send(m Message, header nats.Header) (jetstream.PubAckFuture, error) {
	msg := p.encode(m)
	for k, v := range header {
		msg.Header[k] = v
	}
	f, err := p.js.PublishMsgAsync(msg, jetstream.WithMsgID(m.ID), jetstream.WithStallWait(5*time.Second))
	if err != nil {
		return nil, publishFault(m.Subject, err)
	}
	return f, nil
}

// PublishFault classifies an error of a future: a broker that is away or full
// may take the message later; a message it refuses it refuses always.
func PublishFault(subject string, err error) error { return publishFault(subject, err) }

func publishFault(subject string, err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fault.Wrap(fault.TooLarge, err, "The message is larger than the broker takes.")
	}
	return fault.Wrap(fault.Unavailable, fmt.Errorf("publish to %s: %w", subject, err), "The message broker cannot take the message now.")
}

// TraceHeader is the trace context of ctx as message headers.
func TraceHeader(ctx context.Context) nats.Header {
	h := nats.Header{}
	telemetry.InjectHeader(ctx, h)
	return h
}
