package schedule

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type fakeLink struct {
	away       bool
	reconnects uint64
}

func (l *fakeLink) IsConnected() bool  { return !l.away }
func (l *fakeLink) Reconnects() uint64 { return l.reconnects }

// Nobody is called silent before the service could listen for a whole lease: not
// after its start, nor after its database, its broker or it itself was away.
func TestSilenceNeedsSomebodyWhoListens(t *testing.T) {
	t.Parallel()
	const lease, poll = 30 * time.Second, time.Second
	for name, trouble := range map[string]func(now *time.Time, l *fakeLink) error{
		"the database is away":          func(*time.Time, *fakeLink) error { return context.DeadlineExceeded },
		"the broker is away":            func(_ *time.Time, l *fakeLink) error { l.away = true; return nil },
		"the broker was away, unseen":   func(_ *time.Time, l *fakeLink) error { l.reconnects++; return nil },
		"the process stood still":       func(now *time.Time, _ *fakeLink) error { *now = now.Add(lease); return nil },
		"nothing but trouble of others": nil,
	} {
		l := &fakeLink{}
		e := newEars(l, lease, poll)
		now := time.Unix(1_700_000_000, 0)
		// listen looks once a poll, for a whole lease, and is true at its end only.
		listen := func() {
			t.Helper()
			for range int(lease/poll) - 1 {
				now = now.Add(poll)
				require.False(t, e.heard(now, nil), name)
			}
			now = now.Add(poll)
			require.True(t, e.heard(now, nil), name)
		}
		require.False(t, e.heard(now, nil), "it has just begun")
		listen()
		now = now.Add(poll)
		if trouble == nil {
			require.True(t, e.heard(now, errors.New("a broken statement")), name)
			continue
		}
		err := trouble(&now, l)
		require.False(t, e.heard(now, err), name)
		l.away = false
		listen()
	}
}
