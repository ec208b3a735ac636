package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/contract"
)

// typeDead is the type of the messages that dead letters travel as.
const typeDead = "nexus.dead.v1"

// maxReason bounds what is said of a message that cannot be handled, in bytes: it may
// repeat the message.
const maxReason = 1024

// Origin is where a message came from, in the broker's words.
type Origin struct {
	Stream, Subject string
	// Sequence is the message's place in its stream, Stored when the stream took it.
	// A stream that was made again counts from 1 again.
	Sequence uint64
	Stored   time.Time
}

// OriginOf is where a message came from. Of one that is not from a stream, only the
// subject is known.
func OriginOf(msg jetstream.Msg) Origin {
	o := Origin{Subject: msg.Subject()}
	if meta, err := msg.Metadata(); err == nil {
		o.Stream, o.Sequence, o.Stored = meta.Stream, meta.Sequence.Stream, meta.Timestamp
	}
	return o
}

// ID names the message among all that the broker ever took.
func (o Origin) ID() string {
	return fmt.Sprintf("%s.%d.%d", o.Stream, o.Sequence, o.Stored.UnixNano())
}

// DeadLetter is a message that cannot be handled, as it is kept.
type DeadLetter struct {
	// Service gave up on the message, and Word says why in one word; both are in the
	// letter's subject.
	Service, Word string
	// Reason says why in a sentence, for those who can mend it.
	Reason string
	From   Origin
	// RequestID and TraceParent are what a replay goes on under.
	RequestID, TraceParent string
	// Body is kept to the byte, so that a replay publishes what came, up to
	// contract.MaxMessage: the letter needs room for headers.
	Body []byte
}

// Bury keeps a dead letter. Burying the same message again changes nothing while the
// broker remembers the first letter. An error means that the broker could not take it
// now. The letter has only headers of our own: those of a message that is not ours
// could make it impossible to publish.
func (p *Publisher) Bury(ctx context.Context, l DeadLetter) error {
	subject, err := contract.DeadSubject(l.Service, l.Word)
	if err != nil {
		return fmt.Errorf("name a dead letter: %w", err)
	}
	header := nats.Header{contract.HeaderReason: {headerText(l.Reason)}, contract.HeaderOrigin: {l.From.Subject}}
	body := l.Body
	if len(body) > contract.MaxMessage {
		header.Set(contract.HeaderBodySize, strconv.Itoa(len(body)))
		body = body[:contract.MaxMessage]
	}
	f, err := p.Send(Message{
		Subject: subject, ID: l.Service + "." + l.From.ID(), Type: typeDead, TraceParent: l.TraceParent, RequestID: l.RequestID, Body: body,
	}, header)
	if err != nil {
		return err
	}
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		return publishFault(subject, err)
	case <-ctx.Done():
		return fmt.Errorf("keep a dead letter: %w", ctx.Err())
	}
}

// headerText is a sentence of a bounded length on one line of valid text.
func headerText(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	return contract.Cut(strings.Join(strings.Fields(s), " "), maxReason)
}
