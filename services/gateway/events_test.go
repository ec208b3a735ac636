package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway"
)

const eventsURL = "/api/v1/events"

// frame is one part of an event stream; a comment has nothing but its text.
type frame struct{ id, event, data, retry, comment string }

// eventOf decodes the event that a frame carries.
func (f frame) eventOf(t testing.TB) contract.Event {
	t.Helper()
	var e contract.Event
	require.NoError(t, json.Unmarshal([]byte(f.data), &e), "%+v", f)
	return e
}

// following is an open event stream. Its frames end with the answer.
type following struct {
	t      testing.TB
	frames chan frame
	close  func()
}

// follow opens an event stream and reads its first frame, the place it begins at.
func (c client) follow(path string, header ...string) (f *following, at string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.base+path, nil)
	require.NoError(c.t, err)
	for name, values := range c.header {
		req.Header[name] = values
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req) //nolint:bodyclose // closed with the test
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, resp.StatusCode)
	require.Equal(c.t, "text/event-stream", resp.Header.Get("Content-Type"))
	require.Equal(c.t, "no-store", resp.Header.Get("Cache-Control"))
	f = &following{t: c.t, frames: make(chan frame, 10_000), close: func() { _ = resp.Body.Close() }}
	c.t.Cleanup(f.close)
	go func() {
		defer close(f.frames)
		readFrames(resp, f.frames)
	}()
	first := testkit.Receive(c.t, f.frames)
	require.NotEmpty(c.t, first.retry)
	require.Empty(c.t, first.event)
	return f, first.id
}

func readFrames(resp *http.Response, out chan<- frame) {
	var f frame
	for scan := bufio.NewScanner(resp.Body); scan.Scan(); {
		if scan.Text() == "" {
			out <- f
			f = frame{}
			continue
		}
		name, value, _ := strings.Cut(scan.Text(), ": ")
		switch name {
		case "id":
			f.id = value
		case "event":
			f.event = value
		case "data":
			f.data = value
		case "retry":
			f.retry = value
		case "":
			f.comment = value
		}
	}
}

// next is the next event; comments are passed over.
func (f *following) next() frame {
	f.t.Helper()
	for {
		got := testkit.Receive(f.t, f.frames)
		if got.event != "" {
			return got
		}
	}
}

// ends requires that nothing but comments comes before the end.
func (f *following) ends() {
	f.t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case got, open := <-f.frames:
			if !open {
				return
			}
			require.Empty(f.t, got.event)
		case <-timeout:
			require.FailNow(f.t, "the stream does not end")
		}
	}
}

// publish stores a pack of job events of one kind.
func (w *world) publish(what string, events ...contract.Event) {
	w.t.Helper()
	w.publishAs(contract.AreaJob, what, contract.JobAnalyze, events...)
}

func (w *world) publishAs(area, what, word string, events ...contract.Event) {
	w.t.Helper()
	m, err := bus.EventMessage(area, what, word, events...)
	require.NoError(w.t, err)
	// Repeats must reach the stream: it is the readers that have to know them.
	m.ID = uuid.NewString()
	require.NoError(w.t, bus.NewPublisher(w.js, "test", time.Now).Publish(w.t.Context(), m))
}

// change is the event of a job's version-th state.
func change(jobID string, status contract.Status, version int) contract.Event {
	e := jobEvent(jobID, status)
	e.ID = contract.JobEventID(jobID, version)
	return e
}

func (w *world) job(id string, status contract.Status, updated time.Time) {
	w.answer(contract.RPCJobsGet, func(json.RawMessage) (any, error) {
		return contract.Job{JobSummary: contract.JobSummary{JobID: id, JobType: contract.JobAnalyze, Status: status, UpdatedAt: updated}}, nil
	})
}

