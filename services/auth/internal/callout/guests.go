package callout

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"nexus.internal/libs/contract"
)

// guest is a connection that was let in.
type guest struct {
	server string
	client uint64
	// until is when the server ends the connection by itself.
	until time.Time
}

// kickWithin is how long a server may take to end a connection.
const kickWithin = 2 * time.Second

// guests remembers which connections this process has let in for which key, so
// that they end with it. A connection let in before a restart is unknown here
// and ends when its user expires.
type guests struct {
	system *nats.Conn
	log    zerolog.Logger
	now    func() time.Time

	mu    sync.Mutex
	byKey map[string][]guest
}

func newGuests(system *nats.Conn, log zerolog.Logger, now func() time.Time) *guests {
	return &guests{system: system, log: log, now: now, byKey: map[string][]guest{}}
}

func (g *guests) add(keyID string, in guest) {
	if g.system == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	live := g.byKey[keyID][:0]
	for _, old := range g.byKey[keyID] {
		if old.until.After(g.now()) {
			live = append(live, old)
		}
	}
	g.byKey[keyID] = append(live, in)
}

// heard ends the connections of a key that was changed: whoever comes back is
// let in with the rights the key has now, or not at all.
func (g *guests) heard(m *nats.Msg) {
	events, err := contract.DecodeEvents(m.Data)
	if err != nil || g.system == nil {
		return
	}
	for _, e := range events {
		var change contract.KeyChange
		if err := json.Unmarshal(e.Data, &change); err != nil {
			continue
		}
		g.mu.Lock()
		gone := g.byKey[change.KeyID]
		delete(g.byKey, change.KeyID)
		g.mu.Unlock()
		for _, c := range gone {
			// The server kicks nobody for a message that asks for no answer.
			if _, err := g.system.Request(contract.KickSubject(c.server), fmt.Appendf(nil, `{"cid":%d}`, c.client), kickWithin); err != nil {
				g.log.Warn().Err(err).Msg("could not end a connection whose key has changed; it ends when its login expires")
			}
		}
	}
}
