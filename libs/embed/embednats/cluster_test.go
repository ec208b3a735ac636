package embednats_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/embednats"
)

// members are three servers of one cluster, and what each is started with.
type members struct {
	opts    []embednats.Options
	servers []*embednats.Server
	log     *buffer
}

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

// cluster starts three servers; change may alter what each is started with.
func cluster(t *testing.T, change func(*embednats.Options)) *members {
	t.Helper()
	addresses := freeAddresses(t, 6)
	routes, doors := addresses[:3], addresses[3:]
	m := &members{log: &buffer{}, servers: make([]*embednats.Server, 3)}
	for i := range routes {
		o := embednats.Options{
			Name: fmt.Sprintf("nats-%d", i), Listen: doors[i], StoreDir: t.TempDir(), Log: zerolog.New(m.log),
			Cluster: &embednats.Cluster{Name: "nexus", Listen: routes[i], Routes: routes, Secret: "5ecre7"},
		}
		if change != nil {
			change(&o)
		}
		m.opts = append(m.opts, o)
	}
	t.Cleanup(func() {
		for _, s := range m.servers {
			if s != nil {
				s.Stop()
			}
		}
	})
	for i := range m.opts {
		m.start(t, i)
	}
	m.awaitWhole(t)
	return m
}

func (m *members) start(t *testing.T, i int) {
	t.Helper()
	s, err := embednats.Start(m.opts[i])
	require.NoError(t, err)
	m.servers[i] = s
}

// awaitWhole waits until no member misses anything.
func (m *members) awaitWhole(t *testing.T) {
	t.Helper()
	var missing string
	require.Eventually(t, func() bool {
		for _, s := range m.servers {
			if missing = s.Missing(); missing != "" {
				return false
			}
		}
		return true
	}, time.Minute, 50*time.Millisecond, "the cluster is not whole")
	require.Empty(t, missing)
}

func (m *members) connect(t *testing.T, opts ...nats.Option) *nats.Conn {
	t.Helper()
	urls := make([]string, len(m.opts))
	for i, o := range m.opts {
		urls[i] = "nats://" + o.Listen
	}
	nc, err := nats.Connect(strings.Join(urls, ","), append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func replicated(t *testing.T, nc *nats.Conn) (jetstream.JetStream, jetstream.Consumer) {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "WORDS", Subjects: []string{"words.>"}, Replicas: 3})
	require.NoError(t, err)
	c, err := js.CreateConsumer(t.Context(), "WORDS", jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 5 * time.Second})
	require.NoError(t, err)
	return js, c
}

