package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
)

// maxShown is how much of its outputs a job is shown with.
const maxShown = 8 << 20

// quoted is a JSON string of n bytes that shows a part which is missing or out of
// place.
func quoted(n int) []byte {
	var b bytes.Buffer
	b.WriteByte('"')
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d ", i)
	}
	b.Truncate(n - 1)
	b.WriteByte('"')
	return b.Bytes()
}

// serves answers with parts of the outputs of a job.
func serves(outputs ...[]byte) answer {
	return func(data json.RawMessage) (any, error) {
		var req contract.OutputRequest
		if err := json.Unmarshal(data, &req); err != nil {
			return nil, err
		}
		if req.Output >= len(outputs) {
			return nil, fault.NotFoundf("Artifact not found")
		}
		o := outputs[req.Output]
		return contract.PayloadReply{Part: o[req.Offset:min(len(o), req.Offset+contract.MaxOutputPart)], Size: len(o)}, nil
	}
}

type shownJob struct {
	Result      json.RawMessage `json:"result"`
	ResultBytes int             `json:"result_bytes"`
	ResultRef   string          `json:"result_ref"`
	Artifacts   []struct {
		Payload json.RawMessage `json:"artifact_payload"`
		Bytes   int             `json:"artifact_bytes"`
		Ref     string          `json:"artifact_payload_ref"`
	} `json:"artifacts"`
}

func TestLargeOutputsAreShownWholeOrByReference(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		result    int
		artifacts []int
		// referred are the outputs that are only referred to.
		referred map[int]bool
	}{
		"a result":                  {1<<20 + 1, nil, nil},
		"an artifact":               {3, []int{1<<20 + 1, 3}, nil},
		"all that is shown":         {6 << 20, []int{1 << 20, 1 << 20}, nil},
		"one byte more":             {6 << 20, []int{1 << 20, 1<<20 + 1}, map[int]bool{2: true}},
		"a result that is too much": {maxShown + 1, []int{1 << 20}, map[int]bool{0: true}},
		"with small ones beside":    {maxShown - 3, []int{4}, map[int]bool{0: true}},
		"more than all":             {40 << 20, []int{3, maxShown, maxShown - 3}, map[int]bool{0: true, 2: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, g := start(t)
			outputs := [][]byte{quoted(tc.result)}
			job := contract.Job{JobSummary: contract.JobSummary{Status: contract.StatusSucceeded}}
			if job.Result = outputs[0]; tc.result > contract.MaxInlineResult {
				job.Result, job.ResultBytes = nil, tc.result
			}
			for _, n := range tc.artifacts {
				o := quoted(n)
				outputs = append(outputs, o)
				a := contract.CreatedArtifact{ArtifactPayload: o}
				if n > contract.MaxInlineResult {
					a.ArtifactPayload, a.PayloadBytes = nil, n
				}
				job.Artifacts = append(job.Artifacts, a)
			}
			w.answer(contract.RPCJobsGet, always(job))
			w.answer(contract.RPCJobsOutput, serves(outputs...))
			id := uuid.NewString()
			var got shownJob
			viewer := g.role(identity.Viewer)
			viewer.send(http.MethodGet, "/api/v1/jobs/"+id, "").is(http.StatusOK, &got)
			shown, refs := []json.RawMessage{got.Result}, []string{got.ResultRef}
			for _, a := range got.Artifacts {
				shown, refs = append(shown, a.Payload), append(refs, a.Ref)
			}
			for i, want := range outputs {
				path := fmt.Sprintf("/api/v1/jobs/%s/artifacts/%d", id, i)
				if i == 0 {
					path = "/api/v1/jobs/" + id + "/result"
				}
				if tc.referred[i] {
					require.Equal(t, path, refs[i])
					require.Equal(t, "null", string(shown[i]))
				} else {
					require.Empty(t, refs[i])
					require.True(t, bytes.Equal(want, shown[i]), "output %d is another one", i)
				}
				r := viewer.send(http.MethodGet, path, "")
				require.Equal(t, http.StatusOK, r.status)
				require.Equal(t, "application/json", r.header.Get("Content-Type"))
				require.Equal(t, strconv.Itoa(len(want)), r.header.Get("Content-Length"))
				require.True(t, bytes.Equal(want, r.body), "output %d is another one", i)
			}
		})
	}
}

