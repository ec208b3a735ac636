package interest_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/services/webhooks/internal/hook"
	"nexus.internal/services/webhooks/internal/interest"
)

// source is a database that can go away.
type source struct {
	revision atomic.Int64
	away     atomic.Bool
	loads    atomic.Int64
	subs     []hook.Subscription
}

func (s *source) Revision(context.Context) (int64, error) {
	if s.away.Load() {
		return 0, errors.New("away")
	}
	return s.revision.Load(), nil
}

func (s *source) Enabled(context.Context) (int64, []hook.Subscription, error) {
	s.loads.Add(1)
	return s.revision.Load(), s.subs, nil
}

func sub(owner, jobType string, all bool, events ...string) hook.Subscription {
	return hook.Subscription{ID: uuid.New(), Owner: owner, JobType: jobType, All: all, Events: events, CreatedAt: time.Now()}
}

func TestWhoWantsWhat(t *testing.T) {
	t.Parallel()
	src := &source{subs: []hook.Subscription{
		sub("ann", "", false, "job.failed"), sub("ann", "analyze", false), sub("root", "", true, "job.cancelled"),
	}}
	i := interest.New(src, zerolog.Nop())
	require.False(t, i.Any("job.failed", "noop"), "nothing is known yet")
	require.NoError(t, i.Refresh(t.Context()))
	now := time.Now()
	for _, tc := range []struct {
		owner, event, jobType string
		any                   bool
		of                    int
	}{
		{"ann", "job.failed", "noop", true, 1},
		{"ann", "job.failed", "analyze", true, 2},
		{"ann", "job.queued", "analyze", true, 1},
		{"ann", "job.queued", "noop", false, 0},
		{"bob", "job.failed", "noop", true, 0},
		{"bob", "job.cancelled", "noop", true, 1},
		{"root", "job.cancelled", "noop", true, 1},
		{"ann", "job.progress", "analyze", false, 0},
	} {
		require.Equal(t, tc.any, i.Any(tc.event, tc.jobType), tc)
		if tc.any {
			require.Len(t, i.Of(tc.owner, tc.event, tc.jobType, now), tc.of, tc)
		}
	}
	require.Empty(t, i.Of("ann", "job.failed", "analyze", now.Add(-2*time.Minute)), "an event from before them")
	require.Len(t, i.Everybodys(), 1)

	require.NoError(t, i.Refresh(t.Context()))
	require.EqualValues(t, 1, src.loads.Load(), "without a change nothing is loaded")
	src.subs = nil
	src.revision.Add(1)
	require.NoError(t, i.Refresh(t.Context()))
	require.False(t, i.Any("job.failed", "noop"))
}

// While the database is away nobody knows who wants an event, and nobody says so.
func TestWhatIsTooOldIsNotReliedOn(t *testing.T) {
	t.Parallel()
	src := &source{}
	src.away.Store(true)
	i := interest.New(src, zerolog.Nop())
	require.Error(t, i.Refresh(t.Context()))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, i.Fresh(ended))
	fresh := make(chan bool, 1)
	go func() { fresh <- i.Fresh(context.WithoutCancel(ended)) }()
	src.away.Store(false)
	require.NoError(t, i.Refresh(t.Context()))
	require.True(t, <-fresh)
	require.True(t, i.Fresh(ended))
}
