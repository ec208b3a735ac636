package embednats

import (
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// owned is a file of a user.
type owned struct {
	fs.FileInfo
	uid int
}

func (o owned) Sys() any { return &syscall.Stat_t{Uid: uint32(o.uid)} }

// What is ours, nobody else may read. What another user gave us may be readable for
// the group, as the files of a Secret volume are, but not written by it, nor read by
// everybody.
func TestWhoMayReadAKey(t *testing.T) {
	t.Parallel()
	ours, theirs := othersMay(owned{uid: os.Geteuid()}), othersMay(owned{uid: os.Geteuid() + 1})
	for mode, want := range map[fs.FileMode][2]bool{
		0o600: {true, true}, 0o400: {true, true}, 0o440: {false, true}, 0o640: {false, true},
		0o460: {false, false}, 0o450: {false, false}, 0o444: {false, false}, 0o604: {false, false},
	} {
		require.Equal(t, want, [2]bool{mode&ours == 0, mode&theirs == 0}, "%04o", mode)
	}
}
