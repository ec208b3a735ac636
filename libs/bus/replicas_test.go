package bus_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
)

// freeAddresses were free a moment ago.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	out := make([]string, n)
	for i := range out {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		// All are held until the last is known.
		defer func() { _ = l.Close() }()
		out[i] = l.Addr().String()
	}
	return out
}

// clustered is JetStream of each of three servers of a cluster.
func clustered(t *testing.T) []jetstream.JetStream {
	t.Helper()
	routes := freeAddresses(t, 3)
	var servers []*embednats.Server
	for i, address := range routes {
		s, err := embednats.Start(embednats.Options{
			Name: fmt.Sprintf("nats-%d", i), Listen: "127.0.0.1:-1", StoreDir: t.TempDir(), Log: zerolog.Nop(),
			Cluster: &embednats.Cluster{Name: "nexus", Listen: address, Routes: routes, Secret: "x"},
		})
		require.NoError(t, err)
		t.Cleanup(s.Stop)
		servers = append(servers, s)
	}
	var out []jetstream.JetStream
	for _, s := range servers {
		testkit.Eventually(t, func() bool { return s.Missing() == "" }, "the cluster is not whole")
		nc, err := s.Connect()
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		js, err := bus.JetStream(nc)
		require.NoError(t, err)
		out = append(out, js)
	}
	return out
}

// small lists two streams of the platform that several servers keep.
func small(replicas int, bytes int64) []contract.Stream {
	out := contract.StreamsWithin(contract.MinStreamBytes)[:2]
	for i := range out {
		out[i].Replicas, out[i].MaxBytes = replicas, bytes
	}
	return out
}

func TestReplicasGoUpAndDown(t *testing.T) {
	t.Parallel()
	js := clustered(t)[0]
	consumers := contract.Consumers(time.Minute)[:2]
	for _, replicas := range []int{1, 3, 1} {
		streams := small(replicas, 1<<20)
		for i := range streams {
			streams[i].Rescale = true
		}
		// Members that have just found each other may take one for offline.
		testkit.Eventually(t, func() bool { return bus.Provision(t.Context(), js, streams, consumers) == nil }, "the streams are not made")
		for _, want := range streams {
			testkit.Eventually(t, func() bool {
				info := stream(t, js, want.Name).CachedInfo()
				return info.Config.Replicas == replicas && info.Cluster != nil && info.Cluster.Leader != "" && len(info.Cluster.Replicas) == replicas-1
			}, "stream %s has not %d replicas", want.Name, replicas)
		}
		for _, want := range consumers {
			testkit.Eventually(t, func() bool {
				c, err := js.Consumer(t.Context(), want.Stream, want.Durable)
				return err == nil && c.CachedInfo().Cluster != nil && len(c.CachedInfo().Cluster.Replicas) == replicas-1
			}, "consumer %s has not %d replicas", want.Durable, replicas)
		}
		if replicas == 1 {
			id := uuid.NewString()
			testkit.Eventually(t, func() bool {
				_, err := js.Publish(t.Context(), strings.TrimSuffix(contract.PatternCommands, ">")+"x", []byte("{}"), jetstream.WithMsgID(id))
				return err == nil
			}, "the new leader takes no message")
		}
	}
	require.EqualValues(t, 2, stream(t, js, contract.StreamCommands).CachedInfo().State.Msgs)

	require.NoError(t, bus.Provision(t.Context(), js, small(3, 1<<20), nil))
	require.Equal(t, 1, stream(t, js, contract.StreamCommands).CachedInfo().Config.Replicas, "nobody asked for more")
}

// Members start at the same time, and each sizes the streams by its own disk.
func TestMembersProvisionAtOnce(t *testing.T) {
	t.Parallel()
	all := clustered(t)
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, js := range all {
		wg.Go(func() {
			// A cluster that has just come together may leave one of several askers without
			// an answer, or take a member for offline; members ask again.
			for end := time.Now().Add(time.Minute); time.Now().Before(end); {
				errs[i] = bus.ProvisionMissing(t.Context(), js, small(3, int64(1+i)<<20), contract.Consumers(time.Minute)[:2])
				if errs[i] == nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, 3, stream(t, all[0], contract.StreamCommands).CachedInfo().Config.Replicas)
}

func TestSingleServerKeepsNoReplicas(t *testing.T) {
	t.Parallel()
	js := bare(t)
	err := bus.Provision(t.Context(), js, small(3, 1<<20), nil)
	require.ErrorIs(t, err, bus.ErrNoCluster)
	require.ErrorContains(t, err, "3 are wanted")
	require.NoError(t, bus.Provision(t.Context(), js, small(1, 1<<20), nil))
	more := small(3, 1<<20)
	more[0].Rescale = true
	require.ErrorIs(t, bus.Provision(t.Context(), js, more, nil), bus.ErrNoCluster)
}

// What exists stays as it is, whoever made it.
func TestProvisionMissingChangesNothing(t *testing.T) {
	t.Parallel()
	js := bare(t)
	streams, consumers := small(1, 1<<20), contract.Consumers(time.Minute)[:2]
	require.NoError(t, bus.ProvisionMissing(t.Context(), js, streams, consumers))
	first := consumer(t, js, consumers[0])
	require.NoError(t, bus.ProvisionMissing(t.Context(), js, small(1, 2<<20), func() []contract.Consumer {
		other := contract.Consumers(2 * time.Minute)[:2]
		other[0].AckWait = time.Hour
		return other
	}()))
	require.EqualValues(t, 1<<20, stream(t, js, streams[0].Name).CachedInfo().Config.MaxBytes)
	require.Equal(t, first, consumer(t, js, consumers[0]))
	require.NoError(t, js.DeleteConsumer(t.Context(), consumers[0].Stream, consumers[0].Durable))
	require.NoError(t, bus.ProvisionMissing(t.Context(), js, nil, consumers))
	require.Equal(t, first, consumer(t, js, consumers[0]))
}
