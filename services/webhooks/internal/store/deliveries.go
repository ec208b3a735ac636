package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/services/webhooks/internal/hook"
)

// A subscription that is gone, or was switched off, since it was remembered gets
// nothing. It is locked against its end until the deliveries are there.
const addDeliveries = `
	WITH live AS (
		SELECT id FROM webhooks.subscriptions WHERE id = ANY($2) AND enabled ORDER BY id FOR KEY SHARE
	)
	INSERT INTO webhooks.deliveries (id, subscription_id, owner, event_id, event, url, host, body)
	SELECT n.* FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
		AS n (id, subscription_id, owner, event_id, event, url, host, body)
	WHERE n.subscription_id IS NULL OR n.subscription_id IN (SELECT id FROM live)
	ON CONFLICT DO NOTHING`

// Add writes deliveries that are new, in one transaction, and makes the secrets
// of owners who need one for the first time; secret makes one.
func (s *Store) Add(ctx context.Context, drafts []hook.Draft, secret func() (string, error)) error {
	if len(drafts) == 0 {
		return nil
	}
	n := len(drafts)
	ids, subs := make([]uuid.UUID, n), make([]*uuid.UUID, n)
	owners, eventIDs, events, hosts, bodies := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	urls := make([]*string, n)
	var needy, secrets []string
	for i, d := range drafts {
		ids[i], subs[i], owners[i], eventIDs[i], events[i], urls[i], hosts[i], bodies[i] = d.ID, d.Subscription, d.Owner, d.EventID, d.Event, nullable(d.URL), d.Host, string(d.Body)
		if d.Subscription == nil && !slices.Contains(needy, d.Owner) {
			made, err := secret()
			if err != nil {
				return err
			}
			needy, secrets = append(needy, d.Owner), append(secrets, made)
		}
	}
	err := pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) error {
		if len(needy) > 0 {
			_, err := tx.Exec(ctx, `INSERT INTO webhooks.owners (owner, secret) SELECT * FROM unnest($1::text[], $2::text[]) AS n (owner, secret)
				ORDER BY owner ON CONFLICT DO NOTHING`, needy, secrets)
			if err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, addDeliveries, ids, subs, owners, eventIDs, events, urls, hosts, bodies)
		return err
	})
	if err != nil {
		return fmt.Errorf("add %d deliveries: %w", n, err)
	}
	return nil
}

// Those owners come first that have the fewest posts under way, and of their hosts
// those with the fewest: with one slow host, or one owner with many, and any number
// of deliveries, the others wait for nothing. owners and hosts jump through the index
// from one to the next. Of an owner with very many hosts some are looked at, from the
// first and from a place that is another each time: nobody makes a claim expensive
// for all. Hashes of hosts stand for them, so that every place is as likely.
//
// statement_timestamp() can bound a look into an index; clock_timestamp() could not,
// and every delivery that waits for its next attempt would be read.
const claimDeliveries = `
	WITH RECURSIVE owners AS (
		(SELECT owner FROM webhooks.deliveries WHERE status = 'pending' ORDER BY owner LIMIT 1)
		UNION ALL
		SELECT n.owner FROM owners AS o CROSS JOIN LATERAL (
			SELECT owner FROM webhooks.deliveries AS d WHERE d.status = 'pending' AND d.owner > o.owner ORDER BY d.owner LIMIT 1
		) AS n
	), hosts AS (
		SELECT o.owner, n.host, 1 AS nth FROM owners AS o CROSS JOIN (VALUES (''), ($9::text)) AS f (first) CROSS JOIN LATERAL (
			SELECT md5(d.host) AS host FROM webhooks.deliveries AS d
			WHERE d.status = 'pending' AND d.owner = o.owner AND md5(d.host) > f.first ORDER BY md5(d.host) LIMIT 1
		) AS n
		UNION ALL
		SELECT h.owner, n.host, h.nth + 1 FROM hosts AS h CROSS JOIN LATERAL (
			SELECT md5(d.host) AS host FROM webhooks.deliveries AS d
			WHERE d.status = 'pending' AND d.owner = h.owner AND md5(d.host) > h.host ORDER BY md5(d.host) LIMIT 1
		) AS n WHERE h.nth < $10::int
	), queues AS (
		SELECT DISTINCT owner, host FROM hosts
	), due AS (
		SELECT d.id, d.next_at, q.host, q.owner, coalesce(h.busy, 0) AS host_busy, coalesce(o.busy, 0) AS owner_busy,
			row_number() OVER (PARTITION BY q.host, q.owner ORDER BY d.next_at) AS nth
		FROM queues AS q
		LEFT JOIN unnest($1::text[], $2::int[]) AS h (host, busy) ON md5(h.host) = q.host
		LEFT JOIN unnest($3::text[], $4::int[]) AS o (owner, busy) ON o.owner = q.owner
		CROSS JOIN LATERAL (
			SELECT id, next_at FROM webhooks.deliveries
			WHERE status = 'pending' AND owner = q.owner AND md5(host) = q.host AND next_at <= statement_timestamp()
			ORDER BY next_at LIMIT greatest(0, least($5::int - coalesce(h.busy, 0), $6::int - coalesce(o.busy, 0))) FOR UPDATE SKIP LOCKED
		) AS d
	), of_hosts AS (
		SELECT *, host_busy + row_number() OVER (PARTITION BY host ORDER BY owner_busy + nth, next_at) AS host_turn FROM due
	), of_owners AS (
		SELECT *, owner_busy + row_number() OVER (PARTITION BY owner ORDER BY host_turn, next_at) AS owner_turn FROM of_hosts WHERE host_turn <= $5
	), claimed AS (
		UPDATE webhooks.deliveries AS d SET claim = gen_random_uuid(), next_at = clock_timestamp() + make_interval(secs => $8)
		WHERE d.id = ANY(ARRAY(SELECT id FROM of_owners WHERE owner_turn <= $6 ORDER BY owner_turn, host_turn, next_at LIMIT $7))
		RETURNING d.*
	)
	SELECT c.id, c.claim, c.subscription_id, c.owner, c.event_id, c.event, coalesce(c.url, s.url, ''), c.host, coalesce(s.secret, o.secret, ''), c.body, c.attempts,
		coalesce(s.enabled, true)
	FROM claimed AS c
	LEFT JOIN webhooks.subscriptions AS s ON s.id = c.subscription_id
	LEFT JOIN webhooks.owners AS o ON c.subscription_id IS NULL AND o.owner = c.owner`

