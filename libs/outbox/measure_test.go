package outbox_test

import (
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
)

func TestTheOutboxTellsOfItself(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	pub := &recorder{err: errAway}
	p, err := metrics.New(metrics.Options{})
	require.NoError(t, err)
	box := outbox.New(db, schema, pub, zerolog.Nop())
	box.Measure(p.For("jobs"))
	value := func(name string) float64 {
		return testkit.Scrape(t, p.Exposition)["nexus_outbox_"+name+`{service="jobs"}`]
	}
	for range 3 {
		err := pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error {
			_, err := box.Append(t.Context(), tx.AtCommit(), []bus.Message{{Subject: "nexus.events.job.queued.noop", Body: []byte("[]")}})
			return err
		})
		require.NoError(t, err)
	}
	_, err = db.Pool.Exec(t.Context(), `UPDATE jobs.outbox SET created_at = created_at - interval '1 hour' WHERE id = (SELECT id FROM jobs.outbox ORDER BY id LIMIT 1)`)
	require.NoError(t, err)
	testkit.Start(t, box)
	testkit.Eventually(t, func() bool { return value("rows") == 3 && value("oldest_age_seconds") > 3590 }, "the rows are not counted")
	pub.fail(nil)
	testkit.Eventually(t, func() bool { return value("rows") == 0 && value("relayed_total") == 3 }, "the relay is not counted")
	require.Zero(t, value("oldest_age_seconds"))
}
