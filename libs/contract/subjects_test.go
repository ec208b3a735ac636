package contract_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
)

// hostile words would change what a subject means, or break the protocol line
// they are written into.
func hostile() []string {
	return []string{
		"", ".", "..", "a.b", "*", ">", "a*", ">a", " ", "a b", "a\tb", "a\r\nPUB x 1\r\n", "a\x00", "ä", "а", "a/b", "$JS", "a,b", "\xff",
		strings.Repeat("a", contract.MaxToken+1),
	}
}

func TestValidToken(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "Z9", "_", "-", "ingest_batch", "0190b5c2-7d4e-7c3a-9d1e-2f3a4b5c6d7e", strings.Repeat("a", contract.MaxToken)} {
		require.True(t, contract.ValidToken(good), "%q", good)
	}
	for _, bad := range hostile() {
		require.False(t, contract.ValidToken(bad), "%q", bad)
	}
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		want  string
		words []string
		build func(w []string) (string, error)
	}{
		"run":    {"nexus.run.bench.normal.noop.j1", []string{"bench", "normal", "noop", "j1"}, func(w []string) (string, error) { return contract.RunSubject(w[0], w[1], w[2], w[3]) }},
		"event":  {"nexus.events.job.queued.noop", []string{"job", "queued", "noop"}, func(w []string) (string, error) { return contract.EventSubject(w[0], w[1], w[2]) }},
		"cancel": {"nexus.ctl.cancel.j1", []string{"j1"}, func(w []string) (string, error) { return contract.CancelSubject(w[0]) }},
		"submit": {"nexus.submit.alice.noop", []string{"alice", "noop"}, func(w []string) (string, error) { return contract.SubmitSubject(w[0], w[1]) }},
		"dead":   {"nexus.dead.audit.undecodable", []string{"audit", "undecodable"}, func(w []string) (string, error) { return contract.DeadSubject(w[0], w[1]) }},
	} {
		got, err := tc.build(tc.words)
		require.NoError(t, err, name)
		require.Equal(t, tc.want, got, name)
		for place := range tc.words {
			for _, bad := range hostile() {
				words := append([]string(nil), tc.words...)
				words[place] = bad
				got, err := tc.build(words)
				require.ErrorContains(t, err, "want 1 to 64 of a-z A-Z 0-9 _ -", "%s with %q", name, bad)
				require.Empty(t, got, "%s with %q", name, bad)
			}
		}
	}
}

func TestParseSubmitSubject(t *testing.T) {
	t.Parallel()
	owner, jobType, err := contract.ParseSubmitSubject("nexus.submit.alice.ingest_batch")
	require.NoError(t, err)
	require.Equal(t, "alice", owner)
	require.Equal(t, "ingest_batch", jobType)
	for _, bad := range []string{
		"", "nexus.submit", "nexus.submit.alice", "nexus.submit.alice.noop.more", "nexus.submit..noop", "nexus.submit.alice.",
		"nexus.submit.*.noop", "nexus.submit.alice.>", "nexus.submit.alice.no op", "nexus.Submit.alice.noop", "other.submit.alice.noop",
		"nexus.run.alice.noop", "nexus.submit.alice.noop\r\n", "nexus.submit." + strings.Repeat("a", 65) + ".noop", ".nexus.submit.alice.noop",
	} {
		owner, jobType, err := contract.ParseSubmitSubject(bad)
		require.Error(t, err, "%q", bad)
		require.Empty(t, owner, "%q", bad)
		require.Empty(t, jobType, "%q", bad)
	}
}

func FuzzSubmitSubject(f *testing.F) {
	f.Add("alice", "noop")
	f.Add("a.b", ">")
	f.Add("", "\xff")
	f.Fuzz(func(t *testing.T, owner, jobType string) {
		subject, err := contract.SubmitSubject(owner, jobType)
		require.Equal(t, contract.ValidToken(owner) && contract.ValidToken(jobType), err == nil)
		if err != nil {
			return
		}
		gotOwner, gotType, err := contract.ParseSubmitSubject(subject)
		require.NoError(t, err)
		require.Equal(t, owner, gotOwner)
		require.Equal(t, jobType, gotType)
	})
}

