package figure_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/pace"
	"nexus.internal/bench/internal/resource"
)

func TestCatalogueNamesEveryFigureOnce(t *testing.T) {
	t.Parallel()
	type key struct {
		name string
		kind figure.Kind
	}
	seen := map[key]bool{}
	for _, d := range figure.Catalogue() {
		k := key{d.Name, d.Kind}
		require.False(t, seen[k], d.Name)
		seen[k] = true
		require.NotEmpty(t, d.Title, d.Name)
		require.NotContains(t, d.Title, "|", "it stands in a table")
	}
}

func TestMedianAndRange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values                []float64
		want, least, greatest float64
		ok                    bool
	}{
		"none":  {nil, 0, 0, 0, false},
		"one":   {[]float64{4}, 4, 4, 4, true},
		"two":   {[]float64{9, 4}, 6.5, 4, 9, true},
		"three": {[]float64{9, 4, 5}, 5, 4, 9, true},
		"four":  {[]float64{1, 100, 3, 2}, 2.5, 1, 100, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := figure.NewSheet()
			for _, v := range c.values {
				s.Put(figure.WAL, v)
			}
			require.NoError(t, s.Err())
			got, ok := s.Median(figure.WAL)
			require.Equal(t, c.ok, ok)
			require.InDelta(t, c.want, got, 1e-9)
			least, greatest := s.Range(figure.WAL)
			require.InDelta(t, c.least, least, 1e-9)
			require.InDelta(t, c.greatest, greatest, 1e-9)
		})
	}
}

func TestUnknownFiguresAreAnError(t *testing.T) {
	t.Parallel()
	s := figure.NewSheet()
	s.Put("nexus.speed", 1)
	require.True(t, s.Empty())
	s.Put(figure.WAL, 1)
	require.False(t, s.Empty())
	require.ErrorContains(t, s.Err(), "nexus.speed")

	s = figure.NewSheet()
	s.Put(figure.IdleBegun, 1)
	require.Error(t, s.Err(), "a latency is its percentiles")
}

func TestPutRate(t *testing.T) {
	t.Parallel()
	used := resource.Usage{
		Client: time.Second, Servers: []time.Duration{2 * time.Second, 3 * time.Second}, Busy: 8 * time.Second, Total: 20 * time.Second,
	}
	result := pace.Result{N: 1000, Took: 10 * time.Second}
	s := figure.NewSheet()
	s.PutRate(figure.Drain, result, used)
	require.NoError(t, s.Err())
	for name, want := range map[string]float64{
		figure.Drain: 100, figure.CPUClient(figure.Drain): 1000, figure.CPUPlatform(figure.Drain): 2000,
		figure.CPUPostgres(figure.Drain): 3000, figure.OtherProcesses: 0.1,
	} {
		got, ok := s.Median(name)
		require.True(t, ok, name)
		require.InDelta(t, want, got, 1e-9, name)
	}

	s = figure.NewSheet()
	used.Servers = used.Servers[1:]
	s.PutRate(figure.RiverInsert, result, used)
	_, ok := s.Median(figure.CPUPlatform(figure.RiverInsert))
	require.False(t, ok)
	_, ok = s.Median(figure.CPUPostgres(figure.RiverInsert))
	require.True(t, ok)

	s = figure.NewSheet()
	s.PutRate(figure.Drain, result, resource.Usage{Client: time.Second})
	_, ok = s.Median(figure.CPUClient(figure.Drain))
	require.False(t, ok, "without /proc there is no share to tell")
	s.PutRate(figure.Drain, pace.Result{Took: time.Second}, used)
	require.NoError(t, s.Err(), "no operation costs nothing")
}

func TestPutLatencies(t *testing.T) {
	t.Parallel()
	s := figure.NewSheet()
	s.PutLatencies(figure.IdleBegun, &pace.Latencies{})
	_, ok := s.Median(figure.P50(figure.IdleBegun))
	require.False(t, ok)

	var l pace.Latencies
	l.Add(1500 * time.Microsecond)
	s.PutLatencies(figure.IdleBegun, &l)
	got, ok := s.Median(figure.P99(figure.IdleBegun))
	require.True(t, ok)
	require.InDelta(t, 1.5, got, 1e-9)
}

func TestFiguresTravelBetweenPrograms(t *testing.T) {
	t.Parallel()
	var pipe strings.Builder
	sender := figure.NewWriter(&pipe)
	sender.Put(figure.RiverWAL, 5600)
	sender.Put(figure.RiverInsert, 4040.25)
	require.NoError(t, sender.Err())

	receiver := figure.NewSheet()
	require.NoError(t, receiver.Load(strings.NewReader(pipe.String())))
	got, ok := receiver.Median(figure.RiverInsert)
	require.True(t, ok)
	require.InDelta(t, 4040.25, got, 1e-9)
}

func TestLoadRefusesOtherText(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON":    "panic: broken\n",
		"an unknown": `{"name":"x","value":1}` + "\n",
	} {
		require.Error(t, figure.NewSheet().Load(strings.NewReader(text)), name)
	}
}

func TestWriterReportsWhatItCannotWrite(t *testing.T) {
	t.Parallel()
	s := figure.NewWriter(broken{})
	s.Put(figure.RiverWAL, 1)
	require.ErrorIs(t, s.Err(), errBroken)
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }
