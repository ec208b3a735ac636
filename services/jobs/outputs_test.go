package jobs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
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

// output reads an output of a job whole.
func (h *harness) output(id string, number, size int) json.RawMessage {
	h.t.Helper()
	data, err := contract.FetchOutput(size, func(offset int) (contract.PayloadReply, error) {
		return bus.Call[contract.PayloadReply](h.t.Context(), h.nc, contract.RPCJobsOutput, contract.OutputRequest{JobID: id, Output: number, Offset: offset})
	})
	require.NoError(h.t, err)
	return data
}

// parts counts the parts there are of a job, and how many of them are kept.
func (h *harness) parts(id string) (all, kept int) {
	h.t.Helper()
	require.NoError(h.t, h.db.Pool.QueryRow(h.t.Context(), `SELECT count(*), count(*) FILTER (WHERE kept) FROM jobs.output_parts WHERE job_id = $1`, id).Scan(&all, &kept))
	return all, kept
}

func (h *harness) put(lease contract.LeaseRef, output, part int, body []byte) (contract.PutReply, error) {
	h.t.Helper()
	return bus.Call[contract.PutReply](h.t.Context(), h.nc, contract.RPCJobsPut, contract.PutRequest{
		JobID: lease.JobID, LeaseToken: lease.LeaseToken, Total: len(body), Output: output, Part: part, Body: body,
	})
}

// putAll puts an output in parts.
func (h *harness) putAll(lease contract.LeaseRef, output int, body []byte) {
	h.t.Helper()
	for part := range contract.OutputParts(len(body)) {
		begin := part * contract.MaxOutputPart
		reply, err := h.put(lease, output, part, body[begin:min(len(body), begin+contract.MaxOutputPart)])
		require.NoError(h.t, err)
		require.True(h.t, reply.Accepted)
	}
}

func (h *harness) finishLarge(name string, r contract.RunResult) contract.FinishVerdict {
	h.t.Helper()
	reply, err := bus.Call[contract.FinishReply](h.t.Context(), h.nc, contract.RPCJobsFinishLarge, contract.FinishRequest{Worker: name, Results: []contract.RunResult{r}})
	require.NoError(h.t, err)
	return reply.Verdicts[0]
}

// running submits a job and claims it, for as long as a busy machine takes.
func (h *harness) running(name string) contract.LeaseRef {
	h.t.Helper()
	sub := submission(contract.JobAnalyze)
	require.Empty(h.t, h.submit(sub).Code)
	lease := ref(sub.JobID)
	require.Len(h.t, h.claim(name, lease).Granted, 1)
	h.expires(lease, "1 hour")
	return lease
}

// expires sets when a lease runs out, from now.
func (h *harness) expires(lease contract.LeaseRef, in string) {
	h.t.Helper()
	tag, err := h.db.Pool.Exec(h.t.Context(), `UPDATE jobs.jobs SET lease_expires_at = now() + $2::interval WHERE id = $1 AND lease_token = $3`, lease.JobID, in, lease.LeaseToken)
	require.NoError(h.t, err)
	require.EqualValues(h.t, 1, tag.RowsAffected(), "the lease is gone")
	_, err = h.db.Pool.Exec(h.t.Context(), `UPDATE jobs.claims SET look_at = now() + $1::interval`, in)
	require.NoError(h.t, err)
}

func success(lease contract.LeaseRef, bytes int) contract.RunResult {
	return contract.RunResult{JobID: lease.JobID, LeaseToken: lease.LeaseToken, Outcome: contract.OutcomeSucceeded, ResultBytes: bytes}
}

