package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/pg"
	"nexus.internal/services/webhooks/internal/hook"
)

// Tell makes the message of a changed subscription.
type Tell func(after hook.Subscription) (bus.Message, error)

const subscriptionColumns = `s.id, s.owner, s.url, s.events, s.job_type, s.description, s.all_owners, s.enabled, s.disabled_reason, s.secret, s.created_at, s.updated_at`

func scanSubscription(row pgx.Row) (hook.Subscription, error) {
	var s hook.Subscription
	var jobType *string
	err := row.Scan(&s.ID, &s.Owner, &s.URL, &s.Events, &jobType, &s.Description, &s.All, &s.Enabled, &s.DisabledReason, &s.Secret, &s.CreatedAt, &s.UpdatedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return hook.Subscription{}, ErrUnknown
	}
	s.JobType = deref(jobType)
	return s, err
}

func collectSubscriptions(rows pgx.Rows, err error) ([]hook.Subscription, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (hook.Subscription, error) { return scanSubscription(row) })
}

// Find is one subscription, of an owner where one is named.
func (s *Store) Find(ctx context.Context, id uuid.UUID, owner string) (hook.Subscription, error) {
	found, err := scanSubscription(s.db.Pool.QueryRow(ctx, `SELECT `+subscriptionColumns+` FROM webhooks.subscriptions AS s
		WHERE s.id = $1 AND ($2 = '' OR s.owner = $2)`, id, owner))
	if err != nil {
		return hook.Subscription{}, fmt.Errorf("look up webhook %s: %w", id, err)
	}
	return found, nil
}

// List is a page of subscriptions, newest first, of an owner where one is named.
func (s *Store) List(ctx context.Context, owner string, limit, offset int) ([]hook.Subscription, error) {
	sql, args := `SELECT `+subscriptionColumns+` FROM webhooks.subscriptions AS s ORDER BY s.created_at DESC, s.id DESC LIMIT $1 OFFSET $2`, []any{limit, offset}
	if owner != "" {
		sql = `SELECT ` + subscriptionColumns + ` FROM webhooks.subscriptions AS s WHERE s.owner = $3 ORDER BY s.created_at DESC, s.id DESC LIMIT $1 OFFSET $2`
		args = append(args, owner)
	}
	found, err := collectSubscriptions(s.db.Pool.Query(ctx, sql, args...))
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return found, nil
}

