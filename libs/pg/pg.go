// Package pg opens Postgres for a service: one pool that serves both bun and
// the bulk statements of the hot paths, with the service's own database role.
// It holds no SQL of any service.
package pg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/rs/zerolog"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
	"go.opentelemetry.io/otel/trace"

	"nexus.internal/libs/fault"
)

// Config says where the database is and how many connections a service may use.
type Config struct {
	// PoolSize connections are kept open; up to MaxOverflow more are opened
	// under load.
	PoolSize    int `env:"DB_POOL_SIZE" envDefault:"5" doc:"Database connections a service keeps open."`
	MaxOverflow int `env:"DB_MAX_OVERFLOW" envDefault:"10" doc:"Database connections a service may open beyond the pool size under load."`
	// RecycleSeconds is the age at which a connection is replaced.
	RecycleSeconds int `env:"DB_POOL_RECYCLE" envDefault:"3600" doc:"Age at which a database connection is replaced, in seconds."`
	// PrePing checks a connection that was idle for a second before use.
	PrePing bool `env:"DB_POOL_PRE_PING" envDefault:"true" doc:"Check a database connection that has been idle before it is used."`
}

// Validate implements config.Validator.
func (c Config) Validate() error {
	var errs []error
	if c.PoolSize < 1 || c.PoolSize > 500 {
		errs = append(errs, fmt.Errorf("NEXUS_DB_POOL_SIZE is %d: want 1 to 500", c.PoolSize))
	}
	if c.MaxOverflow < 0 || c.MaxOverflow > 500 {
		errs = append(errs, fmt.Errorf("NEXUS_DB_MAX_OVERFLOW is %d: want 0 to 500", c.MaxOverflow))
	}
	if c.RecycleSeconds < 1 {
		errs = append(errs, fmt.Errorf("NEXUS_DB_POOL_RECYCLE is %d: want at least 1 second", c.RecycleSeconds))
	}
	return errors.Join(errs...)
}

// MarshalZerologObject implements zerolog.LogObjectMarshaler.
func (c Config) MarshalZerologObject(e *zerolog.Event) {
	e.Int("size", c.PoolSize).Int("max_overflow", c.MaxOverflow).Int("recycle_seconds", c.RecycleSeconds).Bool("pre_ping", c.PrePing)
}

// Options complete a Config with what is not a setting of its own.
type Options struct {
	Config
	// URL is a Postgres connection URL.
	URL string
	// Role is the database role to act as; empty keeps the login's own.
	Role string
	// Tracer receives a span for each statement; nil traces nothing.
	Tracer trace.TracerProvider
}

// DB is one pool seen two ways.
type DB struct {
	Pool *pgxpool.Pool
	Bun  *bun.DB

	size    int
	waiting *waiting
}

// idleInTx is how long a transaction may wait for its client. One that was frozen
// or cut off must not keep its locks: others wait for them.
const idleInTx = 10 * time.Second

// connectWithin bounds one try to connect, where the URL does not. The driver's
// own bound is two minutes, and packets may be dropped without a word.
const connectWithin = 5 * time.Second

// Open connects and checks that the server answers and speaks UTF-8.
func Open(ctx context.Context, opts Options) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("parse the database URL: %w", redact(err))
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectWithin
	}
	cfg.MinConns = int32(opts.PoolSize)
	cfg.MaxConns = int32(opts.PoolSize + opts.MaxOverflow)
	cfg.MaxConnLifetime = time.Duration(opts.RecycleSeconds) * time.Second
	cfg.MaxConnLifetimeJitter = cfg.MaxConnLifetime / 10
	if !opts.PrePing {
		cfg.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	}
	cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(idleInTx.Milliseconds(), 10)
	// Statements here are short. Compiling one that the planner thinks dear costs more
	// than it could ever save.
	cfg.ConnConfig.RuntimeParams["jit"] = "off"
	// Without it every id is made into text, and that into an id again.
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		pgxuuid.Register(conn.TypeMap())
		return nil
	}
	if opts.Role != "" {
		cfg.ConnConfig.RuntimeParams["role"] = opts.Role
	}
	if opts.Tracer != nil {
		cfg.ConnConfig.Tracer = otelpgx.NewTracer(
			otelpgx.WithTracerProvider(opts.Tracer), otelpgx.WithDisableConnectionDetailsInAttributes(),
		)
	}
	queue := &waiting{}
	cfg.ConnConfig.Tracer = queue.beside(cfg.ConnConfig.Tracer)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database pool: %w", redact(err))
	}
	db := &DB{Pool: pool, Bun: bun.NewDB(stdlib.OpenDBFromPool(pool), pgdialect.New()), size: opts.PoolSize, waiting: queue}
	if err := db.check(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func (db *DB) check(ctx context.Context) error {
	var encoding string
	if err := db.Pool.QueryRow(ctx, "SHOW server_encoding").Scan(&encoding); err != nil {
		return fmt.Errorf("reach the database: %w", redact(err))
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database has encoding %s; Nexus needs UTF8", encoding)
	}
	return nil
}

// Close closes the pool once its connections are given back.
func (db *DB) Close() {
	// Closing bun's view of the pool does not touch the pool itself.
	_ = db.Bun.Close()
	db.Pool.Close()
}

// Ping asks the server for a sign of life.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.Pool.Ping(ctx); err != nil {
		return fmt.Errorf("ping the database: %w", err)
	}
	return nil
}

