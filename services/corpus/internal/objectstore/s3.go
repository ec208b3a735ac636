package objectstore

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"nexus.internal/libs/config"
	"nexus.internal/libs/fault"
)

// S3Config are the settings of a bucket; without an endpoint there is none.
type S3Config struct {
	Endpoint  string `env:"S3_ENDPOINT" doc:"URL of an S3 API that keeps the raw bytes of ingested files in place of a folder, for example https://s3.eu-central-1.amazonaws.com. Empty: a folder, NEXUS_OBJECT_STORAGE_ROOT."`
	Bucket    string `env:"S3_BUCKET" doc:"The bucket there, which must exist."`
	Prefix    string `env:"S3_PREFIX" doc:"What the names of objects in the bucket begin with, for example nexus/."`
	Region    string `env:"S3_REGION" envDefault:"us-east-1" doc:"The region of the bucket."`
	AccessKey string `env:"S3_ACCESS_KEY" doc:"The key that may read and write the bucket."`
	SecretKey string `env:"S3_SECRET_KEY" doc:"The secret of that key."`
	CAFile    string `env:"S3_CA_FILE" doc:"File with the certificates, in PEM, that the endpoint's is checked against. Empty: those of the system."`
}

// Wanted reports whether there is to be a bucket.
func (c S3Config) Wanted() bool { return c.Endpoint != "" }

// Validate implements config.Validator.
func (c S3Config) Validate() error {
	if !c.Wanted() {
		return nil
	}
	var errs []error
	errs = append(errs, config.URL("NEXUS_S3_ENDPOINT", c.Endpoint, "https://s3.example.com", "http", "https"))
	for name, value := range map[string]string{"BUCKET": c.Bucket, "ACCESS_KEY": c.AccessKey, "SECRET_KEY": c.SecretKey} {
		if value == "" {
			errs = append(errs, fmt.Errorf("NEXUS_S3_%s is empty: NEXUS_S3_ENDPOINT needs it", name))
		}
	}
	if strings.HasPrefix(c.Prefix, "/") || strings.Contains(c.Prefix, "//") || len(c.Prefix) > maxPrefix {
		errs = append(errs, fmt.Errorf("NEXUS_S3_PREFIX is %q: want at most %d bytes such as nexus/, without a slash in front or two of them", c.Prefix, maxPrefix))
	}
	return errors.Join(errs...)
}

const (
	// maxPrefix leaves room for the rest of a name, of 1,024 bytes at most.
	maxPrefix = 512
	// putWithin bounds the storing of one object, of 256 MiB at most, and askWithin a
	// question about one.
	putWithin, askWithin = 2 * time.Minute, 10 * time.Second
	// maxTries bounds how often the client makes one request.
	maxTries = 3
)

// Bucket keeps objects by the S3 API, under the names that Store gives files. It may be
// used from several goroutines and by several processes at once.
type Bucket struct {
	client *minio.Client
	name   string
	prefix string
}

// NewBucket makes a store in a bucket. Nothing is asked yet.
func NewBucket(cfg S3Config) (*Bucket, error) {
	transport, err := transportOf(cfg)
	if err != nil {
		return nil, err
	}
	scheme, host, _ := strings.Cut(cfg.Endpoint, "://")
	client, err := minio.New(strings.TrimSuffix(host, "/"), &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""), Secure: scheme == "https", Region: cfg.Region,
		Transport: transport, MaxRetries: maxTries,
	})
	if err != nil {
		return nil, fmt.Errorf("NEXUS_S3_ENDPOINT: %w", err)
	}
	return &Bucket{client: client, name: cfg.Bucket, prefix: cfg.Prefix}, nil
}

func transportOf(cfg S3Config) (*http.Transport, error) {
	transport, err := minio.DefaultTransport(strings.HasPrefix(cfg.Endpoint, "https://"))
	if err != nil {
		return nil, fmt.Errorf("prepare to reach NEXUS_S3_ENDPOINT: %w", err)
	}
	if cfg.CAFile == "" {
		return transport, nil
	}
	text, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("NEXUS_S3_CA_FILE: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("NEXUS_S3_CA_FILE: %s holds no certificate", cfg.CAFile)
	}
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return transport, nil
}

// ErrRefused says that the bucket is not there, or that the key may not use it: waiting
// does not help.
var ErrRefused = errors.New("the bucket cannot be used")

// Check asks whether the bucket is there and the key may use it. An error that is not
// ErrRefused may pass.
func (b *Bucket) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	there, err := b.client.BucketExists(ctx, b.name)
	switch {
	case err == nil && there:
		return nil
	case err == nil:
		return fmt.Errorf("%w: there is no bucket %s", ErrRefused, b.name)
	}
	switch code := minio.ToErrorResponse(err).Code; code {
	case minio.AccessDenied, minio.NoSuchBucket, "InvalidAccessKeyId", "SignatureDoesNotMatch", minio.InvalidBucketName:
		return fmt.Errorf("%w: %s says %s", ErrRefused, b.name, code)
	}
	return fmt.Errorf("ask for bucket %s: %w", b.name, err)
}

// Ping is Check in words for outsiders.
func (b *Bucket) Ping(ctx context.Context) error {
	if err := b.Check(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "The object store does not answer.")
	}
	return nil
}

// Put does what Store.Put does. The other side checks what arrives against the
// checksum.
func (b *Bucket) Put(ctx context.Context, checksum string, data []byte) error {
	raw, err := parse(checksum)
	if err != nil {
		return err
	}
	name := b.prefix + path.Join(checksum[:2], checksum)
	there, err := b.has(ctx, name, len(data))
	if err == nil && !there {
		err = b.put(ctx, name, raw, data)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		// The caller gave up, which says nothing of the store.
		return fmt.Errorf("store object %s: %w", checksum, ctx.Err())
	default:
		return unavailable(checksum, err)
	}
}

func (b *Bucket) put(ctx context.Context, name string, checksum, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, putWithin)
	defer cancel()
	_, err := b.client.PutObject(ctx, b.name, name, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{
		ContentType: "application/octet-stream", DisableMultipart: true,
		UserMetadata: map[string]string{"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(checksum)},
	})
	return err
}

// has reports whether an object of a size is there. One of another size was put there
// by somebody else.
func (b *Bucket) has(ctx context.Context, name string, size int) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	info, err := b.client.StatObject(ctx, b.name, name, minio.StatObjectOptions{})
	if err == nil {
		return info.Size == int64(size), nil
	}
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return false, nil
	}
	return false, err
}
