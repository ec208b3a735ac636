package main

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/chaos/internal/fuzzing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"--seed", "7", "--focus", "nats", "--memory", "100"}, time.Now(), io.Discard)
	require.NoError(t, err)
	require.Equal(t, fuzzing.NATS, o.run.Focus)
	require.EqualValues(t, 7, o.run.Seed)
	require.EqualValues(t, 100<<20, o.run.MostMemory)
	require.Equal(t, time.Minute, o.run.For)
	for _, args := range [][]string{{"--focus", "x"}, {"--time", "0s"}, {"--parallel", "0"}, {"--memory", "-1"}, {"rest"}} {
		_, err := parse(args, time.Now(), io.Discard)
		require.Error(t, err, args)
	}
}
