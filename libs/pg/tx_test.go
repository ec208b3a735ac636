package pg_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
)

// lone opens a database with one connection, which every transaction has to give
// back as it was, and a table to write to.
func lone(t *testing.T) *pg.DB {
	t.Helper()
	c := defaults(t)
	c.PoolSize, c.MaxOverflow = 1, 0
	db := open(t, pg.Options{URL: testkit.EmptyDatabase(t), Config: c})
	_, err := db.Pool.Exec(t.Context(), `CREATE TABLE words (id uuid PRIMARY KEY, word text NOT NULL CHECK (word <> 'bad'))`)
	require.NoError(t, err)
	return db
}

func words(t *testing.T, db *pg.DB) string {
	t.Helper()
	var all string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(word, ' ' ORDER BY word), '') FROM words`).Scan(&all))
	return all
}

const insertWord = `INSERT INTO words (id, word) VALUES (gen_random_uuid(), $1)`

// Whatever a transaction begins with, and whatever it ends with, it is one.
func TestTransactionsBeginWithAnything(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(ctx context.Context, tx *pg.Tx) error{
		"Exec": func(ctx context.Context, tx *pg.Tx) error {
			tag, err := tx.Exec(ctx, insertWord, "a")
			if err == nil && tag.RowsAffected() != 1 {
				err = errors.New("no row was added")
			}
			return err
		},
		"Query": func(ctx context.Context, tx *pg.Tx) error {
			rows, err := tx.Query(ctx, insertWord+` RETURNING word`, "a")
			if err != nil {
				return err
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err == nil && strings.Join(got, " ") != "a" {
				err = errors.New("the rows are others")
			}
			return err
		},
		"Query, read in part": func(ctx context.Context, tx *pg.Tx) error {
			rows, err := tx.Query(ctx, `WITH w AS (`+insertWord+` RETURNING word) SELECT word FROM w, generate_series(1, 3)`, "a")
			if err != nil {
				return err
			}
			if !rows.Next() {
				return errors.New("there is no row")
			}
			rows.Close()
			rows.Close()
			return rows.Err()
		},
		"QueryRow": func(ctx context.Context, tx *pg.Tx) error {
			var word string
			if err := tx.QueryRow(ctx, `SELECT word FROM words WHERE word = 'none'`).Scan(&word); !errors.Is(err, pgx.ErrNoRows) {
				return errors.New("a row came out of nothing")
			}
			return tx.QueryRow(ctx, insertWord+` RETURNING word`, "a").Scan(&word)
		},
		"SendBatch": func(ctx context.Context, tx *pg.Tx) error {
			b := &pgx.Batch{}
			b.Queue(insertWord, "a")
			var n int
			b.Queue(`SELECT count(*) FROM words`).QueryRow(func(row pgx.Row) error { return row.Scan(&n) })
			if err := tx.SendBatch(ctx, b).Close(); err != nil {
				return err
			}
			if n != 1 {
				return errors.New("the second statement did not see the first")
			}
			return nil
		},
		"CopyFrom": func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.CopyFrom(ctx, pgx.Identifier{"words"}, []string{"id", "word"}, pgx.CopyFromRows([][]any{{uuid.New(), "a"}}))
			return err
		},
		"AtCommit": func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.AtCommit().Exec(ctx, insertWord, "a")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := lone(t)
			failed := errors.New("no")
			require.ErrorIs(t, pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error {
				require.NoError(t, first(t.Context(), tx))
				return failed
			}), failed)
			require.Empty(t, words(t, db), "it is taken back")

			require.NoError(t, pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error {
				require.NoError(t, first(t.Context(), tx))
				_, err := tx.Exec(t.Context(), insertWord, "b")
				require.NoError(t, err)
				_, err = tx.AtCommit().Exec(t.Context(), insertWord, "c")
				require.NoError(t, err)
				var n int
				require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM words WHERE word = 'c'`).Scan(&n))
				require.Zero(t, n, "what waits for the commit is not there before")
				return nil
			}))
			require.Equal(t, "a b c", words(t, db))
		})
	}
}

func TestTransactionsFailWhole(t *testing.T) {
	t.Parallel()
	db := lone(t)
	for name, fn := range map[string]func(ctx context.Context, tx *pg.Tx) error{
		"first statement": func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.Exec(ctx, insertWord, "bad")
			return err
		},
		"first rows": func(ctx context.Context, tx *pg.Tx) error {
			rows, err := tx.Query(ctx, insertWord+` RETURNING word`, "bad")
			if err != nil {
				return err
			}
			_, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		},
		"no statement at all": func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO wordz VALUES (1)")
			return err
		},
		"last statement": func(ctx context.Context, tx *pg.Tx) error {
			if _, err := tx.Exec(ctx, insertWord, "a"); err != nil {
				return err
			}
			_, err := tx.AtCommit().Exec(ctx, insertWord, "bad")
			return err
		},
		"error passed over": func(ctx context.Context, tx *pg.Tx) error {
			if _, err := tx.Exec(ctx, insertWord, "a"); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, insertWord, "bad")
			assert.Error(t, err)
			return nil
		},
		"copy": func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.CopyFrom(ctx, pgx.Identifier{"words"}, []string{"id", "word"}, pgx.CopyFromRows([][]any{{uuid.New(), "a"}, {uuid.New(), "bad"}}))
			return err
		},
	} {
		require.Error(t, pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error { return fn(t.Context(), tx) }), name)
		require.Empty(t, words(t, db), name)
	}
	require.PanicsWithValue(t, "oh", func() {
		_ = pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error {
			_, err := tx.Exec(t.Context(), insertWord, "a")
			require.NoError(t, err)
			panic("oh")
		})
	})
	require.Empty(t, words(t, db), "a panic takes back, and gives the connection back")
	ctx, cancel := context.WithCancel(t.Context())
	require.Error(t, pg.InPgxTx(ctx, db, func(tx *pg.Tx) error {
		_, err := tx.Exec(ctx, insertWord, "a")
		require.NoError(t, err)
		cancel()
		return ctx.Err()
	}))
	require.Empty(t, words(t, db), "the end of the context takes back")
	require.NoError(t, pg.InPgxTx(t.Context(), db, func(*pg.Tx) error { return nil }), "a transaction without statements is none")
}

// The planner is held to keys inside these transactions, and nowhere else.
func TestTransactionsReadByKeys(t *testing.T) {
	t.Parallel()
	db := lone(t)
	settings := func(row pgx.Row) string {
		var all string
		require.NoError(t, row.Scan(&all))
		return all
	}
	const read = `SELECT concat_ws(' ', current_setting('enable_seqscan'), current_setting('enable_hashjoin'), current_setting('enable_mergejoin'), current_setting('plan_cache_mode'))`
	require.NoError(t, pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error {
		require.Equal(t, "off off off force_generic_plan", settings(tx.QueryRow(t.Context(), read)))
		return nil
	}))
	require.Equal(t, "on on on auto", settings(db.Pool.QueryRow(t.Context(), read)))
}