// publish sends a message until the cluster has acknowledged it.
func publish(ctx context.Context, js jetstream.JetStream, n int) error {
	id := fmt.Sprint(n)
	for {
		_, err := js.Publish(ctx, "words."+id, []byte(id), jetstream.WithMsgID(id))
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// Each member in turn is stopped and started while messages are published and read.
func TestClusterLosesNothingWhenEachMemberStops(t *testing.T) {
	t.Parallel()
	m := cluster(t, nil)
	js, reader := replicated(t, m.connect(t))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	published, read := make(chan int, 1), make(chan map[string]bool, 1)
	stopPublishing := make(chan struct{})
	go func() {
		n := 0
		defer func() { published <- n }()
		for ; ; n++ {
			select {
			case <-stopPublishing:
				return
			default:
			}
			if publish(ctx, js, n) != nil {
				return
			}
		}
	}()
	total := make(chan int, 1)
	go func() {
		seen, want := map[string]bool{}, -1
		defer func() { read <- seen }()
		for ctx.Err() == nil && (want < 0 || len(seen) < want) {
			select {
			case want = <-total:
			default:
			}
			batch, err := reader.Fetch(50, jetstream.FetchMaxWait(500*time.Millisecond))
			if err != nil {
				continue
			}
			for msg := range batch.Messages() {
				// An acknowledgement that is lost brings the message again.
				seen[string(msg.Data())] = true
				_ = msg.Ack()
			}
		}
	}()
	for i := range m.servers {
		m.servers[i].Stop()
		m.start(t, i)
		m.awaitWhole(t)
	}
	close(stopPublishing)
	n := <-published
	require.Positive(t, n)
	kept, err := js.Stream(t.Context(), "WORDS")
	require.NoError(t, err)
	require.GreaterOrEqual(t, kept.CachedInfo().State.Msgs, uint64(n))
	total <- n
	select {
	case seen := <-read:
		for i := range n {
			require.True(t, seen[fmt.Sprint(i)], "message %d of %d is lost", i, n)
		}
	case <-time.After(time.Minute):
		cancel()
		t.Fatalf("of %d messages %d were read within a minute", n, len(<-read))
	}
	require.NotContains(t, m.log.String(), "5ecre7")
}

// A member whose disk is empty gets everything from the others.
func TestWipedMemberCatchesUp(t *testing.T) {
	t.Parallel()
	m := cluster(t, nil)
	js, _ := replicated(t, m.connect(t))
	for n := range 100 {
		require.NoError(t, publish(t.Context(), js, n))
	}
	m.servers[0].Stop()
	require.NoError(t, os.RemoveAll(m.opts[0].StoreDir))
	m.start(t, 0)
	m.awaitWhole(t)
	// It holds them itself: another one may go.
	m.servers[1].Stop()
	m.servers[1] = nil
	require.Eventually(t, func() bool {
		s, err := js.Stream(t.Context(), "WORDS")
		return err == nil && s.CachedInfo().State.Msgs == 100
	}, time.Minute, 50*time.Millisecond, "messages are gone")
}

// A member says what it misses, and is found by the others meanwhile.
func TestMemberAloneIsNotReady(t *testing.T) {
	t.Parallel()
	m := cluster(t, nil)
	for i := range 2 {
		m.servers[i].Stop()
		m.servers[i] = nil
	}
	require.Eventually(t, func() bool { return m.servers[2].Missing() == "no other member of the cluster is connected" },
		30*time.Second, 20*time.Millisecond, "it does not see that it is alone")
	m.start(t, 0)
	m.start(t, 1)
	m.awaitWhole(t)
}

// One that does not know the secret is no member.
func TestStrangerIsNoMember(t *testing.T) {
	t.Parallel()
	m := cluster(t, nil)
	o := m.opts[2]
	m.servers[2].Stop()
	m.servers[2] = nil
	stranger := *o.Cluster
	stranger.Secret = "guessed"
	o.Cluster, o.StoreDir = &stranger, t.TempDir()
	s := start(t, o)
	require.Eventually(t, func() bool { return strings.Contains(m.log.String(), "uthentication error") }, 30*time.Second, 20*time.Millisecond, "nobody refused it")
	require.Equal(t, "no other member of the cluster is connected", s.Missing())
	text, err := os.ReadFile(filepath.Join(o.StoreDir, "nats.conf"))
	require.NoError(t, err)
	require.NotContains(t, string(text), "guessed")
}

// A cluster would delete the streams of a server that stood alone.
func TestStoreOfASingleServerIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	single, err := embednats.Start(embednats.Options{StoreDir: dir})
	require.NoError(t, err)
	require.Empty(t, single.Missing())
	nc := inProcess(t, single)
	stream(t, nc, "WORDS", "words.>")
	nc.Close()
	single.Stop()
	address := freeAddresses(t, 1)
	_, err = embednats.Start(embednats.Options{
		Name: "nats-0", Listen: randomPort, StoreDir: dir, Cluster: &embednats.Cluster{Name: "nexus", Listen: address[0], Routes: address, Secret: "x"},
	})
	require.ErrorIs(t, err, embednats.ErrStandAlone)
	require.ErrorContains(t, err, dir)
}

// Start says so when another program has the address for members.
func TestAddressForMembersIsTaken(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	address := l.Addr().String()
	_, err = embednats.Start(embednats.Options{Name: "nats-0", Listen: randomPort, Cluster: &embednats.Cluster{Name: "nexus", Listen: address, Routes: []string{address}, Secret: "x"}})
	require.ErrorContains(t, err, "listen for the other members")
}

func TestBadClusters(t *testing.T) {
	t.Parallel()
	good := func() embednats.Cluster {
		return embednats.Cluster{Name: "nexus", Listen: "127.0.0.1:6222", Routes: []string{"127.0.0.1:6222"}, Secret: "x"}
	}
	for says, spoil := range map[string]func(*embednats.Options){
		"cluster name":                           func(o *embednats.Options) { o.Cluster.Name = "two words" },
		"a name of its own":                      func(o *embednats.Options) { o.Name = "" },
		"an address for clients":                 func(o *embednats.Options) { o.Listen = "" },
		"an address for the others":              func(o *embednats.Options) { o.Cluster.Listen = "" },
		"the addresses of all members":           func(o *embednats.Options) { o.Cluster.Routes = nil },
		`address "nowhere": want host:port`:      func(o *embednats.Options) { o.Cluster.Routes = []string{"nowhere"} },
		"the secret of the cluster":              func(o *embednats.Options) { o.Cluster.Secret = "" },
		"needs a certificate and its key":        func(o *embednats.Options) { o.TLS = &embednats.TLS{Cert: "/cert"} },
		"needs the certificate of its authority": func(o *embednats.Options) { o.TLS = &embednats.TLS{Cert: "/cert", Key: "/key"} },
	} {
		c := good()
		o := embednats.Options{Name: "nats-0", Listen: randomPort, StoreDir: t.TempDir(), Cluster: &c}
		_, err := o.Config()
		require.NoError(t, err)
		spoil(&o)
		_, err = o.Config()
		require.ErrorContains(t, err, says)
	}
}

// The secret follows from the keys, so that members that share them need no other.
func TestRouteSecretFollowsFromTheKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := embednats.LoadOrCreateKeys(dir)
	require.NoError(t, err)
	again, err := embednats.LoadOrCreateKeys(dir)
	require.NoError(t, err)
	other, err := embednats.LoadOrCreateKeys(t.TempDir())
	require.NoError(t, err)
	require.Equal(t, first.RouteSecret(), again.RouteSecret())
	require.NotEqual(t, first.RouteSecret(), other.RouteSecret())
	require.NotContains(t, first.RouteSecret(), string(first.Issuer.Seed))
	require.Len(t, first.RouteSecret(), 64)
}
