package hostile

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBombsAreSmallAndInflate(t *testing.T) {
	t.Parallel()
	once, twice := makeBombs()
	require.Less(t, len(once), 1<<20)
	require.Less(t, len(twice), 4<<10)
	outer, err := gzip.NewReader(bytes.NewReader(twice))
	require.NoError(t, err)
	inner, err := gzip.NewReader(outer)
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, inner)
	require.NoError(t, err)
	require.EqualValues(t, inflated, n)
}
