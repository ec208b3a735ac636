package e2e_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whoever should receive spans and does not, costs no job and no stop anything.
func TestTracesThatNobodyTakes(t *testing.T) {
	t.Parallel()
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	gone, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	for name, l := range map[string]net.Listener{"Silent": silent, "Gone": gone} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := oneProcess(t, "NEXUS_OTLP_ENDPOINT=http://"+l.Addr().String())
			c := client{t, p.http, operatorKey}
			for range 20 {
				_, status := c.submit(map[string]any{"job_type": "integrity_audit", "execution_mode": "sync"})
				require.Equal(t, "succeeded", status)
			}
			begun := time.Now()
			p.processes[0].stop()
			require.Less(t, time.Since(begun), 30*time.Second)
			said := append(p.entries(t, map[string]string{"message": "spans cannot be sent"}), p.entries(t, map[string]string{"message": "could not send the last spans"})...)
			require.NotEmpty(t, said, "all of the log is JSON, and says so")
		})
	}
}
