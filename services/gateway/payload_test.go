package gateway_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
)

// A payload that does not fit a message is shown whole, put together of parts;
// where a part is missing nothing is shown in its place.
func TestLargePayloadsAreShownWhole(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	var text strings.Builder
	for i := 0; text.Len() < 2*contract.MaxPayloadPart+1000; i++ {
		fmt.Fprintf(&text, "%d ü ", i)
	}
	payload, err := json.Marshal(map[string]string{"text": text.String()})
	require.NoError(t, err)
	w.answer(contract.RPCJobsGet, always(contract.Job{JobSummary: contract.JobSummary{Status: contract.StatusSucceeded}, PayloadBytes: len(payload)}))
	part := func(data json.RawMessage) (contract.PayloadReply, error) {
		var req contract.PayloadRequest
		err := json.Unmarshal(data, &req)
		return contract.PayloadReply{Part: payload[req.Offset:min(len(payload), req.Offset+contract.MaxPayloadPart)], Size: len(payload)}, err
	}
	w.answer(contract.RPCJobsPayload, func(data json.RawMessage) (any, error) { return part(data) })
	id := uuid.NewString()
	read := func() reply { return g.role(identity.Viewer).send(http.MethodGet, "/api/v1/jobs/"+id, "") }
	var job struct {
		Payload map[string]string `json:"payload"`
	}
	read().is(http.StatusOK, &job)
	require.Equal(t, sha256.Sum256([]byte(text.String())), sha256.Sum256([]byte(job.Payload["text"])), "it is another payload")
	var offsets []int
	for _, data := range w.requests(contract.RPCJobsPayload) {
		var req contract.PayloadRequest
		require.NoError(t, json.Unmarshal(data, &req))
		require.Equal(t, id, req.JobID)
		offsets = append(offsets, req.Offset)
	}
	require.Equal(t, []int{0, contract.MaxPayloadPart, 2 * contract.MaxPayloadPart}, offsets)

	w.answer(contract.RPCJobsPayload, func(data json.RawMessage) (any, error) {
		reply, err := part(data)
		reply.Size++
		return reply, err
	})
	read().fails(http.StatusInternalServerError, "internal")
	w.answer(contract.RPCJobsPayload, always(contract.PayloadReply{Size: len(payload)}))
	read().fails(http.StatusInternalServerError, "internal")
	// The job was deleted between two parts.
	w.answer(contract.RPCJobsPayload, refuses(fault.NotFoundf("Job not found")))
	read().fails(http.StatusNotFound, "not_found")
}
