package main

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"--river", "--set", "NEXUS_DB_POOL_SIZE=9", "--set", "NEXUS_LOG_LEVEL=warn", "--results", "x.md"}, io.Discard)
	require.NoError(t, err)
	require.True(t, o.river)
	require.Equal(t, 3, o.rounds)
	require.Equal(t, 50_000, o.jobs)
	require.Equal(t, "x.md", o.results)
	require.Equal(t, []string{"NEXUS_DB_POOL_SIZE=9", "NEXUS_LOG_LEVEL=warn"}, o.settings)
	require.LessOrEqual(t, o.limit(), 12*time.Minute)

	quick, err := parse([]string{"--quick", "--rounds", "7"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 1, quick.rounds)
	require.Equal(t, 5000, quick.jobs)
	require.Less(t, quick.lengths().Phase, o.lengths().Phase)
	require.LessOrEqual(t, quick.limit(), 90*time.Second)
	two, err := parse([]string{"--against", "NEXUS_METRICS_ENABLED=false"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"NEXUS_METRICS_ENABLED=false"}, two.against)
	require.Equal(t, 2*options{rounds: two.rounds}.limit(), two.limit())
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"now":                                       `unexpected argument "now"`,
		"--rounds 0":                                "--rounds is 0",
		"--jobs 0":                                  "--jobs is 0",
		"--set LEVEL=warn":                          "want NEXUS_NAME=VALUE",
		"--set NEXUS_LEVEL":                         "want NEXUS_NAME=VALUE",
		"--url http://h:1":                          "--url needs --key",
		"--url h:1 --key k":                         "want http://host:port",
		"--url http:// --key k":                     "want http://host:port",
		"--url http://h:1 --key k --river":          "--river, --binary, --set",
		"--url http://h:1 --key k --binary b":       "--river, --binary, --set",
		"--url http://h:1 --key k --only idle":      "--only and --finished",
		"--url http://h:1 --key k --finished 1":     "--only and --finished",
		"--against LEVEL=warn":                      "want NEXUS_NAME=VALUE",
		"--against NEXUS_A=1 --river":               "--against measures two",
		"--against NEXUS_A=1 --results x":           "--against measures two",
		"--finished -1":                             "--finished is -1",
		"--only idle,sleep":                         `no step "sleep"`,
		"--url http://h:1 --key k --set NEXUS_A=1 ": "--river, --binary, --set",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		require.ErrorContains(t, err, want, args)
	}
	_, err := parse([]string{"--help"}, io.Discard)
	require.ErrorIs(t, err, flag.ErrHelp)
}

func TestAddr(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{"http://h:8080": "h:8080", "http://h:8080/": "h:8080", "http://h": "h:80"} {
		require.Equal(t, want, options{url: url}.addr())
	}
}

func TestTheCommandShowsNoKey(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                            "go run ./bench/load",
		"--river --rounds 1":          "go run ./bench/load --river --rounds 1",
		"--key secret --url http://h": "go run ./bench/load --key … --url http://h",
		"-key=secret --quick":         "go run ./bench/load --key=… --quick",
	} {
		require.Equal(t, want, options{args: strings.Fields(args)}.command())
	}
}

func TestVersionIn(t *testing.T) {
	t.Parallel()
	_, err := versionIn("/nowhere", riverModule)
	require.ErrorContains(t, err, "/nowhere")
}
