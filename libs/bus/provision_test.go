package bus_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
)

// bare is JetStream on a server without any stream.
func bare(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := bus.JetStream(connect(t, newRestartable(t), zerolog.Nop()))
	require.NoError(t, err)
	return js
}

func TestProvisionMakesWhatTheContractSays(t *testing.T) {
	t.Parallel()
	js := bare(t)
	const lease = 42 * time.Second
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), contract.Consumers(lease)))
	for _, want := range contract.Streams() {
		got := stream(t, js, want.Name).CachedInfo().Config
		require.Equal(t, want.Subjects, got.Subjects, want.Name)
		require.Equal(t, jetstream.FileStorage, got.Storage, want.Name)
		require.Equal(t, want.MaxBytes, got.MaxBytes, want.Name)
		require.Equal(t, want.MaxAge, got.MaxAge, want.Name)
		require.Equal(t, want.Duplicates, got.Duplicates, want.Name)
		if want.Retention == contract.RetainForAge {
			require.Equal(t, jetstream.LimitsPolicy, got.Retention, want.Name)
			require.Equal(t, jetstream.DiscardOld, got.Discard, want.Name)
		} else {
			require.Equal(t, jetstream.WorkQueuePolicy, got.Retention, want.Name)
			require.Equal(t, jetstream.DiscardNew, got.Discard, want.Name)
		}
		require.Equal(t, want.Direct, got.AllowDirect, want.Name)
		require.Equal(t, []bool{want.Outside, want.Outside}, []bool{got.DenyDelete, got.DenyPurge}, want.Name)
		require.False(t, got.AllowRollup || got.AllowMsgTTL || got.AllowMsgSchedules || got.AllowMsgCounter || got.AllowAtomicPublish, want.Name)
	}
	for _, want := range contract.Consumers(lease) {
		got := consumer(t, js, want)
		require.Equal(t, want.Durable, got.Durable)
		require.Equal(t, want.Filter, got.FilterSubject, want.Durable)
		require.Equal(t, want.AckWait, got.AckWait, want.Durable)
		require.Equal(t, want.MaxAckPending, got.MaxAckPending, want.Durable)
		require.Equal(t, jetstream.AckExplicitPolicy, got.AckPolicy, want.Durable)
		require.Equal(t, -1, got.MaxDeliver, want.Durable)
		require.Zero(t, got.InactiveThreshold, "it stays without readers: %s", want.Durable)
	}
}

func consumer(t *testing.T, js jetstream.JetStream, c contract.Consumer) jetstream.ConsumerConfig {
	t.Helper()
	cons, err := js.Consumer(t.Context(), c.Stream, c.Durable)
	require.NoError(t, err)
	return cons.CachedInfo().Config
}

func TestProvisionAgainChangesNothing(t *testing.T) {
	t.Parallel()
	js := bare(t)
	configs := func() (out []any) {
		require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), contract.Consumers(time.Minute)))
		for _, s := range contract.Streams() {
			info := stream(t, js, s.Name).CachedInfo()
			out = append(out, info.Config, info.Created)
		}
		for _, c := range contract.Consumers(time.Minute) {
			out = append(out, consumer(t, js, c))
		}
		return out
	}
	first := configs()
	require.Equal(t, first, configs())
}

// A stream of an earlier version learns to hand out messages and keeps them.
func TestProvisionAddsDirectReads(t *testing.T) {
	t.Parallel()
	js := bare(t)
	want := contract.Stream{Name: "WANTED", Subjects: []string{"wanted.>"}, Retention: contract.RetainForAge, MaxAge: time.Hour, MaxBytes: 1 << 20, Duplicates: time.Minute}
	require.NoError(t, bus.Provision(t.Context(), js, []contract.Stream{want}, nil))
	_, err := js.Publish(t.Context(), "wanted.a", []byte("{}"))
	require.NoError(t, err)
	require.False(t, stream(t, js, want.Name).CachedInfo().Config.AllowDirect)
	want.Direct = true
	require.NoError(t, bus.Provision(t.Context(), js, []contract.Stream{want}, nil))
	info := stream(t, js, want.Name).CachedInfo()
	require.True(t, info.Config.AllowDirect)
	require.EqualValues(t, 1, info.State.Msgs)
}

