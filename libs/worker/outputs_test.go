package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

// quoted is a JSON string of n bytes that shows a part which is missing or out of
// place.
func quoted(n int) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('"')
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d ", i)
	}
	b.Truncate(n - 1)
	b.WriteByte('"')
	return b.Bytes()
}

// taken puts the outputs together that were put, and returns what they said.
func (h *harness) taken() (outputs map[int][]byte, totals map[int]bool) {
	outputs, totals = map[int][]byte{}, map[int]bool{}
	for {
		select {
		case p := <-h.jobs.puts:
			if p.Part*contract.MaxOutputPart != len(outputs[p.Output]) {
				require.Failf(h.t, "a part is out of place", "%d of output %d", p.Part, p.Output)
			}
			outputs[p.Output] = append(outputs[p.Output], p.Body...)
			totals[p.Total] = true
		default:
			return outputs, totals
		}
	}
}

func TestLargeOutputsArePutBeforeTheReport(t *testing.T) {
	t.Parallel()
	const limit = contract.MaxInlineResult
	sized := func(n ...int) (out []contract.Artifact) {
		for i, size := range n {
			out = append(out, contract.Artifact{Type: "a", Ref: fmt.Sprint(i), Payload: quoted(size)})
		}
		return out
	}
	for name, tc := range map[string]struct {
		result    json.RawMessage
		artifacts []contract.Artifact
		// large are the outputs that are put, with their sizes.
		large map[int]int
	}{
		"one byte less":            {quoted(limit - 1), sized(limit - 1), map[int]int{}},
		"at the limit":             {quoted(limit), sized(limit-3, 3), map[int]int{}},
		"one byte more":            {quoted(limit + 1), sized(3), map[int]int{0: limit + 1}},
		"artifact, one byte more":  {quoted(3), sized(limit + 1), map[int]int{1: limit + 1}},
		"artifacts together":       {nil, sized(limit, 3), map[int]int{2: 3}},
		"a small one behind":       {nil, sized(limit+1, 3, limit), map[int]int{1: limit + 1, 3: limit}},
		"one part":                 {quoted(contract.MaxOutputPart), nil, map[int]int{0: contract.MaxOutputPart}},
		"a part and a byte":        {quoted(contract.MaxOutputPart + 1), nil, map[int]int{0: contract.MaxOutputPart + 1}},
		"larger than the message":  {quoted(3 << 20), sized(2 << 20), map[int]int{0: 3 << 20, 1: 2 << 20}},
		"many, large all together": {nil, sized(limit/2, limit/2, limit/2, limit/2), map[int]int{3: limit / 2, 4: limit / 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			var value any
			if tc.result != nil {
				value = tc.result
			}
			h.work(config(), func(context.Context, worker.Job) (worker.Result, error) {
				return worker.Result{Value: value, Artifacts: tc.artifacts}, nil
			})
			h.send("job-1")
			got := h.result()
			require.Equal(t, contract.OutcomeSucceeded, got.Outcome)
			whole := map[int]json.RawMessage{0: tc.result}
			sizes := map[int]int{0: got.ResultBytes}
			inline := map[int]json.RawMessage{0: got.Result}
			total := len(tc.result)
			for i, a := range got.Artifacts {
				require.Equal(t, fmt.Sprint(i), a.Ref)
				whole[i+1], sizes[i+1], inline[i+1] = tc.artifacts[i].Payload, a.PayloadBytes, a.Payload
				total += len(tc.artifacts[i].Payload)
			}
			outputs, totals := h.taken()
			require.Len(t, outputs, len(tc.large))
			for n, data := range whole {
				if size := tc.large[n]; size > 0 {
					require.Equal(t, size, sizes[n], "output %d", n)
					require.Empty(t, inline[n])
					require.True(t, bytes.Equal(data, outputs[n]), "output %d is another one", n)
					continue
				}
				require.Zero(t, sizes[n])
				require.True(t, bytes.Equal(data, inline[n]), "output %d is another one", n)
			}
			if len(tc.large) > 0 {
				require.Equal(t, map[int]bool{total: true}, totals)
			}
			for _, a := range tc.artifacts {
				require.NotEmpty(t, a.Payload, "what the handler has is its own")
			}
			h.settled()
		})
	}
}

