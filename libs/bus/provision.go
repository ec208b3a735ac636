package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/contract"
)

// ErrDrift means that a stream or consumer exists with settings other than
// ours. Changing it silently could drop messages; somebody has to decide.
var ErrDrift = errors.New("its settings differ from what this version of Nexus needs")

// ErrNoRoom means that the broker does not have the room on disk that a stream may
// take.
var ErrNoRoom = errors.New("the broker has no room for it on its disk")

// ErrNoCluster means that a stream is to be kept by several servers and the broker
// is a single one.
var ErrNoCluster = errors.New("the broker is a single server, and only a cluster keeps replicas")

// errNotClustered is the server's code for replicas that a single server cannot keep.
const errNotClustered = 10074

// errStorage is the server's code for a stream that its store cannot hold.
const errStorage = 10047

// Provision creates the streams and consumers that are missing and checks
// those that exist.
func Provision(ctx context.Context, js jetstream.JetStream, streams []contract.Stream, consumers []contract.Consumer) error {
	for _, s := range streams {
		if err := provisionStream(ctx, js, s); err != nil {
			return err
		}
	}
	for _, c := range consumers {
		if err := provisionConsumer(ctx, js, c); err != nil {
			return err
		}
	}
	return nil
}

func streamConfig(s contract.Stream) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name:       s.Name,
		Subjects:   s.Subjects,
		Storage:    jetstream.FileStorage,
		Discard:    jetstream.DiscardNew,
		Retention:  jetstream.WorkQueuePolicy,
		MaxBytes:   s.MaxBytes,
		MaxMsgs:    -1,
		MaxAge:     s.MaxAge,
		Duplicates: s.Duplicates,
		Replicas:   max(1, s.Replicas),

		AllowDirect: s.Direct,
	}
	if s.Outside {
		// Not even a service may take an outsider's message away unseen.
		cfg.DenyDelete, cfg.DenyPurge = true, true
	}
	if s.Retention == contract.RetainForAge {
		// A full log of the past gives up its oldest entries; a full queue of
		// work must refuse new ones instead.
		cfg.Retention, cfg.Discard = jetstream.LimitsPolicy, jetstream.DiscardOld
	}
	return cfg
}

func provisionStream(ctx context.Context, js jetstream.JetStream, s contract.Stream) error {
	want := streamConfig(s)
	st, err := js.Stream(ctx, s.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if st, err = createStream(ctx, js, want); err != nil {
			return fmt.Errorf("create stream %s: %w", s.Name, explain(err, s))
		}
	}
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", s.Name, err)
	}
	got := st.CachedInfo().Config
	if diff := streamDrift(want, got); diff != "" {
		return fmt.Errorf("stream %s: %w: %s", s.Name, ErrDrift, diff)
	}
	// None touches a message: one adds a way to read, one makes room, one copies.
	direct, grow := want.AllowDirect && !got.AllowDirect, s.Grow && got.MaxBytes > 0 && got.MaxBytes < want.MaxBytes
	rescale := s.Rescale && got.Replicas != want.Replicas
	if !direct && !grow && !rescale {
		return nil
	}
	got.AllowDirect = got.AllowDirect || direct
	if grow {
		got.MaxBytes = want.MaxBytes
	}
	if rescale {
		got.Replicas = want.Replicas
	}
	if _, err := js.UpdateStream(ctx, got); err != nil {
		return fmt.Errorf("update stream %s: %w", s.Name, explain(err, s))
	}
	return nil
}

// explain names the refusals that waiting does not mend.
func explain(err error, s contract.Stream) error {
	var refused *jetstream.APIError
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.ErrorCode {
	case errStorage:
		return fmt.Errorf("%w: it may hold %d bytes", ErrNoRoom, s.MaxBytes)
	case errNotClustered:
		return fmt.Errorf("%w: %d are wanted", ErrNoCluster, s.Replicas)
	default:
		return err
	}
}

// errStoreNotMade is the server's code for a store it could not make just now,
// seen rarely when it is busy making or removing others.
const errStoreNotMade = 10049

