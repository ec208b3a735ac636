package platform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/embed/embedpg"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/run"
	"nexus.internal/migrations"
)

// natsListenOff closes the door of the NATS server inside the process.
const natsListenOff = "off"

// infrastructure is what the services stand on: servers of this process or
// elsewhere, and the keys to them.
type infrastructure struct {
	cfg         Config
	log         zerolog.Logger
	postgres    *embedpg.Server
	nats        *embednats.Server
	keys        *embednats.Keys
	databaseURL string
	patience    *patience
	// streams are those of the platform, sized to the disk they are on.
	streams []contract.Stream
}

// newInfrastructure prepares to reach servers; a wait for one lasts limit, or until
// the process is told to stop where limit is zero.
func newInfrastructure(cfg Config, log zerolog.Logger, limit time.Duration) *infrastructure {
	in := &infrastructure{cfg: cfg, log: log, databaseURL: cfg.DatabaseURL, patience: &patience{log: log, limit: limit}}
	in.sizeStreams()
	return in
}

// sizeStreams decides how much the streams may hold: what the settings say, or half
// of the free disk of a server of this process.
func (in *infrastructure) sizeStreams() {
	switch {
	case in.cfg.StreamsMaxBytes > 0:
		in.streams = contract.StreamsWithin(in.cfg.StreamsMaxBytes)
	case in.nats != nil && in.nats.Room() > 0:
		in.streams = contract.StreamsWithin(in.nats.Room() / 2)
	default:
		in.streams = contract.Streams()
	}
	for i := range in.streams {
		in.streams[i].Replicas = in.cfg.NATS.Replicas
	}
}

// startServers starts the servers that no setting names.
func (in *infrastructure) startServers(ctx context.Context, services []string, embedded bool) error {
	cfg := in.cfg
	if embedded && cfg.NATSURL == "" && cfg.NATS.ClusterRoutes != "" {
		return errors.New("NEXUS_NATS_CLUSTER_ROUTES is set: only `nexus nats` is a member of a cluster; others name its servers in NEXUS_NATS_URL")
	}
	if embedded {
		// Readable for the unprivileged user that Postgres runs as; what is
		// secret inside has stricter modes of its own.
		if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil { //nolint:gosec // see above
			return fmt.Errorf("create the data folder: %w; choose another with NEXUS_DATA_DIR", err)
		}
	}
	if !embedded {
		if err := in.named(services); err != nil {
			return err
		}
	}
	if err := in.openKeys(services, embedded); err != nil || !embedded {
		return err
	}
	if err := in.startPostgres(ctx); err != nil {
		return err
	}
	if cfg.NATSURL == "" {
		return in.startNATS()
	}
	return nil
}

// named refuses to run services without servers that settings name.
func (in *infrastructure) named(services []string) error {
	var errs []error
	if in.cfg.NATSURL == "" {
		errs = append(errs, errors.New("NEXUS_NATS_URL is not set: a single service needs a NATS server, such as that of `nexus nats`; `nexus up` brings its own"))
	}
	if in.databaseURL == "" && len(schemasOf(services)) > 0 {
		errs = append(errs, errNoDatabase)
	}
	return errors.Join(errs...)
}

// errNoDatabase says that no setting names a database.
var errNoDatabase = errors.New("NEXUS_DATABASE_URL is not set: this service needs Postgres; `nexus up` brings its own")

// openKeys reads the NATS keys that services need. A process that brings the
// NATS server needs all of them and makes those that are missing; any other
// reads its own.
func (in *infrastructure) openKeys(services []string, embedded bool) error {
	dir := in.cfg.NATSKeys
	if dir == "" {
		return nil
	}
	var err error
	if embedded && in.cfg.NATSURL == "" {
		in.keys, err = embednats.LoadOrCreateKeys(dir, natsUsers()...)
		return err
	}
	names, callout := slices.Clone(services), slices.Contains(services, "auth")
	if callout {
		names = append(names, calloutUser, systemUser)
	}
	if in.cfg.SchemaMode == SchemaAuto || len(services) == 0 {
		names = append(names, admin)
	}
	if in.keys, err = embednats.LoadKeys(dir, callout, names...); err != nil {
		return fmt.Errorf("%w\nNEXUS_NATS_KEYS_DIR names the folder with the keys of the NATS server; `nexus nats` and `nexus up` make them", err)
	}
	return nil
}