// What the jobs service does not keep, no other attempt makes smaller.
func TestOutputsAboveTheLimitFailTheJob(t *testing.T) {
	t.Parallel()
	h := start(t, func(j *jobsService) {
		j.put = func(req contract.PutRequest) (contract.PutReply, error) {
			return contract.PutReply{}, fault.New(fault.TooLarge, "", fmt.Sprintf("The result and the artifacts have %d bytes; the limit is 7.", req.Total))
		}
	})
	h.work(config(), func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{Value: quoted(1 << 20), Artifacts: []contract.Artifact{{Type: "a"}}}, nil
	})
	h.send("job-1")
	got := h.result()
	require.Equal(t, contract.OutcomeFailed, got.Outcome)
	require.True(t, got.Permanent)
	require.Equal(t, "The result and the artifacts have 1048576 bytes; the limit is 7.", got.ErrorText)
	require.Equal(t, string(fault.TooLarge), got.ErrorKind)
	require.Empty(t, got.Artifacts)
	require.Zero(t, got.ResultBytes)
	require.Len(t, h.jobs.puts, 1)
	h.settled()
}

// A part that finds no jobs service is put again, and the rest after it.
func TestPartsAreInsistedOn(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	h := start(t, func(j *jobsService) {
		j.put = func(req contract.PutRequest) (contract.PutReply, error) {
			if n := asked.Add(1); n == 2 || n == 3 {
				return contract.PutReply{}, fault.Unavailablef("Postgres does not answer.")
			}
			return contract.PutReply{Accepted: true}, nil
		}
	})
	h.work(config(), func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{Value: quoted(3 * contract.MaxOutputPart)}, nil
	})
	h.send("job-1")
	require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome)
	var parts []int
	for range 5 {
		parts = append(parts, testkit.Receive(t, h.jobs.puts).Part)
	}
	require.Equal(t, []int{0, 1, 1, 1, 2}, parts)
	h.settled()
}

// A worker whose lease is gone, or whose job is cancelled, stops putting and says no
// more.
func TestPuttingStopsWithTheLease(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(h *harness) (contract.PutReply, error){
		"refused": func(*harness) (contract.PutReply, error) { return contract.PutReply{}, nil },
		"cancelled": func(h *harness) (contract.PutReply, error) {
			subject, err := contract.CancelSubject("job-1")
			return contract.PutReply{}, errors.Join(err, h.nc.Publish(subject, nil), errors.New("the database is odd"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := alone(t)
			h.jobs.put = func(contract.PutRequest) (contract.PutReply, error) { return stop(h) }
			h.jobs.serve(t, h.server)
			h.work(config(), func(context.Context, worker.Job) (worker.Result, error) {
				return worker.Result{Value: quoted(8 << 20)}, nil
			})
			h.send("job-1")
			testkit.Receive(t, h.jobs.puts)
			h.settled()
			require.Empty(t, h.jobs.finishes)
			require.Less(t, len(h.jobs.puts), 16, "it went on")
		})
	}
}

// A worker that is told to stop gives a job back whose result it cannot hand over.
func TestAWorkerThatStopsGivesBackWhatItCannotPut(t *testing.T) {
	t.Parallel()
	h := start(t, func(j *jobsService) {
		j.put = func(contract.PutRequest) (contract.PutReply, error) {
			return contract.PutReply{}, fault.Unavailablef("Postgres does not answer.")
		}
	})
	cfg := config()
	cfg.Grace = 0
	stop := h.work(cfg, func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{Value: quoted(1 << 20)}, nil
	})
	h.send("job-1")
	testkit.Receive(t, h.jobs.puts)
	stop()
	require.Equal(t, contract.OutcomeReleased, h.result().Outcome)
}

func TestTooManyArtifacts(t *testing.T) {
	t.Parallel()
	many := func(n int, ref string) []contract.Artifact {
		out := make([]contract.Artifact, n)
		for i := range out {
			out[i] = contract.Artifact{Type: "a", Ref: ref}
		}
		return out
	}
	for name, tc := range map[string]struct {
		artifacts []contract.Artifact
		says      string
	}{
		"as many as there may be": {many(contract.MaxArtifacts, ""), ""},
		"one more":                {many(contract.MaxArtifacts+1, ""), "there are 257 artifacts; the limit is 256"},
		"long references":         {many(60, strings.Repeat("r", contract.MaxArtifactRef)), ""},
		"longer ones":             {many(64, strings.Repeat("r", contract.MaxArtifactRef)), "the types and references of the artifacts take 133633 bytes; the limit is 131072"},
		"that grow":               {many(11, strings.Repeat("\x01", contract.MaxArtifactRef)), "the types and references of the artifacts take 135609 bytes; the limit is 131072"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			h.work(config(), func(context.Context, worker.Job) (worker.Result, error) {
				return worker.Result{Value: quoted(contract.MaxInlineResult), Artifacts: tc.artifacts}, nil
			})
			h.send("job-1")
			got := h.result()
			require.Equal(t, tc.says, got.ErrorText)
			require.Equal(t, tc.says != "", got.Outcome == contract.OutcomeFailed && got.Permanent)
			h.settled()
		})
	}
}
