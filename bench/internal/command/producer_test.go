package command_test

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/command"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// recorder answers every command that the broker takes with what judge says.
func recorder(t *testing.T, judge func(contract.Submission) contract.SubmitVerdict) *command.Producer {
	t.Helper()
	nc := testkit.NATS(t)
	_, err := nc.Subscribe(contract.SubjectSubmitJobs, func(msg *nats.Msg) {
		var cmd contract.SubmitCommand
		if err := json.Unmarshal(msg.Data, &cmd); err != nil {
			return
		}
		for _, s := range cmd.Submissions {
			body, err := json.Marshal(contract.SubmitReply{Verdicts: []contract.SubmitVerdict{judge(s)}})
			if err == nil {
				err = nc.Publish(msg.Header.Get(contract.HeaderReplyTo), body)
			}
			if err != nil {
				return
			}
		}
	})
	require.NoError(t, err)
	p, err := command.New(nc, testkit.JetStream(t, nc))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func payloads(n int) []json.RawMessage {
	out := make([]json.RawMessage, n)
	for i := range out {
		out[i] = json.RawMessage(`{"a":1}`)
	}
	return out
}

func TestSubmitReturnsWhenEveryJobHasItsVerdict(t *testing.T) {
	t.Parallel()
	seen := map[string]contract.Submission{}
	p := recorder(t, func(s contract.Submission) contract.SubmitVerdict {
		seen[s.JobID] = s
		return contract.SubmitVerdict{Ref: s.Ref, JobID: s.JobID, Status: contract.StatusQueued}
	})
	require.NoError(t, p.Submit(t.Context(), payloads(1)))
	require.NoError(t, p.Submit(t.Context(), payloads(64)))
	require.Len(t, seen, 65, "every job has an id of its own")
	for _, s := range seen {
		require.Equal(t, contract.JobNoop, s.JobType)
		require.JSONEq(t, `{"a":1}`, string(s.Payload))
	}
}

func TestARefusedJobIsAnError(t *testing.T) {
	t.Parallel()
	p := recorder(t, func(s contract.Submission) contract.SubmitVerdict {
		return contract.SubmitVerdict{Ref: s.Ref, Code: contract.CodeUnknownJobType, Detail: "noop is switched off"}
	})
	require.ErrorContains(t, p.Submit(t.Context(), payloads(2)), "noop is switched off")
}

func TestAStreamThatIsMissingIsAnError(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	js := testkit.JetStream(t, nc)
	require.NoError(t, js.DeleteStream(t.Context(), contract.StreamCommands))
	p, err := command.New(nc, js)
	require.NoError(t, err)
	require.ErrorContains(t, p.Submit(t.Context(), payloads(1)), "publish a command")
}
