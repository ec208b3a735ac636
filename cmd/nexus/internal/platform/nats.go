package platform

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/fault"
)

// NATSConfig says how the NATS server of a process is run, and how one is trusted.
type NATSConfig struct {
	ServerName    string `env:"NATS_SERVER_NAME" doc:"The name of the NATS server of \"nexus nats\", its own among the members of a cluster and the same at each start, such as the name of the pod. Empty: nexus, for a server that stands alone."`
	ClusterName   string `env:"NATS_CLUSTER_NAME" envDefault:"nexus" doc:"The name of the cluster that \"nexus nats\" is a member of, the same for all members."`
	ClusterListen string `env:"NATS_CLUSTER_LISTEN" envDefault:"127.0.0.1:6222" doc:"Where a member of a cluster listens for the other members."`
	ClusterRoutes string `env:"NATS_CLUSTER_ROUTES" doc:"The addresses of all members of the cluster, this one too, host:port separated by commas; three or five. Members share the folder of keys, from which the secret follows that they know each other by. Empty: the server stands alone."`
	TLSCert       string `env:"NATS_TLS_CERT" doc:"The file with the certificate of the NATS server, PEM. It is read at the start. Empty: no TLS. The one of a member of a cluster must be good for clients too, and name the hosts of all routes."`
	TLSPrivate    string `env:"NATS_TLS_KEY" doc:"The file with the private key of that certificate, PEM."`
	TLSCA         string `env:"NATS_TLS_CA" doc:"The file with the authorities that the certificate of a NATS server is held to, PEM. With it the connection is encrypted, whatever the URL says. Empty: those of the system, where NEXUS_NATS_URL begins with tls://."`
	Monitor       string `env:"NATS_MONITOR_LISTEN" doc:"Where the NATS server serves its monitoring pages, such as /jsz for a scaler, for example 0.0.0.0:8222. They show subjects and connections to whoever reaches them. Empty: nowhere."`
	Replicas      int    `env:"STREAMS_REPLICAS" envDefault:"1" doc:"How many servers of a NATS cluster keep each stream: 1, 3 or 5. \"nexus migrate up\", and a process with NEXUS_SCHEMA_MANAGEMENT_MODE=auto_create when it starts, change streams that exist, up and down."`
}

// Validate implements config.Validator.
func (c NATSConfig) Validate() error {
	var errs []error
	switch c.Replicas {
	case 1, 3, 5:
	default:
		errs = append(errs, fmt.Errorf("NEXUS_STREAMS_REPLICAS is %d: want 1, 3 or 5", c.Replicas))
	}
	if (c.TLSCert == "") != (c.TLSPrivate == "") {
		errs = append(errs, errors.New("NEXUS_NATS_TLS_CERT and NEXUS_NATS_TLS_KEY go together: set both, or none"))
	}
	if c.Monitor != "" {
		errs = append(errs, config.Address("NEXUS_NATS_MONITOR_LISTEN", c.Monitor, -1))
	}
	if strings.ContainsAny(c.ServerName, " \t\r\n") {
		errs = append(errs, fmt.Errorf("NEXUS_NATS_SERVER_NAME is %q: want a name without spaces", c.ServerName))
	}
	if c.ClusterRoutes == "" {
		return errors.Join(errs...)
	}
	for _, route := range c.routes() {
		errs = append(errs, config.Address("NEXUS_NATS_CLUSTER_ROUTES", route, 1))
	}
	errs = append(errs, config.Address("NEXUS_NATS_CLUSTER_LISTEN", c.ClusterListen, 1))
	if n := len(c.routes()); n != 3 && n != 5 {
		errs = append(errs, fmt.Errorf("NEXUS_NATS_CLUSTER_ROUTES has %d addresses: want those of all members, three or five", n))
	}
	if c.ServerName == "" {
		errs = append(errs, errors.New("NEXUS_NATS_SERVER_NAME is not set: a member of a cluster needs a name of its own"))
	}
	if c.ClusterName == "" || strings.ContainsAny(c.ClusterName, " \t\r\n") {
		errs = append(errs, fmt.Errorf("NEXUS_NATS_CLUSTER_NAME is %q: want a name without spaces", c.ClusterName))
	}
	if c.TLSCert != "" && c.TLSCA == "" {
		errs = append(errs, errors.New("NEXUS_NATS_TLS_CA is not set: members of a cluster with TLS hold each other to it"))
	}
	if n := len(c.routes()); c.Replicas > n {
		errs = append(errs, fmt.Errorf("NEXUS_STREAMS_REPLICAS is %d: the cluster has %d members", c.Replicas, n))
	}
	return errors.Join(errs...)
}

