package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"--files", "40", "--megabytes", "8"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 40, o.files)
	require.Equal(t, "go run ./bench/ingest --files 40 --megabytes 8", o.command())
	for args, want := range map[string]string{
		"now": `unexpected argument "now"`, "--files 19": "--files is 19", "--files 10001": "--files is 10001", "--megabytes 3": "--megabytes is 3",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		require.ErrorContains(t, err, want, args)
	}
	_, err = parse([]string{"--help"}, io.Discard)
	require.ErrorIs(t, err, flag.ErrHelp)
}

func TestMixed(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	for _, name := range []string{"copyright", "b.md", "empty"} {
		require.NoError(t, os.WriteFile(filepath.Join(from, name), []byte(strings.TrimPrefix(name, "empty")), 0o600))
	}
	_, err := mixed(to, 20, []string{from, filepath.Join(from, "absent")})
	require.ErrorContains(t, err, "there are 2 files")
	total, err := mixed(to, 2, []string{from})
	require.NoError(t, err)
	require.EqualValues(t, len("copyright")+len("b.md"), total)
	require.FileExists(t, filepath.Join(to, "00001-copyright.txt"))
	require.FileExists(t, filepath.Join(to, "00000-b.md"))
}
