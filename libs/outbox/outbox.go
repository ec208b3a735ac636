// Package outbox makes "committed" and "published" one promise: messages are
// written in the transaction that causes them, published after it commits, and
// published by a relay when the process dies in between.
//
// A batch of work writes one row however many messages it causes. A message
// may be published more than once, always with the same id.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/pg"
)

const (
	// tidyEvery is how often rows of published messages are deleted.
	tidyEvery = 250 * time.Millisecond
	// relayEvery is how often rows that nobody published are looked for.
	relayEvery = time.Second
	// relayAfter is the age from which a row counts as left behind. Its writer
	// may still be alive; publishing twice is harmless.
	relayAfter = 3 * time.Second
	// relayBatch bounds the rows of one relay transaction.
	relayBatch = 20
)

// Publisher publishes messages and returns once the broker has them.
type Publisher interface {
	Publish(ctx context.Context, messages ...bus.Message) error
}

// Execer is what Append needs of a transaction; pgx.Tx has it, and so has
// pg.Tx.AtCommit, which saves a round trip.
type Execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Outbox is the outbox of one Postgres schema, its table <schema>.outbox. It
// is a run.Component: the relay.
type Outbox struct {
	db     *pg.DB
	schema string
	pub    Publisher
	log    zerolog.Logger

	mu        sync.Mutex
	published []uuid.UUID
	// stuck says that the broker did not take what was last left behind.
	stuck bool

	meter meter
}

// New makes the outbox of a schema. schema is a name from code, never input.
func New(db *pg.DB, schema string, pub Publisher, log zerolog.Logger) *Outbox {
	return &Outbox{db: db, schema: schema, pub: pub, log: log}
}

// Entry is one written row.
type Entry struct {
	id       uuid.UUID
	messages []bus.Message
}

