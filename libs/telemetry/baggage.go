package telemetry

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/baggage"
)

// baggageRequestID is the member of the W3C baggage that carries the request id.
const baggageRequestID = "nexus.request_id"

const (
	headerBaggage = "Baggage"
	// maxBaggage is the largest baggage read, maxRequestID the longest id taken from
	// one, in bytes.
	maxBaggage   = 8192
	maxRequestID = 128
)

// WithRequestID lets everything that is done for a request know its id, in other
// processes too: it travels as W3C baggage. One that is empty or cannot travel leaves
// ctx as it is.
func WithRequestID(ctx context.Context, id string) context.Context {
	if !sane(id) {
		return ctx
	}
	member, err := baggage.NewMemberRaw(baggageRequestID, id)
	if err != nil {
		return ctx
	}
	bag, err := baggage.New(member)
	if err != nil {
		return ctx
	}
	return baggage.ContextWithBaggage(ctx, bag)
}

// RequestID is the id of the request that ctx serves, or empty.
func RequestID(ctx context.Context) string {
	return baggage.FromContext(ctx).Member(baggageRequestID).Value()
}

// sane reports whether an id is printable ASCII without spaces, and not long.
func sane(id string) bool {
	return id != "" && len(id) <= maxRequestID && strings.IndexFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) < 0
}

// injectBaggage writes the request id of ctx into message headers.
func injectBaggage(ctx context.Context, h nats.Header) {
	if bag := baggage.FromContext(ctx); bag.Len() > 0 {
		h.Set(headerBaggage, bag.String())
	}
}

// fromBaggage takes the request id out of a baggage header; what others carry in
// theirs ends here.
func fromBaggage(ctx context.Context, header string) context.Context {
	if header == "" || len(header) > maxBaggage {
		return ctx
	}
	bag, err := baggage.Parse(header)
	if err != nil {
		return ctx
	}
	return WithRequestID(ctx, bag.Member(baggageRequestID).Value())
}