// hostsOfOwner bounds the hosts of one owner that a claim looks at from each of
// two places.
const hostsOfOwner = 100

// Room is what a process can take on.
type Room struct {
	// Hosts and Owners count the posts that are under way.
	Hosts, Owners map[string]int
	// PerHost and PerOwner are the most that one may have under way.
	PerHost, PerOwner int
	// Free bounds what is claimed now.
	Free int
}

// Claim takes deliveries that are due, as many as there is room for. A claim ends
// by itself after lease, so what a process held that died is taken by another.
func (s *Store) Claim(ctx context.Context, room Room, lease time.Duration) ([]hook.Claimed, error) {
	hosts, ofHosts := columns(room.Hosts)
	owners, ofOwners := columns(room.Owners)
	rows, err := s.db.Pool.Query(ctx, claimDeliveries, hosts, ofHosts, owners, ofOwners, room.PerHost, room.PerOwner, room.Free, lease.Seconds(), strconv.FormatUint(rand.Uint64(), 16), hostsOfOwner)
	if err != nil {
		return nil, fmt.Errorf("claim deliveries: %w", err)
	}
	claimed, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (hook.Claimed, error) {
		var c hook.Claimed
		var body string
		err := row.Scan(&c.ID, &c.Claim, &c.Subscription, &c.Owner, &c.EventID, &c.Event, &c.URL, &c.Host, &c.Secret, &body, &c.Attempts, &c.Enabled)
		c.Body = []byte(body)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim deliveries: %w", err)
	}
	return claimed, nil
}

func columns(counts map[string]int) (names []string, numbers []int32) {
	names, numbers = make([]string, 0, len(counts)), make([]int32, 0, len(counts))
	for name, n := range counts {
		names, numbers = append(names, name), append(numbers, int32(n))
	}
	return names, numbers
}

// Result is what is written of a post.
type Result struct {
	Status contract.DeliveryStatus
	// Wait is how long a pending delivery waits.
	Wait time.Duration
	// ResponseStatus is the answer; zero where none came.
	ResponseStatus int
	Error          string
}