// Append writes messages in the caller's transaction and gives them their ids.
// Without messages it writes nothing.
func (o *Outbox) Append(ctx context.Context, tx Execer, messages []bus.Message) (Entry, error) {
	if len(messages) == 0 {
		return Entry{}, nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Entry{}, fmt.Errorf("make an outbox id: %w", err)
	}
	for i := range messages {
		messages[i].ID = id.String() + "." + strconv.Itoa(i)
	}
	body, err := encode(messages)
	if err != nil {
		return Entry{}, err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO `+o.schema+`.outbox (id, body) VALUES ($1, $2)`, id, body); err != nil {
		return Entry{}, fmt.Errorf("write the outbox row: %w", err)
	}
	return Entry{id: id, messages: messages}, nil
}

// Change runs fn in a transaction together with the row of the message it returns,
// and publishes that. What cannot be published now is left to the relay. fn may be
// run more than once; see pg.InPgxTx.
func (o *Outbox) Change(ctx context.Context, fn func(tx *pg.Tx) (bus.Message, error)) error {
	var entry Entry
	err := pg.InPgxTx(ctx, o.db, func(tx *pg.Tx) error {
		message, err := fn(tx)
		if err != nil {
			return err
		}
		entry, err = o.Append(ctx, tx.AtCommit(), []bus.Message{message})
		return err
	})
	if err != nil {
		return err
	}
	if err := o.Publish(ctx, entry); err != nil {
		o.log.Warn().Err(err).Msg("could not publish a change; the relay will")
	}
	return nil
}

// Publish sends the messages of a committed row. When it cannot, the relay
// will; the error is for the log.
func (o *Outbox) Publish(ctx context.Context, e Entry) error {
	if len(e.messages) == 0 {
		return nil
	}
	if err := o.pub.Publish(ctx, e.messages...); err != nil {
		return fmt.Errorf("publish outbox row %s: %w", e.id, err)
	}
	o.mu.Lock()
	o.published = append(o.published, e.id)
	o.mu.Unlock()
	return nil
}

// Name implements run.Component.
func (o *Outbox) Name() string { return o.schema + " outbox relay" }

// Run implements run.Component: it deletes the rows of published messages and
// publishes those that were left behind.
func (o *Outbox) Run(ctx context.Context, ready func()) error {
	ready()
	tidy := time.NewTicker(tidyEvery)
	defer tidy.Stop()
	relay := time.NewTicker(relayEvery)
	defer relay.Stop()
	measure := time.NewTicker(measureEvery)
	defer measure.Stop()
	o.measure(ctx)
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			o.report(o.tidy(last))
			return nil
		case <-tidy.C:
			o.report(o.tidy(ctx))
		case <-relay.C:
			n, err := o.Relay(ctx, relayAfter)
			o.meter.relayed.Add(n)
			o.mu.Lock()
			o.stuck = errors.Is(err, errNotTaken)
			o.mu.Unlock()
			o.report(err)
		case <-measure.C:
			o.measure(ctx)
		}
	}
}

// errNotTaken means that the broker did not take a message now.
var errNotTaken = errors.New("the broker did not take it")

// Check is a fault while the broker does not take what was committed. It is right
// as of the last look for what was left behind, a second ago.
func (o *Outbox) Check() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stuck {
		return fault.Unavailablef("The message broker does not take its messages.")
	}
	return nil
}

func (o *Outbox) report(err error) {
	if err != nil {
		o.log.Warn().Err(err).Str("schema", o.schema).Msg("the outbox is behind")
	}
}

func (o *Outbox) tidy(ctx context.Context) error {
	o.mu.Lock()
	ids := o.published
	o.published = nil
	o.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	if _, err := o.db.Pool.Exec(ctx, `DELETE FROM `+o.schema+`.outbox WHERE id = ANY($1)`, ids); err != nil {
		o.mu.Lock()
		o.published = append(ids, o.published...)
		o.mu.Unlock()
		return fmt.Errorf("delete published outbox rows: %w", err)
	}
	return nil
}

// Relay publishes rows older than age and deletes them, until none is left. It
// returns how many rows it published. Several processes may relay at once.
func (o *Outbox) Relay(ctx context.Context, age time.Duration) (int, error) {
	total := 0
	for {
		n, err := o.relayOnce(ctx, age)
		total += n
		if err != nil || n < relayBatch {
			return total, err
		}
	}
}

func (o *Outbox) relayOnce(ctx context.Context, age time.Duration) (int, error) {
	var done int
	err := pg.InPgxTx(ctx, o.db, func(tx *pg.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, body FROM `+o.schema+`.outbox
			WHERE created_at < clock_timestamp() - make_interval(secs => $1)
			ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED`, age.Seconds(), relayBatch)
		if err != nil {
			return fmt.Errorf("find outbox rows: %w", err)
		}
		type row struct {
			ID   uuid.UUID
			Body []byte
		}
		left, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if err != nil {
			return fmt.Errorf("read outbox rows: %w", err)
		}
		ids := make([]uuid.UUID, 0, len(left))
		for _, r := range left {
			messages, err := decode(r.Body)
			if err != nil {
				return fmt.Errorf("outbox row %s: %w", r.ID, err)
			}
			err = o.pub.Publish(ctx, messages...)
			if fault.KindOf(err) == fault.TooLarge {
				// It stays for somebody to look at, and blocks nobody.
				o.log.Error().Err(err).Str("outbox_row", r.ID.String()).Msg("the broker will never take an outbox row")
				continue
			}
			if err != nil {
				return fmt.Errorf("publish outbox row %s: %w: %w", r.ID, errNotTaken, err)
			}
			ids = append(ids, r.ID)
		}
		if len(ids) == 0 {
			return nil
		}
		if _, err := tx.Exec(ctx, `DELETE FROM `+o.schema+`.outbox WHERE id = ANY($1)`, ids); err != nil {
			return fmt.Errorf("delete relayed outbox rows: %w", err)
		}
		done = len(ids)
		return nil
	})
	return done, err
}