func TestProvisionAtOnce(t *testing.T) {
	t.Parallel()
	r := newRestartable(t)
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		js, err := bus.JetStream(connect(t, r, zerolog.Nop()))
		require.NoError(t, err)
		wg.Go(func() { errs[i] = bus.Provision(t.Context(), js, contract.Streams(), contract.Consumers(time.Minute)) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestOtherLeaseUpdatesTheConsumers(t *testing.T) {
	t.Parallel()
	js := bare(t)
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), contract.Consumers(5*time.Second)))
	subject, err := contract.RunSubject(contract.QueueCorpus, contract.PriorityNormal, "noop", "j1")
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), subject, []byte("{}"))
	require.NoError(t, err)
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), contract.Consumers(9*time.Second)))
	for _, want := range contract.Consumers(9 * time.Second) {
		require.Equal(t, want.AckWait, consumer(t, js, want).AckWait, want.Durable)
	}
	cons, err := js.Consumer(t.Context(), contract.StreamRuns, contract.RunConsumer(contract.QueueCorpus, contract.PriorityNormal))
	require.NoError(t, err)
	require.EqualValues(t, 1, cons.CachedInfo().NumPending, "messages that wait stay")
}

func TestProvisionRefusesOtherStreams(t *testing.T) {
	t.Parallel()
	want := contract.Stream{Name: "WANTED", Subjects: []string{"wanted.>"}, Retention: contract.RetainForAge, MaxAge: time.Hour, MaxBytes: 1 << 20, Duplicates: time.Minute}
	const switches = "rollups, message TTLs, schedules, counters and atomic batches must be off"
	for _, tc := range []struct {
		says   string
		change func(*jetstream.StreamConfig)
	}{
		{"retention is WorkQueue, want Limits", func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }},
		{"subjects are [wanted.a], want [wanted.>]", func(c *jetstream.StreamConfig) { c.Subjects = []string{"wanted.a"} }},
		{"subjects are [wanted.> more], want [wanted.>]", func(c *jetstream.StreamConfig) { c.Subjects = []string{"wanted.>", "more"} }},
		{"discard is DiscardNew, want DiscardOld", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew }},
		{"storage is Memory, want File", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }},
		{"max age is 1m0s, want 1h0m0s", func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = time.Minute, time.Minute }},
		{"deny delete and purge are true and false, want false and false", func(c *jetstream.StreamConfig) { c.DenyDelete = true }},
		{"deny delete and purge are false and true, want false and false", func(c *jetstream.StreamConfig) { c.DenyPurge = true }},
		{switches, func(c *jetstream.StreamConfig) { c.AllowRollup = true }},
		{switches, func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true }},
		{switches, func(c *jetstream.StreamConfig) { c.AllowMsgSchedules = true }},
		{switches, func(c *jetstream.StreamConfig) { c.AllowMsgCounter = true }},
		{switches, func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = true }},
	} {
		js := bare(t)
		have := jetstream.StreamConfig{
			Name: want.Name, Subjects: want.Subjects, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, Retention: jetstream.LimitsPolicy,
			MaxBytes: want.MaxBytes, MaxMsgs: -1, MaxAge: want.MaxAge, Duplicates: want.Duplicates, Replicas: 1,
		}
		tc.change(&have)
		_, err := js.CreateStream(t.Context(), have)
		require.NoError(t, err, tc.says)
		err = bus.Provision(t.Context(), js, []contract.Stream{want}, nil)
		require.ErrorIs(t, err, bus.ErrDrift, tc.says)
		require.ErrorContains(t, err, "stream "+want.Name+": ")
		require.ErrorContains(t, err, tc.says)
		require.Equal(t, have.Retention, stream(t, js, want.Name).CachedInfo().Config.Retention, "it is left as it is")
	}
}

