//go:build linux || darwin

package embednats

import "syscall"

// freeDisk is how many bytes this user may still write to the disk that holds
// dir.
func freeDisk(dir string) (free int64, known bool) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, false
	}
	return int64(fs.Bavail) * int64(fs.Bsize), true //nolint:gosec,unconvert // no disk is that large; types differ between systems
}