func (c NATSConfig) routes() []string {
	if c.ClusterRoutes == "" {
		return nil
	}
	out := strings.Split(c.ClusterRoutes, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// trust has a connection hold the server to the authorities of the settings.
func (c NATSConfig) trust() []nats.Option {
	if c.TLSCA == "" {
		return nil
	}
	return []nats.Option{nats.RootCAs(c.TLSCA)}
}

// serverOptions are those of the server of this process.
func (in *infrastructure) serverOptions() (embednats.Options, error) {
	cfg := in.cfg.NATS
	t, err := topology(in.keys)
	if err != nil {
		return embednats.Options{}, err
	}
	o := embednats.Options{
		Listen: in.cfg.NATSListen, Monitor: cfg.Monitor, Name: cfg.ServerName, StoreDir: filepath.Join(in.cfg.DataDir, "nats"), Topology: t, Log: in.log,
	}
	if o.Listen == natsListenOff {
		o.Listen = ""
	}
	if cfg.TLSCert != "" {
		if o.TLS, err = cfg.proof(); err != nil {
			return o, err
		}
	}
	if cfg.ClusterRoutes != "" {
		o.Cluster = &embednats.Cluster{Name: cfg.ClusterName, Listen: cfg.ClusterListen, Routes: cfg.routes(), Secret: in.keys.RouteSecret()}
	} else if cfg.Replicas > 1 {
		return o, fmt.Errorf("NEXUS_STREAMS_REPLICAS is %d: a NATS server that stands alone keeps one; set it to 1, or NEXUS_NATS_CLUSTER_ROUTES", cfg.Replicas)
	}
	return o, nil
}

// proof is the certificate of the settings, wherever the process runs.
func (c NATSConfig) proof() (*embednats.TLS, error) {
	t := &embednats.TLS{}
	for path, to := range map[string]*string{c.TLSCert: &t.Cert, c.TLSPrivate: &t.Key, c.TLSCA: &t.CA} {
		if path == "" {
			continue
		}
		whole, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", path, err)
		}
		*to = whole
	}
	return t, nil
}

// makeStreams makes the streams and consumers that are missing: whoever runs the
// server knows the disk they are on. A member of a cluster waits for the others, and
// changes nothing that is there: its settings may be older than theirs.
func (in *infrastructure) makeStreams(ctx context.Context) error {
	if in.cfg.SchemaMode == SchemaOff {
		return nil
	}
	consumers := contract.Consumers(in.cfg.Worker.Lease())
	return in.asAdmin(ctx, func(_ *nats.Conn, js jetstream.JetStream) error {
		if in.cfg.NATS.ClusterRoutes != "" {
			goal := goal{what: "the other members of the NATS cluster"}
			return in.patience.await(ctx, goal, brokerPasses, func(ctx context.Context) error {
				if missing := in.nats.Missing(); missing != "" {
					return errors.New(missing)
				}
				return inRoom(bus.ProvisionMissing(ctx, js, in.streams, consumers))
			})
		}
		if err := in.provision(ctx, js, in.streams, nil); err != nil {
			return err
		}
		return inRoom(bus.ProvisionMissing(ctx, js, nil, consumers))
	})
}

// inRoom says which setting asks for less where the broker has no room.
func inRoom(err error) error {
	if errors.Is(err, bus.ErrNoRoom) {
		return fmt.Errorf("%w; give NATS more room, or set NEXUS_STREAMS_MAX_BYTES to what all streams together may hold", err)
	}
	if errors.Is(err, bus.ErrNoCluster) {
		return fmt.Errorf("%w; set NEXUS_STREAMS_REPLICAS to 1, or run a cluster (NEXUS_NATS_CLUSTER_ROUTES)", err)
	}
	return err
}

// health is what the NATS server of this process misses.
func (in *infrastructure) health(context.Context) error {
	if missing := in.nats.Missing(); missing != "" {
		return fault.Unavailablef("%s.", missing)
	}
	return nil
}
