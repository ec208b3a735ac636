package floor

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/bench/internal/pace"
)

const (
	streamName = "BENCH_FLOOR"
	subject    = "bench.floor"
	// window is how many asynchronous publishes are on their way at most.
	window = 4000
)

// JetStream measures publishing to a scratch stream of its own, kept on disk
// like those of the platform.
type JetStream struct {
	js       jetstream.JetStream
	payloads [][]byte
}

// NewJetStream makes the scratch stream, anew if it is there.
func NewJetStream(ctx context.Context, js jetstream.JetStream, payloads [][]byte) (*JetStream, error) {
	f := &JetStream{js: js, payloads: payloads}
	if _, err := js.Stream(ctx, streamName); err == nil {
		if err := f.Close(ctx); err != nil {
			return nil, err
		}
	}
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{subject}, Storage: jetstream.FileStorage, MaxBytes: 2 << 30})
	if err != nil {
		return nil, fmt.Errorf("make a scratch stream: %w", err)
	}
	return f, nil
}

// Close deletes the scratch stream.
func (f *JetStream) Close(ctx context.Context) error {
	if err := f.js.DeleteStream(ctx, streamName); err != nil {
		return fmt.Errorf("delete the scratch stream: %w", err)
	}
	return nil
}

func (f *JetStream) payload(i int) []byte { return f.payloads[i%len(f.payloads)] }

// Publish publishes one message after the other, each after the receipt for the
// one before.
func (f *JetStream) Publish(ctx context.Context, publishers int, length time.Duration) (pace.Result, error) {
	return pace.Timed(ctx, publishers, length, func(ctx context.Context, goroutine, turn int) (int, error) {
		if _, err := f.js.Publish(ctx, subject, f.payload(goroutine+turn)); err != nil {
			return 0, fmt.Errorf("publish: %w", err)
		}
		return 1, nil
	})
}

// PublishAsync publishes without waiting for each receipt. What counts are the
// messages the broker has confirmed.
func (f *JetStream) PublishAsync(ctx context.Context, length time.Duration) (pace.Result, error) {
	start := time.Now()
	var sent int64
	oldest := make(chan jetstream.PubAckFuture, window)
	for i := 0; time.Since(start) < length; i++ {
		if len(oldest) == cap(oldest) {
			if err := confirmed(ctx, <-oldest); err != nil {
				return pace.Result{}, err
			}
		}
		future, err := f.js.PublishAsync(subject, f.payload(i), jetstream.WithStallWait(10*time.Second))
		if err != nil {
			return pace.Result{}, fmt.Errorf("publish: %w", err)
		}
		oldest <- future
		sent++
	}
	for len(oldest) > 0 {
		if err := confirmed(ctx, <-oldest); err != nil {
			return pace.Result{}, err
		}
	}
	return pace.Result{N: sent, Took: time.Since(start)}, nil
}

func confirmed(ctx context.Context, future jetstream.PubAckFuture) error {
	select {
	case <-future.Ok():
		return nil
	case err := <-future.Err():
		return fmt.Errorf("publish: %w", err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
