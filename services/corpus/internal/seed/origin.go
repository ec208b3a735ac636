package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// fetchWithin bounds how long one text may take, less than a request may.
const fetchWithin = 25 * time.Second

// Origin is where seed texts come from.
type Origin struct {
	// place is empty where each text comes from its own SourceURL.
	place  string
	server bool
	client *http.Client
}

// ParseOrigin reads a setting: a folder or an http(s) URL, in which texts have the
// names of their files in the corpus; empty for the SourceURL of each text.
func ParseOrigin(setting string) (*Origin, error) {
	o := &Origin{place: setting, client: &http.Client{Timeout: fetchWithin}}
	u, err := url.Parse(setting)
	switch {
	case err == nil && (u.Scheme == "http" || u.Scheme == "https"):
		if u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("%q: want a URL with a host, and without a query", setting)
		}
		o.server = true
	case err == nil && u.Scheme != "" && u.Opaque == "" && u.Host != "":
		return nil, fmt.Errorf("%q: want a folder, or a URL that begins with http:// or https://", setting)
	}
	return o, nil
}

// read returns a text of at most limit bytes. The error is a sentence about the
// text that goes on after its title.
func (o *Origin) read(ctx context.Context, t Text, limit int64) ([]byte, error) {
	if o.place != "" && !o.server {
		return readFile(filepath.Join(o.place, t.file()), limit)
	}
	from := t.SourceURL
	if o.server {
		var err error
		if from, err = url.JoinPath(o.place, t.file()); err != nil {
			return nil, fmt.Errorf("has no URL: %w", err)
		}
	}
	return o.get(ctx, from, limit)
}

func readFile(name string, limit int64) ([]byte, error) {
	file, err := os.Open(name) //nolint:gosec // the folder is a setting, the name one of ours
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("is not in the folder that NEXUS_CORPUS_SEED_SOURCE names")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot be opened: %w", err)
	}
	defer func() { _ = file.Close() }() // nothing was written
	return readAll(file, limit)
}

func (o *Origin) get(ctx context.Context, from string, limit int64) (data []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, fmt.Errorf("has no URL: %w", err)
	}
	request.Header.Set("Accept", "text/plain")
	response, err := o.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("cannot be fetched: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // it was read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot be fetched: its source answered with status %d", response.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err == nil && kind == "text/html" {
		return nil, errors.New("cannot be fetched: its source answered with a web page")
	}
	return readAll(response.Body, limit)
}

func readAll(from io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot be read to its end: %w", err)
	case len(data) == 0:
		return nil, errors.New("is empty at its source")
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("is larger than the limit of %d bytes (NEXUS_CORPUS_MAX_FILE_BYTES)", limit)
	}
	return data, nil
}
