package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// run is a row of atoms as the platform keeps them.
type run struct {
	document    uuid.UUID
	level       int16
	first       int32
	contents    []string
	occurrences []int32
}

// floors are how long Postgres takes to COPY the atoms that an ingest has made,
// with nothing else to do: in runs, as the platform keeps them, and a row for each.
type floors struct {
	atoms       int64
	runs, plain time.Duration
}

func measureFloors(ctx context.Context, pool *pgxpool.Pool) (floors, error) {
	rows, err := pool.Query(ctx, `
		SELECT r.document_id, r.level, r.first_ordinal, r.contents, r.occurrences FROM corpus.atom_runs AS r
		JOIN corpus.documents AS d ON d.id = r.document_id WHERE d.title LIKE 'text-%'`)
	if err != nil {
		return floors{}, fmt.Errorf("read the atoms: %w", err)
	}
	kept, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r run, err error) {
		err = row.Scan(&r.document, &r.level, &r.first, &r.contents, &r.occurrences)
		return r, err
	})
	if err != nil {
		return floors{}, fmt.Errorf("read the atoms: %w", err)
	}
	_, err = pool.Exec(ctx, `
		DROP SCHEMA IF EXISTS bench_floor CASCADE;
		CREATE SCHEMA bench_floor;
		CREATE TABLE bench_floor.runs (document_id uuid, level smallint, first_ordinal integer, contents text[], occurrences integer[],
			PRIMARY KEY (document_id, level, first_ordinal));
		CREATE TABLE bench_floor.atoms (document_id uuid, level smallint, ordinal integer, occurrence integer, content text,
			PRIMARY KEY (document_id, level, ordinal))`)
	if err != nil {
		return floors{}, fmt.Errorf("make the tables of the floor: %w", err)
	}
	var f floors
	began := time.Now()
	_, err = pool.CopyFrom(ctx, pgx.Identifier{"bench_floor", "runs"}, []string{"document_id", "level", "first_ordinal", "contents", "occurrences"},
		pgx.CopyFromSlice(len(kept), func(i int) ([]any, error) {
			r := kept[i]
			f.atoms += int64(len(r.contents))
			return []any{r.document, r.level, r.first, r.contents, r.occurrences}, nil
		}))
	if err != nil {
		return floors{}, fmt.Errorf("copy runs: %w", err)
	}
	f.runs = time.Since(began)
	began = time.Now()
	at, within := 0, -1
	_, err = pool.CopyFrom(ctx, pgx.Identifier{"bench_floor", "atoms"}, []string{"document_id", "level", "ordinal", "occurrence", "content"},
		pgx.CopyFromFunc(func() ([]any, error) {
			if within++; at < len(kept) && within == len(kept[at].contents) {
				at, within = at+1, 0
			}
			if at == len(kept) {
				return nil, nil
			}
			r := kept[at]
			return []any{r.document, r.level, r.first + int32(within), r.occurrences[within], r.contents[within]}, nil
		}))
	if err != nil {
		return floors{}, fmt.Errorf("copy atoms: %w", err)
	}
	f.plain = time.Since(began)
	if _, err := pool.Exec(ctx, `DROP SCHEMA bench_floor CASCADE`); err != nil {
		return floors{}, fmt.Errorf("drop the tables of the floor: %w", err)
	}
	return f, nil
}