// startPostgres starts the private server where no setting names another one.
func (in *infrastructure) startPostgres(ctx context.Context) error {
	if in.cfg.DatabaseURL != "" {
		return nil
	}
	server, err := embedpg.Start(ctx, embedpg.Options{
		BinDir: in.cfg.PGBin, DataDir: filepath.Join(in.cfg.DataDir, "postgres"), Durable: true, Log: in.log,
		MaxConnections: connectionsFor(in.cfg.DB),
	})
	if err != nil {
		return err
	}
	in.postgres, in.databaseURL = server, server.URL()
	return nil
}

// spareConnections are those of the private server that no pool of a service uses: for
// commands of nexus beside it, and for whoever looks at it.
const spareConnections = 50

// connectionsFor is how many connections the private server takes: all that the pools
// may open.
func connectionsFor(pool pg.Config) int {
	return max(embedpg.DefaultMaxConnections, len(migrations.Schemas())*(pool.PoolSize+pool.MaxOverflow)+spareConnections)
}

func (in *infrastructure) startNATS() error {
	opts, err := in.serverOptions()
	if err != nil {
		return err
	}
	in.nats, err = embednats.Start(opts)
	if errors.Is(err, embednats.ErrListen) {
		return fmt.Errorf("%w; choose another address with NEXUS_NATS_LISTEN, or off", err)
	}
	if err != nil {
		return err
	}
	in.sizeStreams()
	return nil
}

// components watch the private Postgres server: when it dies, the process must
// stop and say so.
func (in *infrastructure) components() []run.Component {
	if in.postgres == nil {
		return nil
	}
	return []run.Component{run.Func("postgres", func(ctx context.Context, ready func()) error {
		ready()
		select {
		case <-ctx.Done():
			return nil
		case <-in.postgres.Done():
			return in.postgres.Err()
		}
	})}
}

// connect opens a service's own NATS connection, under its own user, once the
// server can be reached.
func (in *infrastructure) connect(ctx context.Context, service string, log zerolog.Logger) (nc *nats.Conn, err error) {
	opts := []nats.Option{nats.CustomInboxPrefix(inboxPrefix(service))}
	if service == "gateway" {
		// A submit that is refused because NATS is away must not be delivered
		// later from a buffer.
		opts = append(opts, nats.ReconnectBufSize(-1))
	}
	if in.keys != nil {
		key, err := in.keys.User(service)
		if err != nil {
			return nil, err
		}
		opts = append(opts, key.Option())
	}
	if in.nats != nil {
		opts = append(opts, in.nats.InProcess())
	} else {
		opts = append(opts, in.cfg.NATS.trust()...)
	}
	err = in.patience.await(ctx, goal{"NATS", places(in.cfg.NATSURL)}, bus.IsNotYet, func(context.Context) error {
		nc, err = bus.Connect(in.cfg.NATSURL, service, log, opts...)
		return err
	})
	return nc, err
}

// open opens a service's own pool, under its own role, once the server can be
// reached.
func (in *infrastructure) open(ctx context.Context, options pg.Options) (db *pg.DB, err error) {
	if in.databaseURL == "" {
		return nil, errNoDatabase
	}
	options.URL = in.databaseURL
	options.Config = in.cfg.DB
	// A service waits for whoever makes the database and its role, too.
	passes := pg.IsNotYet
	if in.patience.limit > 0 {
		passes = pg.IsAway
	}
	err = in.patience.await(ctx, goal{"Postgres", place(in.databaseURL)}, passes, func(ctx context.Context) error {
		db, err = pg.Open(ctx, options)
		return err
	})
	if err == nil && options.Role != "" {
		in.log.Info().Str("role", options.Role).Object("pool", options.Config).Msg("database pool is open")
	}
	return db, err
}

