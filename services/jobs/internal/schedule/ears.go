package schedule

import (
	"time"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/pg"
)

// ears knows since when heartbeats could be heard and kept. A worker is silent only
// when it could have been heard for a whole lease: one whose heartbeats met a jobs
// service that was away, or had no database, has lost nothing by that.
type ears struct {
	link  link
	lease time.Duration
	// late is how much time between two looks means that the process stood still.
	late time.Duration

	open, looked time.Time
	reconnects   uint64
}

// link is the connection that heartbeats come in by.
type link interface {
	IsConnected() bool
	Reconnects() uint64
}

// connection is a link to NATS.
type connection struct{ *nats.Conn }

func (c connection) Reconnects() uint64 { return c.Stats().Reconnects }

func newEars(l link, lease, poll time.Duration) *ears {
	return &ears{link: l, lease: lease, late: poll + lease*2/3, reconnects: l.Reconnects()}
}

// heard reports whether a worker that was not heard of for a lease is silent. err is
// what the database had to say just now.
func (e *ears) heard(now time.Time, err error) bool {
	again := e.link.Reconnects()
	if e.open.IsZero() || pg.IsAway(err) || !e.link.IsConnected() || again != e.reconnects || now.Sub(e.looked) > e.late {
		e.open = now
	}
	e.looked, e.reconnects = now, again
	return now.Sub(e.open) >= e.lease
}
