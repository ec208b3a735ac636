package main

import (
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	o, err := parse(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 5_000_000, o.rows)
	require.Equal(t, "go run ./bench/lists", o.command())

	o, err = parse([]string{"--rows", "20000", "--calls", "7", "--results", "x.md"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 20_000, o.rows)
	require.Equal(t, 7, o.calls)
	require.Equal(t, "x.md", o.results)
	require.Equal(t, "go run ./bench/lists --rows 20000 --calls 7 --results x.md", o.command())
}

func TestTheCommandIsThatOfAnyMachine(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--keep /data --calls 7":  "go run ./bench/lists --keep … --calls 7",
		"-dir=/data --rows 20000": "go run ./bench/lists --dir=… --rows 20000",
	} {
		require.Equal(t, want, options{args: strings.Fields(args)}.command())
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"now":              `unexpected argument "now"`,
		"--rows 9999":      "--rows is 9999",
		"--rows 200000000": "--rows is 200000000",
		"--calls 0":        "--calls is 0",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		require.ErrorContains(t, err, want, args)
	}
	_, err := parse([]string{"--help"}, io.Discard)
	require.ErrorIs(t, err, flag.ErrHelp)
}