func TestLargeOutputsAreReadBackWhole(t *testing.T) {
	t.Parallel()
	const limit = contract.MaxInlineResult
	h := start(t)
	makes := map[string]func() worker.Result{}
	h.work("w", func(_ context.Context, job worker.Job) (worker.Result, error) { return makes[job.ID](), nil })
	type made struct {
		result    int
		artifacts []int
		// parts is how many parts are kept of it.
		parts int
	}
	for name, tc := range map[string]made{
		"small":              {result: 3, artifacts: []int{3, 3}},
		"one byte less":      {result: limit - 1, artifacts: []int{limit - 1}},
		"at the limit":       {result: limit, artifacts: []int{limit}},
		"one byte more":      {result: limit + 1, artifacts: []int{limit + 1}, parts: 2},
		"together":           {result: limit, artifacts: []int{limit / 2, limit, limit / 2}, parts: 1},
		"above the message":  {result: 1<<20 + 1, artifacts: []int{2, 3 << 20, 2}, parts: 3 + 6},
		"at the whole limit": {result: 4 << 20, artifacts: []int{2 << 20, 2 << 20}, parts: 16},
	} {
		sub := submission(contract.JobAnalyze)
		outputs := []json.RawMessage{quoted(tc.result)}
		var artifacts []contract.Artifact
		for i, n := range tc.artifacts {
			outputs = append(outputs, quoted(n))
			artifacts = append(artifacts, contract.Artifact{Type: fmt.Sprintf("a%d", i), Ref: "r", Payload: outputs[i+1]})
		}
		makes[sub.JobID] = func() worker.Result { return worker.Result{Value: outputs[0], Artifacts: artifacts} }
		require.Empty(t, h.submit(sub).Code)
		job := h.reaches(sub.JobID, contract.StatusSucceeded)
		all, kept := h.parts(sub.JobID)
		require.Equal(t, []int{tc.parts, tc.parts}, []int{all, kept}, name)
		shown, sizes := []json.RawMessage{job.Result}, []int{job.ResultBytes}
		require.Len(t, job.Artifacts, len(artifacts))
		for i, a := range job.Artifacts {
			require.Equal(t, artifacts[i].Type, a.ArtifactType)
			require.Equal(t, "r", *a.ArtifactRef)
			shown, sizes = append(shown, a.ArtifactPayload), append(sizes, a.PayloadBytes)
		}
		for number, want := range outputs {
			require.True(t, bytes.Equal(want, h.output(sub.JobID, number, len(want))), "%s: output %d is another one", name, number)
			if sizes[number] > 0 {
				require.Equal(t, len(want), sizes[number], name)
				require.Equal(t, "null", string(shown[number]), name)
			} else {
				require.True(t, bytes.Equal(want, shown[number]), "%s: output %d is another one", name, number)
			}
		}
	}
}

// Jobs whose outputs fit a message, lists, and reads of single jobs have nothing to do
// with parts.
func TestSmallOutputsHaveNothingToDoWithParts(t *testing.T) {
	t.Parallel()
	h := start(t)
	large := h.running("w")
	h.putAll(large, 0, quoted(2<<20))
	require.True(t, h.finishLarge("w", success(large, 2<<20)).Accepted)
	_, err := h.db.Pool.Exec(t.Context(), `ALTER TABLE jobs.output_parts RENAME TO away`)
	require.NoError(t, err)
	h.work("w", done)
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	require.JSONEq(t, `{"answer":42}`, string(h.reaches(sub.JobID, contract.StatusSucceeded).Result))
	require.Equal(t, 2<<20, h.get(large.JobID).ResultBytes)
	list, err := bus.Call[contract.ListJobsReply](t.Context(), h.nc, contract.RPCJobsList, contract.ListJobsRequest{Limit: 10})
	require.NoError(t, err)
	require.Len(t, list.Jobs, 2)
}

func TestOutputsAboveTheLimitFailTheJobAtOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	stop := h.work("w", func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{Value: quoted(8<<20 - 2), Artifacts: []contract.Artifact{{Type: "a", Payload: quoted(3)}}}, nil
	})
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	job := h.reaches(sub.JobID, contract.StatusFailed)
	require.Equal(t, "The result and the artifacts of the job have 8388609 bytes; the limit is 8388608.", *job.ErrorText)
	require.Equal(t, string(fault.TooLarge), *job.ErrorKind)
	require.Len(t, job.Attempts, 1)
	require.Empty(t, job.Artifacts)
	all, _ := h.parts(sub.JobID)
	require.Zero(t, all)

	stop()
	// Whoever says less than there is is told no later.
	lease := h.running("w2")
	part := bytes.Repeat([]byte("1"), contract.MaxOutputPart)
	for n := range 16 {
		reply, err := h.put(lease, n, 0, part)
		require.NoError(t, err)
		require.True(t, reply.Accepted)
	}
	_, err := h.put(lease, 16, 0, []byte("1"))
	require.Equal(t, fault.TooLarge, fault.KindOf(err))
	reply, err := h.put(lease, 15, 0, part)
	require.NoError(t, err, "what is there may be put again")
	require.True(t, reply.Accepted)
	for name, change := range map[string]func(*contract.RunResult){
		"one too large":     func(r *contract.RunResult) { r.ResultBytes = 1 << 40 },
		"too large in all":  func(r *contract.RunResult) { r.Artifacts = []contract.Artifact{{Type: "a", PayloadBytes: 8 << 20}} },
		"too many":          func(r *contract.RunResult) { r.Artifacts = make([]contract.Artifact, contract.MaxArtifacts+1) },
		"less than nothing": func(r *contract.RunResult) { r.ResultBytes = -1 },
		"both":              func(r *contract.RunResult) { r.Result = json.RawMessage("1") },
	} {
		lease := h.running("w2")
		h.putAll(lease, 0, quoted(1<<20))
		r := success(lease, 1<<20)
		change(&r)
		require.Equal(t, contract.StatusFailed, h.finishLarge("w2", r).Status, name)
	}
}

