package record

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rs/zerolog"

	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/telemetry"
	"nexus.internal/services/audit/internal/trail"
)

// Why a message was set aside; the last word of its new subject.
const (
	reasonUndecodable = "undecodable"
	reasonUnstorable  = "unstorable"
)

// service names the audit service in what it publishes.
const service = "audit"

const (
	// headerRoom is what the headers of a dead letter may need of a message.
	headerRoom = 4096
	// maxReason bounds the sentence that says what was wrong, in bytes.
	maxReason = 1024
)

// HeaderSize says how long a body was of which a dead letter has the beginning
// only, in bytes.
const HeaderSize = contract.HeaderBodySize

// Aside publishes messages that nobody can keep as dead letters.
type Aside struct {
	pub message.Publisher
	log zerolog.Logger
	// maxMessage is the largest message that the broker takes, in bytes.
	maxMessage func() int64
}

// NewAside makes one that publishes through pub.
func NewAside(pub message.Publisher, log zerolog.Logger, maxMessage func() int64) *Aside {
	return &Aside{pub: pub, log: log, maxMessage: maxMessage}
}

// Put publishes a message as a dead letter, so that it is done with. It carries
// only headers of our own: repeating those of a message that is not ours could
// make the dead letter impossible to publish. An error means that the broker
// could not take it now.
func (a *Aside) Put(msg *message.Message, reason string, cause error) error {
	d, _ := wmjs.DeliveryOf(msg.Context())
	subject, err := contract.DeadSubject(service, reason)
	if err != nil {
		return fmt.Errorf("name the dead letter: %w", err)
	}
	letter := message.NewMessage(fmt.Sprintf("%s.%s.%d.%d", service, d.Stream, d.Sequence, d.Stored.UnixNano()), msg.Payload)
	letter.SetContext(msg.Context())
	letter.Metadata.Set(contract.HeaderSource, service)
	letter.Metadata.Set(contract.HeaderReason, oneLine(cause.Error()))
	letter.Metadata.Set(contract.HeaderOrigin, d.Subject)
	if limit := int(a.maxMessage()) - headerRoom; len(letter.Payload) > limit {
		letter.Payload = letter.Payload[:limit]
		letter.Metadata.Set(HeaderSize, strconv.Itoa(len(msg.Payload)))
	}
	if err := a.pub.Publish(subject, letter); err != nil {
		return fmt.Errorf("set aside message %d of %s: %w", d.Sequence, d.Stream, err)
	}
	// The letter says why; that may repeat what the message holds.
	a.log.Warn().Str("reason", reason).Str(telemetry.FieldSubject, d.Subject).Uint64("sequence", d.Sequence).
		Str(telemetry.FieldTraceID, telemetry.TraceID(telemetry.FromHeader(msg.Context(), d.Header))).Msg("a message was set aside as a dead letter")
	return nil
}

// oneLine makes a sentence fit for a header.
func oneLine(s string) string {
	return strings.Join(strings.Fields(trail.Text(s, maxReason)), " ")
}
