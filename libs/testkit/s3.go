package testkit

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// S3 is an S3 API that keeps objects in a folder.
type S3 struct {
	// URL is where it is, Bucket the one there is, Access and Secret the key to it.
	URL, Bucket, Access, Secret string
	// Dir is the folder of the bucket.
	Dir string

	address, root string
	stop          func()
}

// NewS3 starts a server with one bucket. It is `versitygw`, which `make test` builds.
func NewS3(t testing.TB) *S3 {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	s := &S3{address: l.Addr().String(), root: t.TempDir(), Bucket: "objects", Access: "nexus", Secret: "a secret of tests"}
	s.URL, s.Dir = "http://"+s.address, filepath.Join(s.root, "data", s.Bucket)
	for _, dir := range []string{s.Dir, filepath.Join(s.root, "meta")} {
		require.NoError(t, os.MkdirAll(dir, 0o750))
	}
	s.Start(t)
	t.Cleanup(func() { s.stop() })
	return s
}

// Start starts the server again, at the same address.
func (s *S3) Start(t testing.TB) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	program := filepath.Join(filepath.Dir(here), "..", "..", "bin", "versitygw")
	require.FileExists(t, program, "run `make bin/versitygw` once")
	cmd := exec.Command(program, "--quiet", "--port", s.address, "posix", "--sidecar", filepath.Join(s.root, "meta"), filepath.Join(s.root, "data")) //nolint:noctx // it outlives the test's context, until its cleanup
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+s.Access, "ROOT_SECRET_ACCESS_KEY="+s.Secret)
	require.NoError(t, cmd.Start())
	s.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, "the S3 server does not listen")
}

// Stop ends the server; its objects stay.
func (s *S3) Stop() { s.stop() }