// A worker that dies between two parts, or before its report, loses nothing but the
// attempt: the next has parts of its own, and those of the first go.
func TestPartsOfADeadWorkerAreNobodys(t *testing.T) {
	t.Parallel()
	h := start(t)
	dead := h.running("dead")
	// It was not at the same place when it died, and the run not the same.
	h.putAll(dead, 0, quoted(2<<20))
	h.putAll(dead, 1, quoted(contract.MaxOutputPart))
	h.expires(dead, "0")
	alive := contract.LeaseRef{JobID: dead.JobID, LeaseToken: uuid.NewString()}
	testkit.Eventually(t, func() bool { return len(h.claim("alive", alive).Granted) == 1 }, "the job was not recovered")
	h.expires(alive, "1 hour")
	reply, err := h.put(dead, 1, 1, []byte("1"))
	require.NoError(t, err)
	require.False(t, reply.Accepted, "a worker without a lease puts nothing")
	want := append([]byte(" "), quoted(1<<20)...)
	h.putAll(alive, 0, want)
	require.False(t, h.finishLarge("dead", success(dead, 2<<20)).Accepted)
	verdict := h.finishLarge("alive", success(alive, len(want)))
	require.True(t, verdict.Accepted)
	require.Equal(t, contract.StatusSucceeded, verdict.Status)
	require.True(t, bytes.Equal(want, h.output(dead.JobID, 0, len(want))))

	// A service that starts sweeps first.
	all, kept := h.parts(dead.JobID)
	require.Equal(t, []int{8, 3}, []int{all, kept})
	held := h.running("held")
	h.putAll(held, 0, quoted(1<<20))
	h.service(config())
	testkit.Eventually(t, func() bool { all, _ := h.parts(dead.JobID); return all == kept }, "the parts of the dead worker are there")
	all, _ = h.parts(held.JobID)
	require.Equal(t, 2, all, "a run that goes on keeps what it has put")
}

func TestReportsOfLargeOutputsAreIdempotent(t *testing.T) {
	t.Parallel()
	h := start(t)
	lease := h.running("w")
	want := quoted(1 << 20)
	for range 2 {
		h.putAll(lease, 0, want)
	}
	h.putAll(lease, 2, want)
	r := success(lease, len(want))
	r.Artifacts = []contract.Artifact{{Type: "a", Payload: json.RawMessage("1")}, {Type: "b", PayloadBytes: len(want)}}
	for range 3 {
		verdict := h.finishLarge("w", r)
		require.True(t, verdict.Accepted)
		require.Equal(t, contract.StatusSucceeded, verdict.Status)
	}
	job := h.get(lease.JobID)
	require.Len(t, job.Artifacts, 2)
	require.Len(t, job.Attempts, 1)
	reply, err := h.put(lease, 0, 0, []byte("another"))
	require.NoError(t, err)
	require.False(t, reply.Accepted, "a finished job never changes")
	require.True(t, bytes.Equal(want, h.output(lease.JobID, 0, len(want))))
	require.True(t, bytes.Equal(want, h.output(lease.JobID, 2, len(want))))
	require.Equal(t, "1", string(h.output(lease.JobID, 1, 1)))
}

