package floor

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"nexus.internal/bench/internal/pace"
)

// BatchRows is how many rows a batched insert writes.
const BatchRows = 500

const (
	insertOne  = `INSERT INTO bench_floor.jobs (id, queue, payload) VALUES ($1, 'bench', $2)`
	insertMany = `INSERT INTO bench_floor.jobs (id, queue, payload) SELECT id, 'bench', payload FROM unnest($1::uuid[], $2::text[]) AS t (id, payload)`
)

// Postgres measures inserts into a scratch table of its own: narrower than that
// of any job platform, with one index.
type Postgres struct {
	pool     *pgxpool.Pool
	payloads []string
}

// NewPostgres makes the scratch table, anew if it is there.
func NewPostgres(ctx context.Context, pool *pgxpool.Pool, payloads []string) (*Postgres, error) {
	for _, statement := range []string{
		`DROP SCHEMA IF EXISTS bench_floor CASCADE`,
		`CREATE SCHEMA bench_floor`,
		`CREATE TABLE bench_floor.jobs (
			id uuid PRIMARY KEY, queue text NOT NULL, state smallint NOT NULL DEFAULT 0, payload text NOT NULL,
			created_at timestamptz NOT NULL DEFAULT clock_timestamp()
		)`,
		`CHECKPOINT`,
	} {
		if _, err := pool.Exec(ctx, statement); err != nil {
			return nil, fmt.Errorf("make a scratch table: %w", err)
		}
	}
	return &Postgres{pool: pool, payloads: payloads}, nil
}

// Close drops the scratch table.
func (p *Postgres) Close(ctx context.Context) error {
	if _, err := p.pool.Exec(ctx, `DROP SCHEMA IF EXISTS bench_floor CASCADE`); err != nil {
		return fmt.Errorf("drop the scratch table: %w", err)
	}
	return nil
}

// Insert inserts and commits row by row. The latencies are of one commit each.
func (p *Postgres) Insert(ctx context.Context, connections int, length time.Duration) (pace.Result, *pace.Latencies, error) {
	var latencies pace.Latencies
	result, err := pace.Timed(ctx, connections, length, func(ctx context.Context, goroutine, turn int) (int, error) {
		id, err := uuid.NewV7()
		if err != nil {
			return 0, fmt.Errorf("make an id: %w", err)
		}
		start := time.Now()
		if _, err := p.pool.Exec(ctx, insertOne, pgtype.UUID{Bytes: id, Valid: true}, p.payloads[(goroutine+turn)%len(p.payloads)]); err != nil {
			return 0, fmt.Errorf("insert a row: %w", err)
		}
		latencies.Add(time.Since(start))
		return 1, nil
	})
	return result, &latencies, err
}

// InsertBatch inserts BatchRows rows a statement.
func (p *Postgres) InsertBatch(ctx context.Context, connections int, length time.Duration) (pace.Result, error) {
	return pace.Timed(ctx, connections, length, func(ctx context.Context, _, _ int) (int, error) {
		ids, bodies := make([]pgtype.UUID, BatchRows), make([]string, BatchRows)
		for i := range ids {
			id, err := uuid.NewV7()
			if err != nil {
				return 0, fmt.Errorf("make an id: %w", err)
			}
			ids[i], bodies[i] = pgtype.UUID{Bytes: id, Valid: true}, p.payloads[i%len(p.payloads)]
		}
		if _, err := p.pool.Exec(ctx, insertMany, ids, bodies); err != nil {
			return 0, fmt.Errorf("insert a batch: %w", err)
		}
		return BatchRows, nil
	})
}