func TestGuaranteeEventStreamsResumeWithoutLossOrRepeat(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	const packs, perPack = 60, 7
	for i := range packs {
		var events []contract.Event
		for j := range perPack {
			events = append(events, change(fmt.Sprintf("job-%d", i*perPack+j), contract.StatusQueued, 1))
		}
		w.publish("queued", events...)
	}
	c := g.role(identity.Viewer)
	// A client that is cut off again and again, in the middle of packs too,
	// while more is published.
	last, got := "0.0", []string{}
	for len(got) < (packs+20)*perPack {
		f, _ := c.follow(eventsURL, "Last-Event-ID", last)
		if len(got) == 0 {
			for i := range 20 {
				var events []contract.Event
				for j := range perPack {
					events = append(events, change(fmt.Sprintf("job-%d", (packs+i)*perPack+j), contract.StatusQueued, 1))
				}
				w.publish("queued", events...)
			}
		}
		for range min(37, (packs+20)*perPack-len(got)) {
			next := f.next()
			require.Equal(t, "nexus.job.queued.v1", next.event)
			last, got = next.id, append(got, next.eventOf(t).ID)
		}
		f.close()
	}
	for i, id := range got {
		require.Equal(t, fmt.Sprintf("job-%d/1", i), id)
	}
}

func TestEventsAreLiveAndFiltered(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	w.publish("queued", change("before", contract.StatusQueued, 1))
	all, at := g.role(identity.Admin).follow(eventsURL)
	require.Equal(t, "1.63", at)
	viewer, _ := g.role(identity.Viewer).follow(eventsURL)
	failed, _ := g.role(identity.Viewer).follow(eventsURL + "?status=failed&job_type=analyze")
	progress, _ := g.role(identity.Viewer).follow(eventsURL + "?what=progress&area=job")
	mine, _ := g.role(identity.Viewer).follow(eventsURL + "?created_by=me")
	auth, _ := g.role(identity.Admin).follow(eventsURL + "?area=auth&owner=alice")

	w.publish("queued", change("a", contract.StatusQueued, 1))
	w.publishAs(contract.AreaAuth, "success", "viewer",
		contract.Event{ID: "auth-1", Type: contract.EventType(contract.AreaAuth, "success"), Time: time.Now(), Source: "nexus.auth", Actor: "alice", Data: json.RawMessage(`{}`)})
	require.NoError(t, w.nc.Publish("nexus.events.job.queued.analyze", []byte("nonsense")))
	w.publish("progress", contract.Event{ID: "p", Type: "nexus.job.progress.v1", Time: time.Now(), Source: "nexus.jobs", Data: json.RawMessage(`{"job_id":"a","percent":5}`)})
	of := change("b", contract.StatusFailed, 2)
	of.Data = json.RawMessage(`{"job_id":"b","status":"failed","created_by":"me"}`)
	w.publish("failed", of)

	ids := func(f *following, want ...string) {
		t.Helper()
		for _, id := range want {
			e := f.next().eventOf(t)
			for e.Source == "nexus.gateway" { // what the gateway decided about these streams, once a second
				e = f.next().eventOf(t)
			}
			require.Equal(t, id, e.ID)
		}
	}
	ids(all, "a/1", "auth-1", "p", "b/2")
	ids(viewer, "a/1", "p", "b/2")
	ids(failed, "b/2")
	ids(progress, "p")
	ids(mine, "b/2")
	ids(auth, "auth-1")
}

func TestEventStreamsAreRefused(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Viewer)
	for _, id := range []string{"x", "1", "1.", ".1", "1.64", "1.-1", "-1.0", "01.0", "1.00", "+1.0", "1.0.0", "1 .0", "18446744073709551615.0", "18446744073709551616.0", strings.Repeat("9", 65)} {
		c.send(http.MethodGet, eventsURL, "", "Last-Event-ID", id).fails(http.StatusUnprocessableEntity, "validation_error")
		c.send(http.MethodGet, eventsURL+"?last_event_id="+strings.ReplaceAll(strings.ReplaceAll(id, " ", "%20"), "+", "%2B"), "").fails(http.StatusUnprocessableEntity, "validation_error")
	}
	for _, query := range []string{"status=gone", "area=a.b", "what=*", "job_type=%3E", "status=failed&what=queued", "status=failed&area=auth", "job_type=x&area=submit", "owner=a&created_by=b"} {
		c.send(http.MethodGet, eventsURL+"?"+query, "").fails(http.StatusUnprocessableEntity, "validation_error")
	}
	c.send(http.MethodGet, eventsURL+"?area=auth", "").fails(http.StatusForbidden, "forbidden")
	c.send(http.MethodGet, "/api/v1/jobs/x/events", "").fails(http.StatusNotFound, "not_found")
	w.answer(contract.RPCJobsGet, refuses(fault.NotFoundf("Job not found")))
	c.send(http.MethodGet, "/api/v1/jobs/"+uuid.NewString()+"/events", "").fails(http.StatusNotFound, "not_found")
}