// A route that waits for a job and answers with its result has it whole.
func TestWaitedResultsAreWhole(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	result := contract.IngestBatchResult{IngestJobID: uuid.NewString(), Status: contract.IngestCompleted, Warnings: []string{string(quoted(2 << 20))}, Errors: []string{}}
	encoded, err := contract.Encode(result)
	require.NoError(t, err)
	w.answer(contract.RPCJobsOutput, serves(encoded))
	w.answer(contract.RPCJobsGet, always(contract.Job{JobSummary: contract.JobSummary{Status: contract.StatusSucceeded}, ResultBytes: len(encoded)}))
	w.judges(func(sub contract.Submission) (contract.SubmitVerdict, bool) {
		w.finish(sub.JobID, contract.StatusSucceeded)
		return queued(sub)
	})
	var got contract.IngestBatchResult
	g.role(identity.Operator).send(http.MethodPost, "/api/v1/ingest/batch", `{}`).is(http.StatusOK, &got)
	require.Equal(t, result.Warnings, got.Warnings)
}

func TestOutputsThatAreNotThere(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	viewer := g.role(identity.Viewer)
	id := uuid.NewString()
	path := "/api/v1/jobs/" + id + "/result"
	w.answer(contract.RPCJobsOutput, refuses(fault.NotFoundf("Job not found")))
	viewer.send(http.MethodGet, path, "").fails(http.StatusNotFound, "not_found")
	w.answer(contract.RPCJobsOutput, always(contract.PayloadReply{}))
	viewer.send(http.MethodGet, path, "").fails(http.StatusNotFound, "not_found")
	w.answer(contract.RPCJobsOutput, refuses(fault.Unavailablef("Postgres does not answer.")))
	viewer.send(http.MethodGet, path, "").fails(http.StatusServiceUnavailable, "unavailable")
	w.answer(contract.RPCJobsOutput, refuses(errors.New("odd")))
	viewer.send(http.MethodGet, path, "").fails(http.StatusInternalServerError, "internal")
	for _, number := range []string{"0", "257", "-1", "x", "1.5"} {
		r := viewer.send(http.MethodGet, "/api/v1/jobs/"+id+"/artifacts/"+number, "")
		require.Contains(t, []int{http.StatusNotFound, http.StatusUnprocessableEntity}, r.status, number)
	}
	viewer.send(http.MethodGet, "/api/v1/jobs/nonsense/result", "").fails(http.StatusNotFound, "not_found")
}

// An answer that breaks off is shorter than it says.
func TestOutputsThatBreakOff(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	whole := quoted(contract.MaxOutputPart + 100<<10)
	for name, broken := range map[string]answer{
		"deleted meanwhile": refuses(fault.NotFoundf("Job not found")),
		"another one":       always(contract.PayloadReply{Part: []byte("1"), Size: 1}),
		"nothing more":      always(contract.PayloadReply{Size: len(whole)}),
		"more than it said": always(contract.PayloadReply{Part: whole[:200<<10], Size: len(whole)}),
	} {
		w.answer(contract.RPCJobsOutput, func(data json.RawMessage) (any, error) {
			var req contract.OutputRequest
			if err := json.Unmarshal(data, &req); err != nil || req.Offset > 0 {
				return broken(data)
			}
			return serves(whole)(data)
		})
		err := g.role(identity.Viewer).try(http.MethodGet, "/api/v1/jobs/"+uuid.NewString()+"/result", "").err
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, name)
	}
}