// Programs outside this repository know these words: workers, clients of the
// NATS door, dashboards.
func TestWordsOfTheWire(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		contract.SubjectSubmitJobs:                              "nexus.cmd.jobs.submit",
		contract.RunFilter("corpus", contract.PriorityNormal):   "nexus.run.corpus.normal.>",
		contract.RunConsumer("corpus", contract.PriorityNormal): "run-corpus-normal",
		contract.JobEventPattern(contract.StatusFailed):         "nexus.events.job.failed.*",
		contract.RPCPing("audit"):                               "nexus.rpc.audit.ping",
		contract.SubmitPattern("alice"):                         "nexus.submit.alice.>",
		contract.InboxPrefix("alice"):                           "_INBOX_alice",
		contract.InboxPattern("alice"):                          "_INBOX_alice.>",
		contract.PatternCancel:                                  "nexus.ctl.cancel.*",
		contract.RPCJobsClaim:                                   "nexus.rpc.jobs.claim",
		contract.RPCJobsHeartbeat:                               "nexus.rpc.jobs.heartbeat",
		contract.RPCJobsFinish:                                  "nexus.rpc.jobs.finish",
		contract.HeaderRequestID:                                "Nexus-Request-Id",
		contract.HeaderReplyTo:                                  "Nexus-Reply-To",
		contract.HeaderType:                                     "Nexus-Type",
		contract.HeaderReason:                                   "Nexus-Reason",
		contract.TypeRun:                                        "nexus.run.v1",
		contract.TypeSubmitCommand:                              "nexus.cmd.jobs.submit.v1",
	} {
		require.Equal(t, want, got)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	require.Equal(t, []contract.Status{"queued", "running", "retry_wait", "succeeded", "failed", "cancelled"}, contract.Statuses())
	finished := map[contract.Status]bool{"succeeded": true, "failed": true, "cancelled": true}
	for _, s := range append(contract.Statuses(), contract.StatusAccepted, "", "done") {
		require.Equal(t, finished[s], s.Finished(), "%q", s)
	}
	require.Equal(t, []contract.Modality{"text", "pdf", "image", "audio", "binary"}, contract.Modalities())
}

// matches reports whether a NATS filter takes a subject.
func matches(filter, subject string) bool {
	want, got := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, w := range want {
		switch {
		case w == ">":
			return len(got) > i
		case i >= len(got), w != "*" && w != got[i]:
			return false
		}
	}
	return len(want) == len(got)
}

func TestEverySubjectHasOneStream(t *testing.T) {
	t.Parallel()
	must := func(subject string, err error) string {
		require.NoError(t, err)
		return subject
	}
	for subject, want := range map[string]string{
		contract.SubjectSubmitJobs:                                 contract.StreamCommands,
		must(contract.SubmitSubject("alice", "noop")):              contract.StreamSubmit,
		must(contract.RunSubject("bench", "normal", "noop", "j1")): contract.StreamRuns,
		must(contract.EventSubject("auth", "denied", "admin")):     contract.StreamEvents,
		must(contract.DeadSubject("jobs", "undecodable")):          contract.StreamDead,
		must(contract.AcceptedSubject("j1")):                       contract.StreamAccepted,
		must(contract.CancelSubject("j1")):                         "",
		contract.RPCJobsClaim:                                      "",
		contract.RPCPing("jobs"):                                   "",
	} {
		var streams []string
		for _, s := range contract.Streams() {
			for _, filter := range s.Subjects {
				if matches(filter, subject) {
					streams = append(streams, s.Name)
				}
			}
		}
		if want == "" {
			require.Empty(t, streams, subject)
			continue
		}
		require.Equal(t, []string{want}, streams, subject)
	}
	require.True(t, matches(contract.PatternJobEvents, must(contract.EventSubject("job", "queued", "noop"))))
	require.True(t, matches(contract.JobEventPattern(contract.StatusQueued), must(contract.EventSubject("job", "queued", "noop"))))
	require.True(t, matches(contract.SubmitPattern("alice"), must(contract.SubmitSubject("alice", "noop"))))
	require.True(t, matches(contract.PatternCancel, must(contract.CancelSubject("j1"))))
	require.False(t, matches(contract.JobEventPattern(contract.StatusQueued), must(contract.EventSubject("job", "failed", "noop"))))
}

func TestStreams(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, s := range contract.Streams() {
		require.False(t, names[s.Name], "%s is listed twice", s.Name)
		names[s.Name] = true
		require.NotEmpty(t, s.Subjects, s.Name)
		require.Positive(t, s.MaxBytes, s.Name)
		require.GreaterOrEqual(t, s.Duplicates, 100*time.Millisecond, "the least the broker takes: %s", s.Name)
		switch s.Retention {
		case contract.RetainUntilDone:
			require.Zero(t, s.MaxAge, "unfinished work never expires: %s", s.Name)
		case contract.RetainForAge:
			if s.Name == contract.StreamAccepted {
				require.Less(t, s.MaxAge, time.Hour, "a job that is gone again must not seem accepted")
				continue
			}
			require.GreaterOrEqual(t, s.MaxAge, 24*time.Hour, s.Name)
		default:
			require.Fail(t, "unknown retention", "%s: %q", s.Name, s.Retention)
		}
		require.Equal(t, s.Name == contract.StreamSubmit, s.Outside, "outsiders reach one stream: %s", s.Name)
	}
	require.Len(t, names, 6)
}