// What an operator may change without asking: how much is kept, and where.
func TestProvisionLeavesSizesToTheOperator(t *testing.T) {
	t.Parallel()
	js := bare(t)
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), nil))
	cfg := stream(t, js, contract.StreamEvents).CachedInfo().Config
	cfg.MaxBytes = 1 << 20
	_, err := js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), nil))
	require.EqualValues(t, 1<<20, stream(t, js, contract.StreamEvents).CachedInfo().Config.MaxBytes)
}

// A stream that may grow does, and never shrinks.
func TestProvisionMakesRoomAndTakesNone(t *testing.T) {
	t.Parallel()
	js := bare(t)
	want := contract.Stream{Name: "WANTED", Subjects: []string{"wanted.>"}, Retention: contract.RetainUntilDone, MaxBytes: 4 << 20, Duplicates: time.Minute, Grow: true}
	for _, tc := range []struct{ asked, got int64 }{{4 << 20, 4 << 20}, {8 << 20, 8 << 20}, {1 << 20, 8 << 20}} {
		want.MaxBytes = tc.asked
		require.NoError(t, bus.Provision(t.Context(), js, []contract.Stream{want}, nil))
		require.Equal(t, tc.got, stream(t, js, want.Name).CachedInfo().Config.MaxBytes)
		_, err := js.Publish(t.Context(), "wanted.a", []byte("{}"))
		require.NoError(t, err)
	}
	require.EqualValues(t, 3, stream(t, js, want.Name).CachedInfo().State.Msgs)
}

// A broker that has not the room says so in a way that can be told apart.
func TestProvisionWithoutRoom(t *testing.T) {
	t.Parallel()
	s, err := embednats.Start(embednats.Options{StoreDir: t.TempDir(), MaxStore: 1 << 30, Log: zerolog.Nop()})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	js := testkit.JetStream(t, testkit.Connect(t, s))
	err = bus.Provision(t.Context(), js, contract.Streams(), nil)
	require.ErrorIs(t, err, bus.ErrNoRoom)
	require.ErrorContains(t, err, "create stream NEXUS_COMMANDS")
	require.NoError(t, bus.Provision(t.Context(), js, contract.StreamsWithin(1<<30), nil))
}

func TestProvisionRefusesOtherConsumers(t *testing.T) {
	t.Parallel()
	js := bare(t)
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), nil))
	want := contract.Consumer{Stream: contract.StreamEvents, Durable: "reader", Filter: contract.PatternJobEvents, AckWait: time.Minute, MaxAckPending: 10}
	for says, change := range map[string]func(*jetstream.ConsumerConfig){
		`filter "nexus.events.auth.>"`: func(c *jetstream.ConsumerConfig) { c.FilterSubject = "nexus.events.auth.>" },
		`filter ""`:                    func(c *jetstream.ConsumerConfig) { c.FilterSubject = "" },
		"ack policy AckAll":            func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckAllPolicy },
		"max deliver 3":                func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 3 },
		"ack policy AckNone": func(c *jetstream.ConsumerConfig) {
			c.AckPolicy, c.AckWait, c.MaxAckPending = jetstream.AckNonePolicy, 0, 0
		},
		"filter \"\", ack policy AckExp": func(c *jetstream.ConsumerConfig) {
			c.FilterSubject, c.FilterSubjects = "", []string{"nexus.events.a", "nexus.events.b"}
		},
	} {
		have := jetstream.ConsumerConfig{
			Durable: want.Durable, FilterSubject: want.Filter, AckPolicy: jetstream.AckExplicitPolicy, AckWait: want.AckWait, MaxDeliver: -1, MaxAckPending: want.MaxAckPending,
		}
		change(&have)
		_, err := js.CreateConsumer(t.Context(), want.Stream, have)
		require.NoError(t, err, says)
		err = bus.Provision(t.Context(), js, nil, []contract.Consumer{want})
		require.ErrorIs(t, err, bus.ErrDrift, says)
		require.ErrorContains(t, err, "consumer reader of NEXUS_EVENTS: ")
		require.ErrorContains(t, err, says)
		require.NoError(t, js.DeleteConsumer(t.Context(), want.Stream, want.Durable))
	}
}