// InTx runs fn in a transaction. fn must use tx for everything it does: a
// second connection taken inside may wait for this one for ever.
func InTx(ctx context.Context, db *DB, fn func(ctx context.Context, tx bun.Tx) error) error {
	return db.Bun.RunInTx(ctx, &sql.TxOptions{}, fn)
}

// SQLSTATE codes that callers tell apart.
const (
	codeUniqueViolation = "23505"
	codeDeadlock        = "40P01"
	codeSerialization   = "40001"
	classDataException  = "22"
	classConnection     = "08"
	classResources      = "53"
	// classSystem is trouble of the machine the server runs on, such as a disk that
	// cannot be read.
	classSystem = "58"
	// classIntervention is an administrator's shutdown, a crash, a server that
	// starts, or a timeout of ours that cut an idle transaction off.
	classIntervention = "57"
	codeIdleInTx      = "25P03"
	// codeReadOnly is what a standby says: the primary is somewhere else by now.
	codeReadOnly   = "25006"
	codeNoDatabase = "3D000"
	// codeBadParameter is what a connection gets whose role does not exist.
	codeBadParameter = "22023"
)

// IsUniqueViolation reports whether err is a broken unique constraint.
func IsUniqueViolation(err error) bool { return sqlState(err) == codeUniqueViolation }

// IsBadData reports whether Postgres refused a value as such. Trying again
// with the same value cannot help.
func IsBadData(err error) bool {
	s := sqlState(err)
	return len(s) == 5 && s[:2] == classDataException
}

// IsAway reports whether the server could not be reached, ended or refused the
// work for reasons of its own. Trying again later may help.
func IsAway(err error) bool {
	if s := sqlState(err); s != "" {
		return s == codeIdleInTx || s == codeReadOnly || len(s) == 5 && slices.Contains([]string{classConnection, classResources, classIntervention, classSystem}, s[:2])
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err)
}

// Fault gives the error of a server that IsAway the kind fault.Unavailable, and
// leaves others as they are. So is, once a service runs, a server that lets nobody in,
// whatever its reason: the service was let in before.
func Fault(err error) error {
	var connect *pgconn.ConnectError
	if !IsAway(err) && !errors.As(err, &connect) {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "The database does not answer now.")
}

// IsNotYet reports whether a connection could not be opened for a reason that
// somebody else may still mend: the server is away, or the database or the role to
// act as is not made yet. A wrong password is not one: the server says the same of
// a login that does not exist.
func IsNotYet(err error) bool {
	s := sqlState(err)
	return s == codeNoDatabase || s == codeBadParameter || IsAway(err)
}

// State is the SQLSTATE that Postgres answered with, or empty. Unlike the text of an
// error it never repeats a value.
func State(err error) string { return sqlState(err) }

func sqlState(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// errNotURL says what a connection URL looks like, and nothing of the one given.
var errNotURL = errors.New("it is not a Postgres connection URL such as postgres://user@host:5432/name")

// CheckURL returns an error, which shows nothing of url, unless it can be read
// as a connection URL. The files that it names are not looked at.
func CheckURL(url string) error {
	_, err := pgxpool.ParseConfig(url)
	if err == nil || redact(err) != errNotURL { //nolint:errorlint // asks for this very value
		return nil
	}
	return errNotURL
}

// redact drops the parsed configuration from connection errors: it may hold a
// password.
func redact(err error) error {
	var parse *pgconn.ParseConfigError
	if !errors.As(err, &parse) {
		return err
	}
	for _, syntax := range []string{"failed to parse as", "invalid port", "port numbers to"} {
		if strings.Contains(err.Error(), syntax) {
			return errNotURL
		}
	}
	where := ""
	if names := variables(); len(names) > 0 {
		where = ", or in one of the variables of the environment that complete it: " + strings.Join(names, ", ")
	}
	return errors.New("a parameter of it cannot be used, such as a certificate file that is not there" + where)
}

// variables are the names of libpq's variables in the environment.
func variables() []string {
	var names []string
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "PG") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