func TestStreamsShareTheDisk(t *testing.T) {
	t.Parallel()
	total := func(streams []contract.Stream) (n int64) {
		for _, s := range streams {
			n += s.MaxBytes
		}
		return n
	}
	require.EqualValues(t, contract.MaxStreamBytes, total(contract.Streams()))
	for _, tc := range []struct{ room, want int64 }{
		{1 << 50, contract.MaxStreamBytes},
		{contract.MaxStreamBytes, contract.MaxStreamBytes},
		{1 << 30, 1 << 30},
		{1<<31 - 1, 1<<31 - 1},
		{contract.MinStreamBytes, contract.MinStreamBytes},
		{1, contract.MinStreamBytes},
		{0, contract.MinStreamBytes},
		{-1, contract.MinStreamBytes},
	} {
		got := contract.StreamsWithin(tc.room)
		require.LessOrEqual(t, total(got), tc.want, tc.room)
		require.Greater(t, total(got), tc.want-int64(len(got)), "all of it is used: %d", tc.room)
		for _, s := range got {
			require.GreaterOrEqual(t, s.MaxBytes, int64(4*contract.MaxMessage), "%s holds a few of the largest messages", s.Name)
			require.True(t, s.Grow, s.Name)
		}
	}
}

func TestConsumers(t *testing.T) {
	t.Parallel()
	const lease = 42 * time.Second
	streams := map[string]contract.Stream{}
	for _, s := range contract.Streams() {
		streams[s.Name] = s
	}
	durables, filters := map[string]bool{}, map[string]bool{}
	for _, c := range contract.Consumers(lease) {
		require.False(t, durables[c.Durable], "%s is listed twice", c.Durable)
		durables[c.Durable] = true
		require.True(t, contract.ValidToken(c.Durable), c.Durable)
		require.Contains(t, streams, c.Stream)
		require.False(t, filters[c.Filter], "a work queue gives a message to one consumer: %s", c.Filter)
		filters[c.Filter] = true
		require.Positive(t, c.MaxAckPending)
		switch c.Stream {
		case contract.StreamRuns:
			require.Equal(t, lease, c.AckWait, c.Durable)
		case contract.StreamCommands:
			require.Less(t, c.AckWait, 30*time.Second, "somebody waits for what a recorder that died had in hand")
		default:
			require.Equal(t, 30*time.Second, c.AckWait, c.Durable)
		}
	}
	for _, queue := range []string{contract.QueueCorpus, contract.QueuePlugins, contract.QueueBench} {
		for _, lane := range contract.Lanes() {
			require.True(t, durables[contract.RunConsumer(queue, lane.Priority)], queue)
			require.True(t, contract.ValidPriority(lane.Priority))
		}
	}
	require.False(t, contract.ValidPriority("urgent"))
	for _, durable := range []string{contract.ConsumerRecorder, contract.ConsumerDoor, contract.ConsumerAudit, contract.ConsumerDead, contract.ConsumerWebhooks} {
		require.True(t, durables[durable], durable)
	}
	require.Len(t, durables, 5+3*len(contract.Lanes()))
}

func TestDoorConsumers(t *testing.T) {
	t.Parallel()
	require.Equal(t, "door-ann", contract.DoorConsumer("ann").Durable)
	require.Equal(t, "nexus.submit.ann.>", contract.DoorConsumer("ann").Filter)
	seen := map[string]bool{}
	for _, owner := range []string{"ann", "Ann", "a$b", "a$c", strings.Repeat("x", 65), "ä"} {
		name := contract.DoorConsumer(owner).Durable
		require.False(t, seen[name], "each owner has its own")
		require.LessOrEqual(t, len(name), 80)
		seen[name] = true
	}
	for subject, want := range map[string]string{
		"nexus.submit.ann": "ann", "nexus.submit.ann.a": "ann", "nexus.submit.ann.a.b.c": "ann", "nexus.submit.ann.a$b": "ann",
		"nexus.submit": "", "nexus.submit.a$b.t": "", "nexus.events.ann.t": "", "": "",
	} {
		owner, ok := contract.SubmitOwner(subject)
		require.Equal(t, want, owner, subject)
		require.Equal(t, want != "", ok, subject)
	}
}
