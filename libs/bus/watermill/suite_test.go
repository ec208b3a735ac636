package wmjs_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	wmjs "nexus.internal/libs/bus/watermill"
	"nexus.internal/libs/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWatermillSuite(t *testing.T) {
	t.Parallel()
	suite(t, 100, tests.Features{})
}

// With one message in flight the next waits for the ack, which keeps the order.
func TestWatermillSuiteOneAtATime(t *testing.T) {
	t.Parallel()
	suite(t, 1, tests.Features{GuaranteedOrder: true, GuaranteedOrderWithSingleSubscriber: true, ForceShort: true})
}

// suite leaves RestartServiceCommand out: the suite's test for it compares with
// a list that its publishers are still writing. TestRestart takes its place.
func suite(t *testing.T, inFlight int, features tests.Features) {
	t.Helper()
	b := startBroker(t)
	streams := &streams{}
	features.ConsumerGroups = true
	features.Persistent = true
	group := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		t.Helper()
		js := b.connect(t)
		sub, err := wmjs.NewSubscriber(js, b.log, wmjs.SubscriberConfig{
			Resolve: func(topic string) (contract.Consumer, error) {
				return groupConsumer(group, topic), streams.ensure(js, topic)
			},
			InFlight:   inFlight,
			RetryDelay: wmjs.Backoff(time.Millisecond, 100*time.Millisecond),
			Grace:      200 * time.Millisecond,
		})
		require.NoError(t, err)
		return streamPerTopic{wmjs.NewPublisher(js), streams, js}, sub
	}
	tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) {
		t.Helper()
		return group(t, "g")
	}, group)
}

// streams makes each topic a stream of its own: the suite publishes the same
// message ids to several topics, and a stream takes an id once.
type streams struct{ made sync.Map }

func (s *streams) ensure(js jetstream.JetStream, topic string) error {
	if _, ok := s.made.Load(topic); ok {
		return nil
	}
	_, err := js.CreateOrUpdateStream(context.Background(), jetstream.StreamConfig{
		Name: topic, Subjects: []string{topic}, Storage: jetstream.MemoryStorage,
	})
	if err == nil {
		s.made.Store(topic, true)
	}
	return err
}

// streamPerTopic is a publisher whose topics may be new.
type streamPerTopic struct {
	*wmjs.Publisher
	*streams
	js jetstream.JetStream
}

func (s streamPerTopic) Publish(topic string, messages ...*message.Message) error {
	if err := s.ensure(s.js, topic); err != nil {
		return err
	}
	return s.Publisher.Publish(topic, messages...)
}

func groupConsumer(group, topic string) contract.Consumer {
	return contract.Consumer{Stream: topic, Durable: group, Filter: topic, AckWait: 10 * time.Second, MaxAckPending: 20_000}
}