func TestAPlaceThatIsNotKeptIsAGap(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	for i := range 3 {
		w.publish("queued", change(fmt.Sprint(i), contract.StatusQueued, 1))
	}
	stream, err := w.js.Stream(t.Context(), contract.StreamEvents)
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context()))
	w.publish("queued", change("new", contract.StatusQueued, 1))
	for _, id := range []string{"2.0", "999.0"} {
		f, _ := g.role(identity.Viewer).follow(eventsURL + "?last_event_id=" + id)
		gap := f.next()
		require.Equal(t, "nexus.stream.gap", gap.event)
		require.JSONEq(t, `{"requested":"`+id+`","resumed_after":"3.63"}`, gap.data)
		require.Equal(t, "new/1", f.next().eventOf(t).ID)
	}
	// A job's stream tells where the job is instead.
	id := uuid.NewString()
	w.job(id, contract.StatusRunning, time.Now())
	f, _ := g.role(identity.Viewer).follow("/api/v1/jobs/"+id+"/events", "Last-Event-ID", "2.0")
	require.Equal(t, "nexus.stream.gap", f.next().event)
	require.Equal(t, "nexus.job.snapshot.v1", f.next().event)
}

func TestAJobIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	id, c := uuid.NewString(), g.role(identity.Viewer)
	url := "/api/v1/jobs/" + id + "/events"
	queued, running, done := change(id, contract.StatusQueued, 1), change(id, contract.StatusRunning, 2), change(id, contract.StatusSucceeded, 3)
	w.job(id, contract.StatusQueued, queued.Time)
	f, _ := c.follow(url)
	snapshot := f.next()
	require.Equal(t, "nexus.job.snapshot.v1", snapshot.event)
	require.Contains(t, string(snapshot.eventOf(t).Data), `"status":"queued"`)
	// What the snapshot tells is not told again, nor anything twice.
	w.publish("queued", queued)
	w.publish("running", change(uuid.NewString(), contract.StatusRunning, 2), running)
	w.publish("running", running)
	w.publish("progress", contract.Event{ID: "p", Type: "nexus.job.progress.v1", Time: time.Now(), Source: "nexus.jobs", Data: json.RawMessage(`{"job_id":"` + id + `","percent":5}`)})
	w.publish("succeeded", done, change(uuid.NewString(), contract.StatusSucceeded, 3))
	first := f.next()
	require.Equal(t, running.ID, first.eventOf(t).ID)
	require.Equal(t, "p", f.next().eventOf(t).ID)
	require.Equal(t, done.ID, f.next().eventOf(t).ID)
	end := f.next()
	require.Equal(t, "nexus.stream.end", end.event)
	require.JSONEq(t, `{"job_id":"`+id+`","status":"succeeded"}`, end.data)
	f.ends()

	w.job(id, contract.StatusSucceeded, done.Time)
	f, _ = c.follow(url, "Last-Event-ID", first.id)
	require.Equal(t, "p", f.next().eventOf(t).ID)
	require.Equal(t, done.ID, f.next().eventOf(t).ID)
	require.Equal(t, "nexus.stream.end", f.next().event)
	f.ends()
	// Whoever comes late, or knows the end, is told where the job is.
	for _, header := range [][]string{nil, {"Last-Event-ID", end.id}} {
		f, _ = c.follow(url, header...)
		require.Equal(t, "nexus.job.snapshot.v1", f.next().event)
		require.Equal(t, "nexus.stream.end", f.next().event)
		f.ends()
	}
}

func TestEventStreamsOfAKeyAreCounted(t *testing.T) {
	t.Parallel()
	_, g := start(t, with(func(c *gateway.Config) { c.SSEMaxPerKey, c.SSEMaxTotal = 2, 3 }))
	c := g.role(identity.Viewer)
	first, _ := c.follow(eventsURL)
	c.follow(eventsURL)
	r := c.send(http.MethodGet, eventsURL, "")
	r.fails(http.StatusTooManyRequests, "too_many_streams")
	require.NotEmpty(t, r.header.Get("Retry-After"))
	g.role(identity.Admin).follow(eventsURL)
	g.role(identity.Operator).send(http.MethodGet, eventsURL, "").fails(http.StatusServiceUnavailable, "unavailable")
	// A client that is gone is noticed when it is written to.
	first.close()
	_, again := start(t, with(func(c *gateway.Config) { c.SSEMaxPerKey, c.SSEHeartbeatSeconds = 1, 0.05 }))
	lost, _ := again.role(identity.Viewer).follow(eventsURL)
	lost.close()
	testkit.Eventually(t, func() bool {
		return again.role(identity.Viewer).try(http.MethodGet, eventsURL, "").status == http.StatusOK
	}, "a lost client keeps its place")
}