func TestCancelledJobsKeepNoOutputs(t *testing.T) {
	t.Parallel()
	h := start(t)
	lease := h.running("w")
	want := quoted(1 << 20)
	h.putAll(lease, 0, want)
	_, err := bus.Call[contract.Job](t.Context(), h.nc, contract.RPCJobsCancel, contract.JobRequest{JobID: lease.JobID, Actor: "bob"})
	require.NoError(t, err)
	reply, err := h.put(lease, 0, 0, want[:contract.MaxOutputPart])
	require.NoError(t, err)
	require.False(t, reply.Accepted)
	verdict := h.finishLarge("w", success(lease, len(want)))
	require.False(t, verdict.Accepted)
	require.Equal(t, contract.StatusCancelled, verdict.Status)
	require.Zero(t, h.get(lease.JobID).ResultBytes)
	h.service(config())
	testkit.Eventually(t, func() bool { all, _ := h.parts(lease.JobID); return all == 0 }, "its parts are there")
}

// A report of outputs that are not there, or that nobody could read, is one of a run
// that has failed.
func TestOutputsAreLookedThrough(t *testing.T) {
	t.Parallel()
	h := start(t)
	const size = contract.MaxOutputPart + 100
	whole := quoted(size)
	for name, tc := range map[string]struct {
		put  func(contract.LeaseRef)
		says string
		want contract.Status
	}{
		"nothing":       {func(contract.LeaseRef) {}, "a part of the result or of an artifact is missing", contract.StatusRetryWait},
		"the last part": {func(l contract.LeaseRef) { h.putAll(l, 0, whole[:contract.MaxOutputPart]) }, "a part of the result or of an artifact is missing", contract.StatusRetryWait},
		"another size":  {func(l contract.LeaseRef) { h.putAll(l, 0, whole[:size-1]) }, "a part of the result or of an artifact is missing", contract.StatusRetryWait},
		"odd parts": {func(l contract.LeaseRef) {
			for part, body := range [][]byte{whole[:100], whole[100:]} {
				reply, err := h.put(l, 0, part, body)
				require.NoError(t, err)
				require.True(t, reply.Accepted)
			}
		}, "a part of the result or of an artifact is missing", contract.StatusRetryWait},
		"no JSON":  {func(l contract.LeaseRef) { h.putAll(l, 0, bytes.Repeat([]byte("["), size)) }, "the result or an artifact is not JSON", contract.StatusFailed},
		"no UTF-8": {func(l contract.LeaseRef) { h.putAll(l, 0, bytes.Repeat([]byte{0xff}, size)) }, "the result or an artifact holds characters that cannot be stored", contract.StatusFailed},
		"NUL":      {func(l contract.LeaseRef) { h.putAll(l, 0, make([]byte, size)) }, "the result or an artifact is not JSON", contract.StatusFailed},
		"whole":    {func(l contract.LeaseRef) { h.putAll(l, 0, whole) }, "", contract.StatusSucceeded},
	} {
		lease := h.running("w")
		tc.put(lease)
		require.Equal(t, tc.want, h.finishLarge("w", success(lease, size)).Status, name)
		job := h.get(lease.JobID)
		if tc.says == "" {
			require.Nil(t, job.ErrorText)
			continue
		}
		require.Equal(t, tc.says, *job.ErrorText, name)
	}
}