// Create adds a subscription, unless its owner has most of them already.
func (s *Store) Create(ctx context.Context, n hook.Subscription, most int, tell Tell) (hook.Subscription, error) {
	var after hook.Subscription
	err := s.change(ctx, func(tx *pg.Tx) (bus.Message, error) {
		var have int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM webhooks.subscriptions WHERE owner = $1`, n.Owner).Scan(&have); err != nil {
			return bus.Message{}, err
		}
		if have >= most {
			return bus.Message{}, ErrTooMany
		}
		var err error
		after, err = scanSubscription(tx.QueryRow(ctx, `
			INSERT INTO webhooks.subscriptions AS s (id, owner, url, events, job_type, description, all_owners, enabled, secret)
			VALUES ($1, $2, $3, $4, $5, $6, $7, true, $8) RETURNING `+subscriptionColumns,
			n.ID, n.Owner, n.URL, n.Events, nullable(n.JobType), n.Description, n.All, n.Secret))
		if err != nil {
			return bus.Message{}, err
		}
		return tell(after)
	})
	if err != nil {
		return hook.Subscription{}, fmt.Errorf("create a webhook of %s: %w", n.Owner, err)
	}
	return after, nil
}

// Change locks a subscription, lets edit change it, and writes it back. edit may
// refuse with an error of its own.
func (s *Store) Change(ctx context.Context, id uuid.UUID, owner string, edit func(*hook.Subscription) error, tell Tell) (hook.Subscription, error) {
	var after hook.Subscription
	err := s.change(ctx, func(tx *pg.Tx) (bus.Message, error) {
		n, err := lock(ctx, tx, id, owner)
		if err != nil {
			return bus.Message{}, err
		}
		if err := edit(&n); err != nil {
			return bus.Message{}, err
		}
		after, err = scanSubscription(tx.QueryRow(ctx, `
			UPDATE webhooks.subscriptions AS s SET url = $2, events = $3, job_type = $4, description = $5, enabled = $6, disabled_reason = $7, secret = $8,
				updated_at = clock_timestamp()
			WHERE s.id = $1 RETURNING `+subscriptionColumns,
			n.ID, n.URL, n.Events, nullable(n.JobType), n.Description, n.Enabled, n.DisabledReason, n.Secret))
		if err != nil {
			return bus.Message{}, err
		}
		return tell(after)
	})
	if err != nil {
		return hook.Subscription{}, fmt.Errorf("change webhook %s: %w", id, err)
	}
	return after, nil
}

func lock(ctx context.Context, tx *pg.Tx, id uuid.UUID, owner string) (hook.Subscription, error) {
	return scanSubscription(tx.QueryRow(ctx, `SELECT `+subscriptionColumns+` FROM webhooks.subscriptions AS s
		WHERE s.id = $1 AND ($2 = '' OR s.owner = $2) FOR UPDATE`, id, owner))
}

// deleteBatch bounds the deliveries that one statement deletes.
const deleteBatch = 5000

const deleteDeliveries = `DELETE FROM webhooks.deliveries WHERE id = ANY(ARRAY(
	SELECT d.id FROM webhooks.subscriptions AS s JOIN webhooks.deliveries AS d ON d.subscription_id = s.id
	WHERE s.id = $1 AND ($2 = '' OR s.owner = $2) ORDER BY d.id LIMIT $3))`

// Delete removes a subscription with its deliveries. Those go first and few at a
// time: however many there are, no change of another subscription waits for them,
// and an attempt that takes too long leaves less to the next.
func (s *Store) Delete(ctx context.Context, id uuid.UUID, owner string, tell Tell) error {
	for {
		tag, err := s.db.Pool.Exec(ctx, deleteDeliveries, id, owner, deleteBatch)
		if err != nil {
			return fmt.Errorf("delete the deliveries of webhook %s: %w", id, err)
		}
		if tag.RowsAffected() < deleteBatch {
			break
		}
	}
	err := s.change(ctx, func(tx *pg.Tx) (bus.Message, error) {
		before, err := lock(ctx, tx, id, owner)
		if err != nil {
			return bus.Message{}, err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM webhooks.subscriptions WHERE id = $1`, id); err != nil {
			return bus.Message{}, err
		}
		return tell(before)
	})
	if err != nil {
		return fmt.Errorf("delete webhook %s: %w", id, err)
	}
	return nil
}

// SetSecret gives an owner another secret for the hooks of single jobs.
func (s *Store) SetSecret(ctx context.Context, owner, secret string, message bus.Message) error {
	err := s.change(ctx, func(tx *pg.Tx) (bus.Message, error) {
		_, err := tx.Exec(ctx, `INSERT INTO webhooks.owners (owner, secret) VALUES ($1, $2)
			ON CONFLICT (owner) DO UPDATE SET secret = excluded.secret, updated_at = clock_timestamp()`, owner, secret)
		return message, err
	})
	if err != nil {
		return fmt.Errorf("set the webhook secret of %s: %w", owner, err)
	}
	return nil
}

// Revision changes whenever a subscription does.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	var number int64
	if err := s.db.Pool.QueryRow(ctx, `SELECT number FROM webhooks.revision`).Scan(&number); err != nil {
		return 0, fmt.Errorf("look up the revision of the webhooks: %w", err)
	}
	return number, nil
}

// Enabled are the subscriptions that are switched on, with the revision they
// were read at.
func (s *Store) Enabled(ctx context.Context) (int64, []hook.Subscription, error) {
	var number int64
	var found []hook.Subscription
	// Both are of one moment.
	err := pgx.BeginTxFunc(ctx, s.db.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT number FROM webhooks.revision`).Scan(&number); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+subscriptionColumns+` FROM webhooks.subscriptions AS s WHERE s.enabled`)
		found, err = collectSubscriptions(rows, err)
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("load the webhooks: %w", err)
	}
	return number, found, nil
}