// createStream tries again, a bounded number of times, where the server could
// not make the store.
func createStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) (st jetstream.Stream, err error) {
	for try := range 3 {
		var refused *jetstream.APIError
		st, err = js.CreateStream(ctx, cfg)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			// Somebody else was first, with another size.
			return js.Stream(ctx, cfg.Name)
		}
		if !errors.As(err, &refused) || refused.ErrorCode != errStoreNotMade {
			return st, err
		}
		select {
		case <-time.After(time.Duration(try+1) * 200 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return st, err
}

// streamDrift names the first setting that differs. Replicas are none of them: they
// may change at any time. The switches in the second half would let a
// publisher act on messages that are not its own.
func streamDrift(want, got jetstream.StreamConfig) string {
	switch {
	case got.Retention != want.Retention:
		return fmt.Sprintf("retention is %v, want %v", got.Retention, want.Retention)
	case !slices.Equal(got.Subjects, want.Subjects):
		return fmt.Sprintf("subjects are %v, want %v", got.Subjects, want.Subjects)
	case got.Discard != want.Discard:
		return fmt.Sprintf("discard is %v, want %v", got.Discard, want.Discard)
	case got.Storage != want.Storage:
		return fmt.Sprintf("storage is %v, want %v", got.Storage, want.Storage)
	case got.MaxAge != want.MaxAge:
		return fmt.Sprintf("max age is %v, want %v", got.MaxAge, want.MaxAge)
	case got.DenyDelete != want.DenyDelete, got.DenyPurge != want.DenyPurge:
		return fmt.Sprintf("deny delete and purge are %v and %v, want %v and %v", got.DenyDelete, got.DenyPurge, want.DenyDelete, want.DenyPurge)
	case got.AllowRollup, got.AllowMsgTTL, got.AllowMsgSchedules, got.AllowMsgCounter, got.AllowAtomicPublish, got.SubjectDeleteMarkerTTL != 0:
		return "rollups, message TTLs, schedules, counters and atomic batches must be off"
	}
	return ""
}

// ProvisionMissing creates the streams and consumers that are missing and leaves
// those that exist as they are, whatever their settings.
func ProvisionMissing(ctx context.Context, js jetstream.JetStream, streams []contract.Stream, consumers []contract.Consumer) error {
	for _, s := range streams {
		_, err := js.Stream(ctx, s.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			err = provisionStream(ctx, js, s)
		}
		if err != nil {
			return fmt.Errorf("look after stream %s: %w", s.Name, err)
		}
	}
	for _, c := range consumers {
		_, err := js.Consumer(ctx, c.Stream, c.Durable)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			err = provisionConsumer(ctx, js, c)
		}
		if err != nil {
			return fmt.Errorf("look after consumer %s of %s: %w", c.Durable, c.Stream, err)
		}
	}
	return nil
}

func provisionConsumer(ctx context.Context, js jetstream.JetStream, c contract.Consumer) error {
	want := jetstream.ConsumerConfig{
		Durable:       c.Durable,
		FilterSubject: c.Filter,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       c.AckWait,
		// Attempts are counted in Postgres; the broker never gives up on a
		// message by itself.
		MaxDeliver:    -1,
		MaxAckPending: c.MaxAckPending,

		InactiveThreshold: c.Idle,
	}
	cons, err := js.Consumer(ctx, c.Stream, c.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		if _, err = js.CreateConsumer(ctx, c.Stream, want); err != nil {
			return fmt.Errorf("create consumer %s of %s: %w", c.Durable, c.Stream, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up consumer %s of %s: %w", c.Durable, c.Stream, err)
	}
	got := cons.CachedInfo().Config
	formerly := c.Formerly != "" && got.FilterSubject == c.Formerly
	if got.FilterSubject != want.FilterSubject && !formerly || got.AckPolicy != want.AckPolicy || got.MaxDeliver != want.MaxDeliver {
		return fmt.Errorf("consumer %s of %s: %w: filter %q, ack policy %v, max deliver %d", c.Durable, c.Stream, ErrDrift, got.FilterSubject, got.AckPolicy, got.MaxDeliver)
	}
	if formerly || got.AckWait != want.AckWait || got.MaxAckPending != want.MaxAckPending {
		// All of them may change while messages wait.
		if _, err := js.UpdateConsumer(ctx, c.Stream, want); err != nil {
			return fmt.Errorf("update consumer %s of %s: %w", c.Durable, c.Stream, err)
		}
	}
	return nil
}
