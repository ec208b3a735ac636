package objectstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/corpus/internal/objectstore"
)

func settings(s *testkit.S3) objectstore.S3Config {
	return objectstore.S3Config{Endpoint: s.URL, Bucket: s.Bucket, Prefix: "nexus/", Region: "us-east-1", AccessKey: s.Access, SecretKey: s.Secret}
}

func bucket(t *testing.T, cfg objectstore.S3Config) *objectstore.Bucket {
	t.Helper()
	require.NoError(t, cfg.Validate())
	b, err := objectstore.NewBucket(cfg)
	require.NoError(t, err)
	return b
}

func TestBucketKeepsObjectsUnderTheNamesOfFiles(t *testing.T) {
	t.Parallel()
	s := testkit.NewS3(t)
	b := bucket(t, settings(s))
	require.NoError(t, b.Check(t.Context()))
	sum := checksum("content")
	for range 2 {
		require.NoError(t, b.Put(t.Context(), sum, []byte("content")))
		data, err := os.ReadFile(filepath.Join(s.Dir, "nexus", sum[:2], sum))
		require.NoError(t, err)
		require.Equal(t, "content", string(data))
	}
	require.NoError(t, b.Put(t.Context(), checksum(""), nil))
	require.Equal(t, fault.Unavailable, fault.KindOf(b.Put(t.Context(), checksum("other"), []byte("content"))), "the other side checks what arrives")
	large := strings.Repeat("0123456789abcdef", 2<<20)
	require.NoError(t, b.Put(t.Context(), checksum(large), []byte(large)))
	info, err := os.Stat(filepath.Join(s.Dir, "nexus", checksum(large)[:2], checksum(large)))
	require.NoError(t, err)
	require.EqualValues(t, len(large), info.Size())
	require.Len(t, files(t, filepath.Join(s.Dir, "nexus")), 3)
}

func TestBucketMendsAnObjectOfTheWrongSize(t *testing.T) {
	t.Parallel()
	s := testkit.NewS3(t)
	sum := checksum("content")
	path := filepath.Join(s.Dir, "nexus", sum[:2], sum)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, []byte("con"), 0o600))
	require.NoError(t, bucket(t, settings(s)).Put(t.Context(), sum, []byte("content")))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "content", string(data))
}

func TestBucketPutAtOnce(t *testing.T) {
	t.Parallel()
	s := testkit.NewS3(t)
	one, other := bucket(t, settings(s)), bucket(t, settings(s))
	errs := make([]error, 40)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			b, data := one, fmt.Sprintf("content %d", i%4)
			if i%2 == 0 {
				b = other
			}
			errs[i] = b.Put(t.Context(), checksum(data), []byte(data))
		})
	}
	group.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, files(t, filepath.Join(s.Dir, "nexus")), 4)
}

// A store that is away is waited for; a bucket that is not there, or a key that is
// refused, is not.
func TestBucketThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	s := testkit.NewS3(t)
	absent, wrong, unknown := settings(s), settings(s), settings(s)
	absent.Bucket, wrong.SecretKey, unknown.AccessKey = "absent", "another secret", "nobody"
	for name, cfg := range map[string]objectstore.S3Config{"absent": absent, "wrong secret": wrong, "unknown key": unknown} {
		b := bucket(t, cfg)
		err := b.Check(t.Context())
		require.ErrorIs(t, err, objectstore.ErrRefused, name)
		require.NotContains(t, err.Error(), cfg.SecretKey)
		require.Equal(t, fault.Unavailable, fault.KindOf(b.Put(t.Context(), checksum("x"), []byte("x"))), name)
	}
	b := bucket(t, settings(s))
	s.Stop()
	err := b.Check(t.Context())
	require.Error(t, err)
	require.NotErrorIs(t, err, objectstore.ErrRefused)
	require.Equal(t, "The object store does not answer.", fault.Public(b.Ping(t.Context())).Detail)
	err = b.Put(t.Context(), checksum("x"), []byte("x"))
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.Equal(t, "The object store cannot take an object now.", fault.Public(err).Detail)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Put(gone, checksum("x"), []byte("x")), context.Canceled)
	s.Start(t)
	require.NoError(t, b.Put(t.Context(), checksum("x"), []byte("x")))
	require.NoError(t, b.Ping(t.Context()))
	require.ErrorContains(t, b.Put(t.Context(), "../../etc/passwd", nil), "not a SHA-256 checksum")
}

func TestBadSettingsOfABucket(t *testing.T) {
	t.Parallel()
	require.NoError(t, objectstore.S3Config{}.Validate(), "a folder is used")
	good := objectstore.S3Config{Endpoint: "https://s3.example.com", Bucket: "b", AccessKey: "a", SecretKey: "hunter2"}
	require.NoError(t, good.Validate())
	for says, change := range map[string]func(*objectstore.S3Config){
		"NEXUS_S3_ENDPOINT":            func(c *objectstore.S3Config) { c.Endpoint = "s3.example.com" },
		"NEXUS_S3_BUCKET is empty":     func(c *objectstore.S3Config) { c.Bucket = "" },
		"NEXUS_S3_ACCESS_KEY is empty": func(c *objectstore.S3Config) { c.AccessKey = "" },
		"NEXUS_S3_SECRET_KEY is empty": func(c *objectstore.S3Config) { c.SecretKey = "" },
		"NEXUS_S3_PREFIX":              func(c *objectstore.S3Config) { c.Prefix = "/nexus" },
	} {
		cfg := good
		change(&cfg)
		err := cfg.Validate()
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "hunter2")
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	good.CAFile = path
	_, err := objectstore.NewBucket(good)
	require.ErrorContains(t, err, "NEXUS_S3_CA_FILE")
	require.NoError(t, os.WriteFile(path, []byte("no certificate"), 0o600))
	_, err = objectstore.NewBucket(good)
	require.ErrorContains(t, err, "holds no certificate")
}
