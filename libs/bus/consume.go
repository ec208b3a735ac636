package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"nexus.internal/libs/fault"
)

// Consume hands the messages of a durable consumer to handle, one call at a
// time and in order, until ctx ends; messages already fetched are handed over
// before it returns. handle must acknowledge each message sooner or later.
// prefetch bounds the messages waiting in this process. A consumer that is
// unreachable for a while is waited for; ready is called when it was reached
// for the first time.
func Consume(ctx context.Context, js jetstream.JetStream, log zerolog.Logger, stream, durable string, prefetch int, ready func(), handle func(jetstream.Msg)) error {
	cons, err := js.Consumer(ctx, stream, durable)
	if err != nil {
		return fmt.Errorf("open consumer %s of %s: %w", durable, stream, err)
	}
	ready()
	for ctx.Err() == nil {
		err := iterate(ctx, log, cons, prefetch, handle)
		if ctx.Err() != nil {
			return nil
		}
		log.Warn().Err(err).Str("stream", stream).Str("consumer", durable).Msg("reading was interrupted; trying again")
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

// afterPanic is when a message comes again that made its handler panic.
const afterPanic = 30 * time.Second

// guarded hands a message over. Handlers know what to do with a message that makes
// them panic; where one does not, the message stays with the broker.
func guarded(log zerolog.Logger, msg jetstream.Msg, handle func(jetstream.Msg)) {
	err := fault.Guard(func() error {
		handle(msg)
		return nil
	})
	if err == nil {
		return
	}
	log.Error().Err(err).Bytes("stack", fault.Stack(err)).Str("subject", msg.Subject()).Msg("a handler of messages panicked; the message comes again later")
	if err := msg.NakWithDelay(afterPanic); err != nil {
		log.Warn().Err(err).Msg("could not give a message back; it comes again by itself")
	}
}

// Guarded makes a handler of a subscription whose panic costs its message and not
// the process.
func Guarded(log zerolog.Logger, handle nats.MsgHandler) nats.MsgHandler {
	return func(msg *nats.Msg) {
		err := fault.Guard(func() error {
			handle(msg)
			return nil
		})
		if err != nil {
			log.Error().Err(err).Bytes("stack", fault.Stack(err)).Str("subject", msg.Subject).Msg("a handler of messages panicked")
		}
	}
}

func iterate(ctx context.Context, log zerolog.Logger, cons jetstream.Consumer, prefetch int, handle func(jetstream.Msg)) error {
	it, err := cons.Messages(jetstream.PullMaxMessages(prefetch), jetstream.PullExpiry(30*time.Second), jetstream.PullHeartbeat(5*time.Second))
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	stop := context.AfterFunc(ctx, it.Drain)
	defer stop()
	defer it.Stop()
	for {
		msg, err := it.Next()
		switch {
		case err == nil:
			guarded(log, msg, handle)
		case errors.Is(err, jetstream.ErrMsgIteratorClosed):
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			// The server was silent, for example restarting; the iterator pulls again.
		default:
			return fmt.Errorf("next message: %w", err)
		}
	}
}