// prepare creates, or checks, what the services rely on.
func (in *infrastructure) prepare(ctx context.Context, schemas []string) error {
	switch in.cfg.SchemaMode {
	case SchemaAuto:
		_, err := in.create(ctx, schemas)
		return err
	case SchemaMigrateOnly:
		return in.check(ctx, schemas)
	case SchemaOff:
	}
	return nil
}

// create makes the schemas, streams and consumers that are missing. It returns the
// schemas it left alone because a newer program has migrated them.
func (in *infrastructure) create(ctx context.Context, schemas []string) (newer []migrations.Ahead, err error) {
	if len(schemas) > 0 {
		db, err := in.open(ctx, pg.Options{})
		if err != nil {
			return nil, err
		}
		defer db.Close()
		if err := migrations.Up(ctx, db.Bun, schemas...); err != nil {
			return nil, err
		}
		if newer, err = in.newer(ctx, db, schemas); err != nil {
			return nil, err
		}
	}
	return newer, in.asAdmin(ctx, func(_ *nats.Conn, js jetstream.JetStream) error {
		return in.patience.await(ctx, goal{what: "the streams of NATS"}, brokerPasses, func(ctx context.Context) error {
			streams := slices.Clone(in.streams)
			for i := range streams {
				streams[i].Rescale = true
			}
			return in.provision(ctx, js, streams, contract.Consumers(in.cfg.Worker.Lease()))
		})
	})
}

// newer lists the schemas that a newer program has migrated, and says so in the log.
func (in *infrastructure) newer(ctx context.Context, db *pg.DB, schemas []string) ([]migrations.Ahead, error) {
	newer, err := migrations.Newer(ctx, db.Bun, schemas...)
	if err != nil {
		return nil, err
	}
	for _, n := range newer {
		in.log.Warn().Str("schema", n.Schema).Str("migration", n.Migration).Str("known", n.Known).
			Msg("a newer Nexus has migrated this schema; it is compatible with this program and left as it is")
	}
	return newer, nil
}

// provision makes the streams and consumers that are missing.
func (in *infrastructure) provision(ctx context.Context, js jetstream.JetStream, streams []contract.Stream, consumers []contract.Consumer) error {
	return inRoom(bus.Provision(ctx, js, streams, consumers))
}

// asAdmin runs fn on a connection that may create streams.
func (in *infrastructure) asAdmin(ctx context.Context, fn func(nc *nats.Conn, js jetstream.JetStream) error) error {
	nc, err := in.connect(ctx, admin, in.log)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := bus.JetStream(nc)
	if err != nil {
		return err
	}
	return fn(nc, js)
}

func (in *infrastructure) check(ctx context.Context, schemas []string) error {
	if len(schemas) == 0 {
		return nil
	}
	db, err := in.open(ctx, pg.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	for _, schema := range schemas {
		err := in.patience.await(ctx, goal{what: "schema " + schema + ", which `nexus migrate up` makes"}, in.schemaPasses, func(ctx context.Context) error {
			return migrations.Check(ctx, db.Bun, schema)
		})
		if err != nil {
			return err
		}
	}
	_, err = in.newer(ctx, db, schemas)
	return err
}

// ownServers reports whether a server of this process holds the data folder, so
// that nobody else can migrate meanwhile.
func (in *infrastructure) ownServers() bool { return in.nats != nil || in.postgres != nil }

// schemaPasses reports whether a schema that does not fit may do so later.
func (in *infrastructure) schemaPasses(err error) bool {
	return errors.Is(err, migrations.ErrBehind) && !in.ownServers() || pg.IsNotYet(err)
}

// stop ends the servers of this process, after everything that uses them.
func (in *infrastructure) stop(ctx context.Context) error {
	if in.nats != nil {
		in.nats.Stop()
	}
	if in.postgres == nil {
		return nil
	}
	if err := in.postgres.Stop(ctx); err != nil {
		return fmt.Errorf("stop Postgres: %w", err)
	}
	return nil
}

func (in *infrastructure) remove(ctx context.Context, schemas []string) error {
	db, err := in.open(ctx, pg.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	return migrations.Down(ctx, db.Bun, schemas...)
}