// Finish writes what came of a post, if the claim is still the delivery's.
func (s *Store) Finish(ctx context.Context, c hook.Claimed, r Result) error {
	var answer *int
	if r.ResponseStatus > 0 {
		answer = &r.ResponseStatus
	}
	_, err := s.db.Pool.Exec(ctx, `UPDATE webhooks.deliveries AS d SET
			status = $3, attempts = d.attempts + 1, claim = NULL, last_at = t.now, response_status = $5, error = $6,
			next_at = CASE WHEN $3 = 'pending' THEN t.now + make_interval(secs => $4) END,
			finished_at = CASE WHEN $3 <> 'pending' THEN t.now END
		FROM (SELECT clock_timestamp() AS now) AS t WHERE d.id = $1 AND d.claim = $2`,
		c.ID, c.Claim, string(r.Status), r.Wait.Seconds(), answer, r.Error)
	if err != nil {
		return fmt.Errorf("finish delivery %s: %w", c.ID, err)
	}
	return nil
}

const deliveryColumns = `d.id, d.subscription_id, d.event_id, d.event, d.status, d.attempts, d.next_at, d.last_at, d.response_status, d.error, d.created_at, d.finished_at`

func scanDelivery(row pgx.Row) (contract.WebhookDelivery, error) {
	var d contract.WebhookDelivery
	var id uuid.UUID
	var sub *uuid.UUID
	err := row.Scan(&id, &sub, &d.EventID, &d.Event, &d.Status, &d.Attempts, &d.NextAttemptAt, &d.LastAttemptAt, &d.ResponseStatus, &d.Error, &d.CreatedAt, &d.FinishedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return contract.WebhookDelivery{}, ErrUnknown
	}
	if err != nil {
		return contract.WebhookDelivery{}, err
	}
	d.DeliveryID, d.CreatedAt = id.String(), d.CreatedAt.UTC()
	if sub != nil {
		d.WebhookID = sub.String()
	}
	d.NextAttemptAt, d.LastAttemptAt, d.FinishedAt = utc(d.NextAttemptAt), utc(d.LastAttemptAt), utc(d.FinishedAt)
	return d, nil
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// Deliveries is a page of those of a subscription, newest first, before a
// delivery where one is named.
func (s *Store) Deliveries(ctx context.Context, sub uuid.UUID, status string, before uuid.UUID, limit int) ([]contract.WebhookDelivery, error) {
	rows, err := s.db.Pool.Query(ctx, `SELECT `+deliveryColumns+` FROM webhooks.deliveries AS d
		WHERE d.subscription_id = $1 AND ($2 = '' OR d.status = $2) AND ($3::uuid = $5::uuid OR d.id < $3::uuid)
		ORDER BY d.id DESC LIMIT $4`, sub, status, before, limit, uuid.Nil)
	if err != nil {
		return nil, fmt.Errorf("list the deliveries of webhook %s: %w", sub, err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (contract.WebhookDelivery, error) { return scanDelivery(row) })
	if err != nil {
		return nil, fmt.Errorf("list the deliveries of webhook %s: %w", sub, err)
	}
	return found, nil
}

// Redeliver makes a delivery due now, with all its attempts before it. One that
// is being posted this moment stays as it is.
func (s *Store) Redeliver(ctx context.Context, sub, id uuid.UUID) (contract.WebhookDelivery, error) {
	d, err := scanDelivery(s.db.Pool.QueryRow(ctx, `
		UPDATE webhooks.deliveries AS d SET
			status = 'pending', finished_at = NULL,
			attempts = CASE WHEN busy.yes THEN d.attempts ELSE 0 END,
			next_at = CASE WHEN busy.yes THEN d.next_at ELSE clock_timestamp() END,
			claim = CASE WHEN busy.yes THEN d.claim END
		FROM (SELECT id, claim IS NOT NULL AND next_at > clock_timestamp() AS yes FROM webhooks.deliveries WHERE id = $2 FOR UPDATE) AS busy
		WHERE d.id = busy.id AND d.subscription_id = $1
		RETURNING `+deliveryColumns, sub, id))
	if err != nil {
		return contract.WebhookDelivery{}, fmt.Errorf("make delivery %s again: %w", id, err)
	}
	return d, nil
}

// Prune deletes up to limit deliveries that ended in a state longer ago than age,
// and returns how many.
func (s *Store) Prune(ctx context.Context, status contract.DeliveryStatus, age time.Duration, limit int) (int, error) {
	tag, err := s.db.Pool.Exec(ctx, `DELETE FROM webhooks.deliveries WHERE id = ANY(ARRAY(
		SELECT id FROM webhooks.deliveries WHERE status = $1 AND status <> 'pending' AND finished_at < clock_timestamp() - make_interval(secs => $2)
		ORDER BY finished_at LIMIT $3 FOR UPDATE SKIP LOCKED))`, string(status), age.Seconds(), limit)
	if err != nil {
		return 0, fmt.Errorf("prune deliveries: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
