package hook_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/services/webhooks/internal/hook"
)

func TestWaits(t *testing.T) {
	t.Parallel()
	require.Equal(t, 8, hook.MaxAttempts())
	for i, want := range []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour} {
		for range 100 {
			wait, more := hook.Wait(i+1, 0)
			require.True(t, more)
			require.InDelta(t, want.Seconds(), wait.Seconds(), want.Seconds()/10+0.001)
		}
	}
	for _, last := range []int{-1, 0, 8, 9} {
		_, more := hook.Wait(last, time.Minute)
		require.False(t, more, last)
	}
	asked, _ := hook.Wait(1, 10*time.Minute)
	require.Equal(t, 10*time.Minute, asked)
	asked, _ = hook.Wait(1, 100*time.Hour)
	require.Equal(t, time.Hour, asked)
	asked, _ = hook.Wait(7, 10*time.Minute)
	require.Greater(t, asked, 5*time.Hour)
}

// The signature is the one that the documentation tells how to check:
//
//	printf '%s' 'd-1.1700000000.{"id":"a/1"}' | openssl dgst -sha256 -hmac 'a secret of 20 bytes' -binary | base64
func TestSignature(t *testing.T) {
	t.Parallel()
	at, body := time.Unix(1_700_000_000, 999), []byte(`{"id":"a/1"}`)
	for _, secret := range []string{"a secret of 20 bytes", "whsec_YSBzZWNyZXQgb2YgMjAgYnl0ZXM="} {
		got, err := hook.Sign(secret, "d-1", at, body)
		require.NoError(t, err)
		require.Equal(t, "v1,dZj9WNv9pByp19btJX0GUh7x4+2K5s50LggUIanFwWA=", got, "a secret is its own key, or has it in base64")
	}
	one, err := hook.NewSecret()
	require.NoError(t, err)
	two, err := hook.NewSecret()
	require.NoError(t, err)
	require.NotEqual(t, one, two)
	require.Regexp(t, `^whsec_[0-9A-Za-z+/]{43}=$`, one)
	require.NoError(t, contract.CheckWebhookSecret(one))
}

func TestKinds(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{}, hook.Kinds(nil))
	require.Equal(t, []string{}, hook.Kinds([]string{"*"}))
	require.Equal(t, []string{"job.failed", "job.queued"}, hook.Kinds([]string{"job.queued", "job.failed"}))
}
