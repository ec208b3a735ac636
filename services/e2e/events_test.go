package e2e_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// line is one event of a stream: its place, its type and what it says.
type line struct{ id, event, data string }

// follow opens an event stream; the channel is closed with it.
func (c client) follow(path, last string) <-chan line {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.base+path, nil)
	require.NoError(c.t, err)
	req.Header.Set("X-Nexus-API-Key", c.key)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, resp.StatusCode)
	c.t.Cleanup(func() { _ = resp.Body.Close() })
	out := make(chan line, 1000)
	go func() {
		defer close(out)
		var l line
		for scan := bufio.NewScanner(resp.Body); scan.Scan(); {
			switch name, value, _ := strings.Cut(scan.Text(), ": "); name {
			case "id":
				l.id = value
			case "event":
				l.event = value
			case "data":
				l.data = value
			case "":
				if l.event != "" {
					out <- l
				}
				l = line{id: l.id}
			}
		}
	}()
	return out
}

// untilClosed collects what a stream tells until it ends.
func untilClosed(t testing.TB, stream <-chan line) (out []line) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case l, open := <-stream:
			if !open {
				return out
			}
			out = append(out, l)
		case <-timeout:
			require.FailNow(t, "the stream did not end", "%v", out)
		}
	}
}

func TestEventStreams(t *testing.T) {
	t.Parallel()
	env := append(freePorts(), "NEXUS_DATA_DIR="+dataDir(t), "NEXUS_CORPUS_ROOT="+corpusRoot(t), "NEXUS_SSE_MAX_PER_KEY=100")
	p := launch(t, t.TempDir(), env, "up")
	operator, viewer := client{t, p.http, operatorKey}, client{t, p.http, viewerKey}

	live := viewer.follow("/api/v1/events?job_type=ingest_batch", "")
	id, _ := operator.submit(map[string]any{"job_type": "ingest_batch"})
	told := untilClosed(t, viewer.follow("/api/v1/jobs/"+id+"/events", ""))
	require.Equal(t, "nexus.job.snapshot.v1", told[0].event)
	require.Equal(t, "nexus.stream.end", told[len(told)-1].event)
	require.Equal(t, "succeeded", viewer.get("/api/v1/jobs/" + id)["status"])

	var all []line
	for len(all) == 0 || all[len(all)-1].event != "nexus.job.succeeded.v1" {
		select {
		case l := <-live:
			all = append(all, l)
		case <-time.After(patience):
			require.FailNow(t, "an event is missing", "%v", all)
		}
	}
	require.Equal(t, "nexus.job.queued.v1", all[0].event)
	rest := untilClosed(t, viewer.follow("/api/v1/jobs/"+id+"/events", all[0].id))
	require.Equal(t, all[1:], rest[:len(rest)-1], "a job's stream goes on behind the event named")
	require.Equal(t, "nexus.stream.end", rest[len(rest)-1].event)

	streams := []<-chan line{live}
	for range 99 {
		streams = append(streams, viewer.follow("/api/v1/events", ""))
	}
	began := time.Now()
	p.stop()
	require.Less(t, time.Since(began), 10*time.Second, "open streams delay the end")
	for _, s := range streams {
		untilClosed(t, s)
	}
}
