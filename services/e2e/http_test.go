package e2e_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// kept sends requests over one connection until an answer ends it.
type kept struct {
	t    testing.TB
	http *http.Client
	base string
}

func (p *process) kept(t testing.TB) kept {
	t.Helper()
	// A client that tries again by itself would hide what failed.
	transport := &http.Transport{MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	return kept{t, &http.Client{Transport: transport, Timeout: patience}, p.http}
}

// send makes one request; last says that the connection ended with it.
func (k kept) send(method, path, body string) (status int, last bool, err error) {
	// A body that cannot be read twice is not sent twice.
	req, err := http.NewRequestWithContext(k.t.Context(), method, k.base+path, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return 0, false, err
	}
	req.Header.Set("X-Nexus-API-Key", operatorKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := k.http.Do(req)
	if err != nil {
		return 0, false, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Close, errors.Join(err, resp.Body.Close())
}

// Clients with kept connections that send all through a stop see no failure: the
// gateway is not ready first, then says in its answers that it leaves, and takes
// new connections until then.
func TestStoppingGatewayFailsNoRequest(t *testing.T) {
	t.Parallel()
	p := launch(t, t.TempDir(), append(freePorts(), "NEXUS_DATA_DIR="+dataDir(t), "NEXUS_CORPUS_ROOT="+corpusRoot(t),
		"NEXUS_HTTP_NOT_READY_SECONDS=2", "NEXUS_HTTP_CLOSING_SECONDS=3"), "up")
	var sent, notReady, leaving atomic.Int64
	var clients, begun sync.WaitGroup
	for i := range 8 {
		begun.Add(1)
		clients.Go(func() {
			once := sync.OnceFunc(begun.Done)
			defer once()
			k, left := p.kept(t), 0
			for n := 0; left < 3; n++ {
				method, path, body := http.MethodPost, "/api/v1/jobs/submit", `{"job_type":"ingest_batch"}`
				if (n+i)%4 != 0 {
					method, path, body = http.MethodGet, "/api/v1/auth/whoami", ""
				}
				status, last, err := k.send(method, path, body)
				if err != nil || status != http.StatusOK {
					t.Errorf("request %d of client %d failed: %d %v", n, i, status, err)
					return
				}
				sent.Add(1)
				if last {
					leaving.CompareAndSwap(0, time.Now().UnixNano())
					left++
				}
				once()
			}
		})
	}
	begun.Wait()
	clients.Go(func() {
		probe := p.kept(t)
		for leaving.Load() == 0 {
			status, _, err := probe.send(http.MethodGet, "/readyz", "")
			if err != nil {
				t.Errorf("not ready is an answer: %v", err)
				return
			}
			if status == http.StatusServiceUnavailable {
				notReady.CompareAndSwap(0, time.Now().UnixNano())
			}
		}
	})
	p.terminate()
	clients.Wait()
	require.Greater(t, sent.Load(), int64(100))
	require.NotZero(t, notReady.Load(), "it was ready to the end")
	require.Greater(t, time.Duration(leaving.Load()-notReady.Load()), time.Second, "load balancers have time to notice")
	p.ended()
}

// On a terminal nobody waits for load balancers, nor for connections that are
// kept open.
func TestStopOnATerminalIsQuick(t *testing.T) {
	t.Parallel()
	p := launch(t, t.TempDir(), append(freePorts(), "NEXUS_DATA_DIR="+dataDir(t), "NEXUS_CORPUS_ROOT="+corpusRoot(t)), "up")
	k := p.kept(t)
	status, last, err := k.send(http.MethodGet, "/healthz", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.False(t, last)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
	begun := time.Now()
	require.Eventually(t, func() bool {
		_, _, err := p.kept(t).send(http.MethodGet, "/healthz", "")
		return err != nil
	}, patience, 10*time.Millisecond)
	require.Less(t, time.Since(begun), 4*time.Second)
	p.ended()
}

// resident is the most memory that a process has had, in bytes.
func (p *process) resident() int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	require.True(p.t, ok)
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	require.NoError(p.t, err)
	return kb << 10
}

// bomb inflates to a gibibyte, in so many steps.
func bomb(t testing.TB, steps int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	zeros := make([]byte, 1<<20)
	for range 1 << 10 {
		_, err := w.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	for range steps - 1 {
		inner := bytes.Clone(out.Bytes())
		out.Reset()
		w = gzip.NewWriter(&out)
		_, err := w.Write(inner)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	return out.Bytes()
}

// A kilobyte that inflates to a gibibyte is refused, and costs no memory.
func TestBombsTakeNoMemory(t *testing.T) {
	t.Parallel()
	p := launch(t, t.TempDir(), append(freePorts(), "NEXUS_DATA_DIR="+dataDir(t), "NEXUS_CORPUS_ROOT="+corpusRoot(t)), "up")
	before := p.resident()
	var clients sync.WaitGroup
	for encoding, body := range map[string][]byte{"gzip, gzip": bomb(t, 2), "gzip": bomb(t, 1)} {
		for range 10 {
			for _, path := range []string{"/api/v1/jobs/submit", "/api/v1/jobs/batch", "/api/v1/jobs/retry"} {
				clients.Go(func() {
					for _, key := range []string{operatorKey, "wrong"} {
						req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.http+path, bytes.NewReader(body))
						if err != nil {
							t.Error(err)
							return
						}
						req.Header.Set("X-Nexus-API-Key", key)
						req.Header.Set("Content-Type", "application/json")
						req.Header.Set("Content-Encoding", encoding)
						resp, err := http.DefaultClient.Do(req)
						if err != nil {
							t.Error(err)
							return
						}
						text, _ := io.ReadAll(resp.Body)
						_ = resp.Body.Close()
						switch want := resp.StatusCode; {
						case key == "wrong" && (want == http.StatusUnauthorized || want == http.StatusTooManyRequests):
						case encoding == "gzip, gzip" && want == http.StatusUnsupportedMediaType:
						case encoding == "gzip" && (want == http.StatusRequestEntityTooLarge || want == http.StatusServiceUnavailable):
						default:
							t.Errorf("%s %s: %d %s", path, encoding, resp.StatusCode, text)
						}
					}
				})
			}
		}
	}
	clients.Wait()
	grown := p.resident() - before
	t.Logf("grown by %d MiB", grown>>20)
	require.Less(t, grown, int64(150<<20))
}
