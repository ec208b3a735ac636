package record

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rs/zerolog"

	"nexus.internal/libs/bus"
	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/telemetry"
)

// Why a message was set aside; the last word of its new subject.
const (
	reasonUndecodable = "undecodable"
	reasonUnstorable  = "unstorable"
)

// service names the audit service in what it publishes.
const service = "audit"

// Burier keeps dead letters.
type Burier interface {
	Bury(context.Context, bus.DeadLetter) error
}

// Aside publishes messages that nobody can keep as dead letters.
type Aside struct {
	dead Burier
	log  zerolog.Logger
}

// NewAside makes one that keeps letters with dead.
func NewAside(dead Burier, log zerolog.Logger) *Aside { return &Aside{dead: dead, log: log} }

// Put keeps a message as a dead letter, so that it is done with. An error means that
// the broker could not take it now.
func (a *Aside) Put(msg *message.Message, reason string, cause error) error {
	d, _ := wmjs.DeliveryOf(msg.Context())
	letter := bus.DeadLetter{Service: service, Word: reason, Reason: cause.Error(), From: d.Origin(), Body: msg.Payload}
	if err := a.dead.Bury(msg.Context(), letter); err != nil {
		return fmt.Errorf("set aside message %d of %s: %w", d.Sequence, d.Stream, err)
	}
	// The letter says why; that may repeat what the message holds.
	a.log.Warn().Str("reason", reason).Str(telemetry.FieldSubject, d.Subject).Uint64("sequence", d.Sequence).
		Str(telemetry.FieldTraceID, telemetry.TraceID(telemetry.FromHeader(msg.Context(), d.Header))).Msg("a message was set aside as a dead letter")
	return nil
}
