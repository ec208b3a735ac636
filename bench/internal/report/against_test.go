package report_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/report"
)

func TestAgainst(t *testing.T) {
	t.Parallel()
	one, other := figure.NewSheet(), figure.NewSheet()
	one.Put(figure.Drain, 970)
	other.Put(figure.Drain, 1000)
	one.Put(figure.P50(figure.IdleBegun), 4)
	other.Put(figure.P50(figure.IdleBegun), 5)
	one.Put(figure.CPUPlatform(figure.Drain), 110)
	other.Put(figure.CPUPlatform(figure.Drain), 99)
	one.Put(figure.SubmitREST16, 1)
	text := report.Against([]string{"NEXUS_METRICS_ENABLED=false"}, one, other)
	require.Contains(t, text, "`NEXUS_METRICS_ENABLED=false`")
	require.Contains(t, text, "| drain of jobs enqueued before, until Postgres has all finished, a second | 970 | 1000 | -3.0 % |")
	require.Contains(t, text, "median in ms | 4 | 5 | +25.0 % |")
	require.Contains(t, text, "processor time of nexus for each in µs | 110 | 99 | -10.0 % |")
	require.NotContains(t, text, "16 connections", "only one of them has it")
}
