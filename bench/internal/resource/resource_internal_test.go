package resource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const postgresLine = "4711 (postgres: (a) b) S 4700 4711 4711 0 -1 4194560 100 0 0 0 250 50 30 20 20 0 1 0 100 1000 10 18446744073709551615 0"

func TestParseStat(t *testing.T) {
	t.Parallel()
	got, err := parseStat(postgresLine)
	require.NoError(t, err)
	require.Equal(t, stat{parent: 4700, used: 3 * time.Second, reaped: 500 * time.Millisecond}, got)
}

func TestParseStatRefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"nothing":       "",
		"cut short":     "1 (init) S 0 1",
		"no name":       "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
		"not a number":  "1 (init) S x 1 1 0 -1 0 0 0 0 0 1 1 1 1 20",
		"a wordy time ": "1 (init) S 0 1 1 0 -1 0 0 0 0 0 one 1 1 1 20",
	} {
		_, err := parseStat(line)
		require.Error(t, err, name)
	}
}

func TestDescendants(t *testing.T) {
	t.Parallel()
	family := map[int]int{2: 1, 3: 1, 4: 3, 5: 4, 6: 9, 1: 0}
	require.Equal(t, []int{2, 3, 4, 5}, descendants(1, family))
	require.Equal(t, []int{5}, descendants(4, family))
	require.Empty(t, descendants(5, family))
}

func TestParseMachine(t *testing.T) {
	t.Parallel()
	busy, total := parseMachine("cpu  100 20 30 500 50 6 4 40 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
	require.Equal(t, 1600*time.Millisecond, busy)
	require.Equal(t, 7500*time.Millisecond, total)
	for _, text := range []string{"", "cpu 1 2", "intr 1 2 3 4 5 6 7 8 9", "cpu a b c d e f g h i"} {
		busy, total = parseMachine(text)
		require.Zero(t, busy, text)
		require.Zero(t, total, text)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	earlier := Usage{Client: time.Second, Servers: []time.Duration{time.Second, 2 * time.Second}, Busy: 10 * time.Second, Total: 100 * time.Second}
	later := Usage{Client: 2 * time.Second, Servers: []time.Duration{4 * time.Second, 3 * time.Second}, Busy: 20 * time.Second, Total: 120 * time.Second}
	d := later.Since(earlier)
	require.Equal(t, Usage{Client: time.Second, Servers: []time.Duration{3 * time.Second, time.Second}, Busy: 10 * time.Second, Total: 20 * time.Second}, d)
	share, ok := d.Others()
	require.True(t, ok)
	require.InDelta(t, 0.25, share, 1e-9)

	d.Client = time.Hour
	share, ok = d.Others()
	require.True(t, ok)
	require.Zero(t, share, "clocks of different grain never make a share negative")

	_, ok = Usage{Client: time.Second}.Others()
	require.False(t, ok)
}

func TestParseKilobytes(t *testing.T) {
	t.Parallel()
	text := "Name:\tnexus\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\nThreads:\t9\n"
	require.Equal(t, int64(200<<10), parseKilobytes(text, "VmRSS:"))
	require.Zero(t, parseKilobytes(text, "VmSwap:"))
	require.Zero(t, parseKilobytes(text, "Threads:"), "it has no unit")
	require.Zero(t, parseKilobytes("VmRSS: many kB\n", "VmRSS:"))
}

func TestParseModel(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Fast One: 3 GHz", parseModel("processor\t: 0\nmodel name\t: Fast One: 3 GHz\nmodel name\t: Other\n"))
	require.Empty(t, parseModel("processor: 0\n"))
}

func TestParseMounts(t *testing.T) {
	t.Parallel()
	mounts := "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/with\\040space xfs rw 0 0\n/dev/c /data btrfs rw 0 0\n/dev/d /data zfs rw 0 0\nbroken\n"
	for dir, want := range map[string]string{
		"/":                 "ext4",
		"/home/x":           "ext4",
		"/tmp":              "tmpfs",
		"/tmpfiles":         "ext4",
		"/tmp/x/y":          "tmpfs",
		"/tmp/with space/x": "xfs",
		"/data/x":           "zfs",
	} {
		require.Equal(t, want, parseMounts(mounts, dir), dir)
	}
	require.Empty(t, parseMounts("", "/tmp"))
	require.True(t, Machine{FileSystem: "tmpfs"}.InMemory())
	require.False(t, Machine{FileSystem: "ext4"}.InMemory())
}
