package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Retention says what makes a stream forget a message.
type Retention string

// Kinds of retention.
const (
	// RetainUntilDone keeps a message until its one consumer has acknowledged it.
	RetainUntilDone Retention = "work_queue"
	// RetainForAge keeps a message until it is older than Stream.MaxAge.
	RetainForAge Retention = "limits"
)

// Stream describes one JetStream stream. Every stream is file backed. When it
// is full, one that holds work refuses new messages, and one that keeps messages
// for their age drops the oldest.
type Stream struct {
	Name      string
	Subjects  []string
	Retention Retention
	// MaxAge is zero for streams that hold work: unfinished work never expires.
	MaxAge time.Duration
	// MaxBytes bounds the stream on disk.
	MaxBytes int64
	// Grow says that a stream that exists with a smaller bound gets this one. None
	// is ever made smaller: that could drop messages.
	Grow bool
	// Replicas is how many servers of a cluster keep the stream when it is made, its
	// consumers too; 0 means one.
	Replicas int
	// Rescale says that a stream that exists gets as many, too.
	Rescale bool
	// Duplicates is how long a message id is remembered.
	Duplicates time.Duration
	// Outside marks the stream that outsiders can publish to. Schedules,
	// rollups, per-message TTLs, counters and batches must stay off on it: each
	// would let a publisher act on messages that are not its own.
	Outside bool
	// Direct lets readers fetch stored messages with EventsGet.
	Direct bool
}

// Consumer describes one durable pull consumer.
type Consumer struct {
	Stream  string
	Durable string
	Filter  string
	// AckWait is how long a delivered message may stay silent.
	AckWait time.Duration
	// MaxAckPending bounds the messages delivered and not acknowledged.
	MaxAckPending int
	// Idle is how long the consumer is kept while nobody reads it; zero is for
	// ever.
	Idle time.Duration
	// Formerly is the filter that versions before this one gave it, if another.
	Formerly string
}

const gib = 1 << 30

// AcceptedFor is how long the broker knows of a job that it has and nobody has
// recorded. It is less than any finished job is kept.
const AcceptedFor = 30 * time.Minute

// MinStreamBytes and MaxStreamBytes bound what all streams together may hold on
// disk.
const (
	MinStreamBytes = 288 << 20
	MaxStreamBytes = 18 * gib
)

// Streams lists every stream of the platform, at its full size.
func Streams() []Stream {
	return []Stream{
		{Name: StreamCommands, Subjects: []string{PatternCommands}, Retention: RetainUntilDone, MaxBytes: 4 * gib, Duplicates: 2 * time.Minute},
		{Name: StreamSubmit, Subjects: []string{PatternSubmit}, Retention: RetainUntilDone, MaxBytes: gib, Duplicates: 100 * time.Millisecond, Outside: true},
		{Name: StreamRuns, Subjects: []string{PatternRuns}, Retention: RetainUntilDone, MaxBytes: 4 * gib, Duplicates: 2 * time.Minute},
		{Name: StreamEvents, Subjects: []string{PatternEvents}, Direct: true, Retention: RetainForAge, MaxAge: 7 * 24 * time.Hour, MaxBytes: 8*gib - 256<<20, Duplicates: 2 * time.Minute},
		{Name: StreamDead, Subjects: []string{PatternDead}, Retention: RetainForAge, MaxAge: 28 * 24 * time.Hour, MaxBytes: gib, Duplicates: 2 * time.Minute},
		{Name: StreamAccepted, Subjects: []string{PatternAccepted}, Direct: true, Retention: RetainForAge, MaxAge: AcceptedFor, MaxBytes: 256 << 20, Duplicates: 2 * time.Minute},
	}
}

// StreamsWithin lists every stream of the platform so that all together hold at
// most total bytes, which MinStreamBytes and MaxStreamBytes bound. Each has the
// share it has of the full size.
func StreamsWithin(total int64) []Stream {
	total = max(MinStreamBytes, min(total, MaxStreamBytes))
	out := Streams()
	for i := range out {
		out[i].MaxBytes = (out[i].MaxBytes >> 20) * total / (MaxStreamBytes >> 20)
		out[i].Grow = true
	}
	return out
}

// Consumers lists every durable consumer of the platform. lease is the run
// lease; a silent run message is delivered again after it.
func Consumers(lease time.Duration) []Consumer {
	out := []Consumer{
		{Stream: StreamCommands, Durable: ConsumerRecorder, Filter: PatternCommands, AckWait: 15 * time.Second, MaxAckPending: 20_000},
		{Stream: StreamSubmit, Durable: ConsumerDoor, Filter: PatternStray, Formerly: PatternSubmit, AckWait: 30 * time.Second, MaxAckPending: 5_000},
		{Stream: StreamEvents, Durable: ConsumerAudit, Filter: PatternEvents, AckWait: 30 * time.Second, MaxAckPending: 20_000},
		{Stream: StreamEvents, Durable: ConsumerWebhooks, Filter: PatternJobEvents, AckWait: 30 * time.Second, MaxAckPending: 20_000},
		{Stream: StreamDead, Durable: ConsumerDead, Filter: PatternDead, AckWait: 30 * time.Second, MaxAckPending: 1_000},
	}
	for _, q := range []string{QueueCorpus, QueuePlugins, QueueBench} {
		out = append(out, QueueConsumers(q, lease)...)
	}
	return out
}

// DoorConsumer is the consumer of what one owner publishes at the NATS door. Each
// owner has one, made when messages come and dropped when none came for a while:
// what waits for one owner's sake cannot hold up another.
func DoorConsumer(owner string) Consumer {
	name := owner
	if !ValidToken(owner) {
		// The server lets no client publish under such a name, but a service may.
		sum := sha256.Sum256([]byte(owner))
		name = "~" + hex.EncodeToString(sum[:16])
	}
	return Consumer{
		Stream: StreamSubmit, Durable: "door-" + name, Filter: SubmitPattern(owner), AckWait: 30 * time.Second, MaxAckPending: 5_000, Idle: 5 * time.Minute,
	}
}

// QueueConsumers lists the consumers of one queue, one for each lane.
func QueueConsumers(queue string, lease time.Duration) []Consumer {
	var out []Consumer
	for _, lane := range Lanes() {
		out = append(out, Consumer{
			Stream: StreamRuns, Durable: RunConsumer(queue, lane.Priority), Filter: RunFilter(queue, lane.Priority),
			AckWait: lease, MaxAckPending: 20_000,
		})
	}
	return out
}
