package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/metrics"
)

const (
	// measureEvery is how often the rows are counted.
	measureEvery = 3 * time.Second
	// measureWithin bounds the counting.
	measureWithin = 2 * time.Second
	// maxCounted bounds the rows that are counted.
	maxCounted = 10_000
)

// meter is what is known of the rows.
type meter struct {
	on      bool
	relayed *metrics.Counter

	mu   sync.Mutex
	rows int
	// oldest is when the oldest row was written, by the clock of this process; zero
	// where there is none.
	oldest time.Time
	known  bool
}

// Measure counts the rows from now on. It must be called before Run.
func (o *Outbox) Measure(set *metrics.Set) {
	m := &o.meter
	m.on, m.relayed = set != nil, set.Counter(metrics.OutboxRelayed)
	m.relayed.Expect()
	set.Observe(metrics.OutboxRows, func(say metrics.Say) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.known {
			say(float64(m.rows))
		}
	})
	set.Observe(metrics.OutboxAge, func(say metrics.Say) {
		m.mu.Lock()
		defer m.mu.Unlock()
		switch {
		case !m.known:
		case m.oldest.IsZero():
			say(0)
		default:
			say(max(0, time.Since(m.oldest).Seconds()))
		}
	})
}

// measure counts the rows. While that cannot be done the age of the oldest grows on.
func (o *Outbox) measure(ctx context.Context) {
	if !o.meter.on {
		return
	}
	rows, age, err := o.waiting(ctx)
	if err != nil {
		if ctx.Err() == nil {
			o.log.Debug().Err(err).Str("schema", o.schema).Msg("the outbox could not be counted")
		}
		return
	}
	o.meter.mu.Lock()
	defer o.meter.mu.Unlock()
	o.meter.rows, o.meter.known, o.meter.oldest = rows, true, time.Time{}
	if rows > 0 {
		o.meter.oldest = time.Now().Add(-age)
	}
}

// waiting is how many rows there are, up to a bound, and the age of the oldest.
func (o *Outbox) waiting(ctx context.Context) (rows int, age time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, measureWithin)
	defer cancel()
	var seconds float64
	err = o.db.Pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM (SELECT FROM `+o.schema+`.outbox LIMIT $1) AS counted),
			extract(epoch FROM clock_timestamp() - created_at)::float8
		FROM `+o.schema+`.outbox ORDER BY id LIMIT 1`, maxCounted).Scan(&rows, &seconds)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("count outbox rows: %w", err)
	}
	return rows, time.Duration(seconds * float64(time.Second)), nil
}