func TestEventStreamsGiveSignsOfLifeAndEnd(t *testing.T) {
	t.Parallel()
	_, g := start(t, with(func(c *gateway.Config) { c.SSEHeartbeatSeconds, c.SSEMaxSeconds = 0.1, 1 }))
	f, _ := g.role(identity.Viewer).follow(eventsURL)
	require.Equal(t, "still here", testkit.Receive(t, f.frames).comment)
	f.ends()
}

// One reader for all: clients cost the broker nothing.
func TestManyClientsOneReader(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(func(c *gateway.Config) { c.SSEMaxPerKey = 1000 }))
	c := g.role(identity.Viewer)
	told := w.events(contract.AreaAuth)
	c.send(http.MethodGet, "/api/v1/auth/whoami", "").is(http.StatusOK, nil)
	// The first event the gateway publishes makes it listen for receipts.
	testkit.Receive(t, told)
	before := g.nc.NumSubscriptions()
	var all []*following
	for range 100 {
		f, _ := c.follow(eventsURL)
		all = append(all, f)
	}
	w.publish("queued", change("x", contract.StatusQueued, 1))
	for _, f := range all {
		require.Equal(t, "x/1", f.next().eventOf(t).ID)
	}
	testkit.Eventually(t, func() bool { return g.nc.NumSubscriptions() <= before+1 }, "more subscriptions than one")
	stream, err := w.js.Stream(t.Context(), contract.StreamEvents)
	require.NoError(t, err)
	require.LessOrEqual(t, stream.CachedInfo().State.Consumers, len(contract.Consumers(0)))

	// The end of the process is the end of all of them, at once.
	began := time.Now()
	g.stop()
	for _, f := range all {
		f.ends()
	}
	require.Less(t, time.Since(began), 5*time.Second)
}

// A client that reads nothing is let go and holds up nobody.
func TestASlowReaderDisturbsNobody(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	conn := g.dial()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nX-Nexus-API-Key: %s\r\n\r\n", eventsURL, keyOf(ownerOf(identity.Viewer)))
	line, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "200")
	fast, _ := g.role(identity.Viewer).follow(eventsURL)
	long := strings.Repeat("x", 10_000)
	const packs, perPack = 80, 60
	go func() {
		for i := range packs {
			var events []contract.Event
			for j := range perPack {
				e := change(fmt.Sprintf("%d-%d", i, j), contract.StatusQueued, 1)
				e.RequestID = long
				events = append(events, e)
			}
			w.publish("queued", events...)
		}
	}()
	// The fast client may be let go, too, when the machine is busy; it goes on
	// where it was.
	last := "0.0"
	for n := 0; n < packs*perPack; {
		f, open := <-fast.frames
		switch {
		case !open:
			fast, _ = g.role(identity.Viewer).follow(eventsURL, "Last-Event-ID", last)
		case f.event != "":
			require.Equal(t, fmt.Sprintf("%d-%d/1", n/perPack, n%perPack), f.eventOf(t).ID)
			last = f.id
			n++
		}
	}
	began := time.Now()
	g.stop()
	require.Less(t, time.Since(began), 5*time.Second, "a client that does not read delays the end")
}

// When the broker comes back, streams go on where they were.
func TestEventStreamsOutliveTheBroker(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	f, _ := g.role(identity.Viewer).follow(eventsURL)
	w.publish("queued", change("a", contract.StatusQueued, 1))
	require.Equal(t, "a/1", f.next().eventOf(t).ID)
	g.wire.breaks()
	w.publish("queued", change("b", contract.StatusQueued, 1))
	g.wire.mends()
	require.Equal(t, "b/1", f.next().eventOf(t).ID)
	g.stop()
	f.ends()
}