func TestProvisionSaysWhatTheBrokerRefuses(t *testing.T) {
	t.Parallel()
	js := bare(t)
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), nil))
	overlapping := contract.Stream{Name: "OTHER", Subjects: []string{"nexus.events.job.>"}, Retention: contract.RetainUntilDone, MaxBytes: 1 << 20, Duplicates: time.Second}
	require.ErrorContains(t, bus.Provision(t.Context(), js, []contract.Stream{overlapping}, nil), "create stream OTHER")
	unnamed := contract.Stream{Name: "no good", Subjects: []string{"x"}}
	require.ErrorContains(t, bus.Provision(t.Context(), js, []contract.Stream{unnamed}, nil), "look up stream no good")

	second := contract.Consumer{Stream: contract.StreamRuns, Durable: "greedy", Filter: contract.PatternRuns, AckWait: time.Minute, MaxAckPending: 10}
	require.NoError(t, bus.Provision(t.Context(), js, nil, contract.Consumers(time.Minute)))
	require.ErrorContains(t, bus.Provision(t.Context(), js, nil, []contract.Consumer{second}), "create consumer greedy of NEXUS_RUNS")
	second.Stream = "NOWHERE"
	require.ErrorContains(t, bus.Provision(t.Context(), js, nil, []contract.Consumer{second}), "look up consumer greedy of NOWHERE")

	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "NARROW", Subjects: []string{"narrow"}, ConsumerLimits: jetstream.StreamConsumerLimits{MaxAckPending: 10}})
	require.NoError(t, err)
	wide := contract.Consumer{Stream: "NARROW", Durable: "wide", Filter: "narrow", AckWait: time.Minute, MaxAckPending: 10}
	require.NoError(t, bus.Provision(t.Context(), js, nil, []contract.Consumer{wide}))
	wide.MaxAckPending = 11
	require.ErrorContains(t, bus.Provision(t.Context(), js, nil, []contract.Consumer{wide}), "update consumer wide of NARROW")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, bus.Provision(ctx, js, contract.Streams(), nil), context.Canceled)
	require.ErrorIs(t, bus.Provision(ctx, js, nil, contract.Consumers(time.Minute)), context.Canceled)
}

// A consumer of the version before, with the filter that it had, is changed.
func TestConsumersOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	js := bare(t)
	require.NoError(t, bus.Provision(t.Context(), js, contract.Streams(), nil))
	for _, want := range contract.Consumers(time.Minute) {
		if want.Durable != contract.ConsumerDoor {
			continue
		}
		_, err := js.CreateConsumer(t.Context(), want.Stream, jetstream.ConsumerConfig{
			Durable: want.Durable, FilterSubject: want.Formerly, AckPolicy: jetstream.AckExplicitPolicy, AckWait: want.AckWait, MaxDeliver: -1, MaxAckPending: want.MaxAckPending,
		})
		require.NoError(t, err)
		own := contract.DoorConsumer("ann")
		require.Error(t, bus.Provision(t.Context(), js, nil, []contract.Consumer{own}), "a queue of work has one reader of each message")
		require.NoError(t, bus.Provision(t.Context(), js, nil, []contract.Consumer{want, own, contract.DoorConsumer("a$b")}))
		cons, err := js.Consumer(t.Context(), want.Stream, want.Durable)
		require.NoError(t, err)
		require.Equal(t, contract.PatternStray, cons.CachedInfo().Config.FilterSubject)
		cons, err = js.Consumer(t.Context(), own.Stream, own.Durable)
		require.NoError(t, err)
		require.Equal(t, own.Idle, cons.CachedInfo().Config.InactiveThreshold)
		return
	}
	require.Fail(t, "the door has no consumer")
}