func TestPutAndOutputRefuseNonsense(t *testing.T) {
	t.Parallel()
	h := start(t)
	lease := h.running("w")
	for name, tc := range map[string]struct {
		output, part int
		body         []byte
	}{
		"no output":       {-1, 0, []byte("1")},
		"output too high": {contract.MaxArtifacts + 1, 0, []byte("1")},
		"no part":         {0, -1, []byte("1")},
		"part too high":   {0, 16, []byte("1")},
		"nothing in it":   {0, 0, nil},
		"too much in it":  {0, 0, make([]byte, contract.MaxOutputPart+1)},
	} {
		_, err := h.put(lease, tc.output, tc.part, tc.body)
		require.Equal(t, fault.Invalid, fault.KindOf(err), name)
	}
	for _, lease := range []contract.LeaseRef{{JobID: "x", LeaseToken: lease.LeaseToken}, {JobID: lease.JobID, LeaseToken: "x"}} {
		_, err := h.put(lease, 0, 0, []byte("1"))
		require.Equal(t, fault.Invalid, fault.KindOf(err))
	}
	for _, lease := range []contract.LeaseRef{ref(uuid.NewString()), ref(lease.JobID)} {
		reply, err := h.put(lease, 0, 0, []byte("1"))
		require.NoError(t, err)
		require.False(t, reply.Accepted)
	}
	for name, tc := range map[string]struct {
		req  contract.OutputRequest
		want fault.Kind
	}{
		"no id":           {contract.OutputRequest{JobID: "x"}, fault.Unprocessable},
		"no job":          {contract.OutputRequest{JobID: uuid.NewString()}, fault.NotFound},
		"no artifact":     {contract.OutputRequest{JobID: lease.JobID, Output: 1}, fault.NotFound},
		"no output":       {contract.OutputRequest{JobID: lease.JobID, Output: -1}, fault.Unprocessable},
		"output too high": {contract.OutputRequest{JobID: lease.JobID, Output: contract.MaxArtifacts + 1}, fault.Unprocessable},
		"before it":       {contract.OutputRequest{JobID: lease.JobID, Offset: -1}, fault.Unprocessable},
		"far behind it":   {contract.OutputRequest{JobID: lease.JobID, Offset: contract.MaxOutputBytes + 1}, fault.Unprocessable},
	} {
		_, err := bus.Call[contract.PayloadReply](t.Context(), h.nc, contract.RPCJobsOutput, tc.req)
		require.Equal(t, tc.want, fault.KindOf(err), name)
	}
	reply, err := bus.Call[contract.PayloadReply](t.Context(), h.nc, contract.RPCJobsOutput, contract.OutputRequest{JobID: lease.JobID})
	require.NoError(t, err, "a job that has no result")
	require.Equal(t, contract.PayloadReply{}, reply)
}

// A job with everything as large as may be is read all the same.
func TestJobsFitTheirMessage(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.lease = time.Minute // what is made between a claim and its finish takes its time
	h.service(config())
	sub := submission(contract.JobAnalyze)
	sub.MaxAttempts = 10
	sub.Payload = json.RawMessage(`{"text":` + string(quoted(contract.MaxInlinePayload-9)) + `}`)
	h.sendAtomic(contract.MaxCommandPart, sub)
	require.Empty(t, testkit.Receive(t, h.inbox).Code)
	hostile := string(bytes.Repeat([]byte("\x01"), contract.MaxErrorText))
	for range 9 {
		lease := ref(sub.JobID)
		require.Len(t, h.claim("w", lease).Granted, 1)
		h.finish("w", contract.RunResult{JobID: lease.JobID, LeaseToken: lease.LeaseToken, Outcome: contract.OutcomeFailed, ErrorText: hostile, RetryAfterMS: 1})
		testkit.Eventually(t, func() bool {
			var due bool
			return h.db.Pool.QueryRow(t.Context(), `SELECT dispatched_at IS NOT NULL FROM jobs.jobs WHERE id = $1`, sub.JobID).Scan(&due) == nil && due
		}, "the job is not tried again")
	}
	lease := ref(sub.JobID)
	require.Len(t, h.claim("w", lease).Granted, 1)
	r := success(lease, 0)
	r.Result = quoted(contract.MaxInlineResult)
	var total int
	for i := range contract.MaxArtifacts {
		r.Artifacts = append(r.Artifacts, contract.Artifact{Type: "a", Ref: fmt.Sprintf("%0200d", i), Payload: quoted(contract.MaxInlineResult / contract.MaxArtifacts)})
		total += contract.MaxInlineResult / contract.MaxArtifacts
	}
	require.True(t, h.finish("w", r).Verdicts[0].Accepted)
	job := h.get(sub.JobID)
	require.Len(t, job.Attempts, 10)
	require.Len(t, job.Artifacts, contract.MaxArtifacts)
	for i, a := range job.Artifacts {
		if a.PayloadBytes > 0 {
			require.True(t, bytes.Equal(r.Artifacts[i].Payload, h.output(sub.JobID, i+1, a.PayloadBytes)))
			total -= a.PayloadBytes
		} else {
			total -= len(a.ArtifactPayload)
		}
	}
	require.Zero(t, total)
}
