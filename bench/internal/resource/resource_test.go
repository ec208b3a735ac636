package resource_test

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/resource"
)

func TestThisProcessCostsSomething(t *testing.T) {
	t.Parallel()
	meter := resource.Meter{Servers: []int{os.Getpid(), 0}, Trees: []bool{true, false}}
	before := meter.Read()
	sum := 0
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
		sum++
	}
	require.NotZero(t, sum)
	used := meter.Read().Since(before)
	require.Positive(t, used.Client)
	require.Len(t, used.Servers, 2)
	require.Zero(t, used.Servers[1], "there is no process 0")
	if runtime.GOOS == "linux" {
		require.Positive(t, used.Servers[0])
		_, ok := used.Others()
		require.True(t, ok)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	peak := resource.PeakResident(ctx, os.Getpid())
	cancel()
	if runtime.GOOS == "linux" {
		require.Greater(t, <-peak, int64(1<<20))
		require.Greater(t, resource.MemoryOf(os.Getpid()).Resident, int64(1<<20))
	}
	require.Zero(t, resource.MemoryOf(-1))
}

func TestThisMachine(t *testing.T) {
	t.Parallel()
	m := resource.ThisMachine(os.TempDir())
	require.Positive(t, m.Cores)
	require.Equal(t, runtime.Version(), m.Go)
	require.Contains(t, m.System, runtime.GOARCH)
}
