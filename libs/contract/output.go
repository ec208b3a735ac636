package contract

import (
	"encoding/json"
	"fmt"
)

// The outputs of a job are its result, which has the number 0, and the payloads of
// its artifacts, which are counted from 1 in their order.

const (
	// MaxOutputBytes is the most that the outputs of one job together can have; a
	// jobs service may be set to take less.
	MaxOutputBytes = 256 << 20
	// MaxOutputPart is how much of an output one part holds, in bytes. Every part but
	// the last of an output is as large.
	MaxOutputPart = 512 << 10
	// MaxArtifacts bounds the artifacts of a job.
	MaxArtifacts = 256
	// MaxArtifactNames bounds what the types and references of a job's artifacts take
	// in a message, in bytes: they travel with every report and every job.
	MaxArtifactNames = 128 << 10
)

// PutRequest hands over a part of an output that is too large for the report of a
// run. Parts may be put in any order, and again: what is there stays as it is. They
// belong to the lease, and become the job's with the report that counts.
type PutRequest struct {
	JobID      string `json:"job_id"`
	LeaseToken string `json:"lease_token"`
	// Total is the size of all outputs of the run, with those that are not put in
	// parts. Where it is above the limit the fault of the first part says so.
	Total int `json:"total"`
	// Output is the number of the output.
	Output int `json:"output"`
	// Part counts from 0.
	Part int    `json:"part"`
	Body []byte `json:"body"`
}

// PutReply answers a PutRequest.
type PutReply struct {
	// Accepted is false when the lease is no longer the worker's: nothing was kept.
	Accepted bool `json:"accepted"`
}

// OutputRequest asks for a part of an output of a job that has succeeded. The answer
// is a PayloadReply whose part ends at a multiple of MaxOutputPart, or with the output.
type OutputRequest struct {
	JobID  string `json:"job_id"`
	Output int    `json:"output"`
	Offset int    `json:"offset"`
}

// OutputParts is how many parts an output of so many bytes is put in.
func OutputParts(size int) int { return (size + MaxOutputPart - 1) / MaxOutputPart }

// FetchOutput puts an output of size bytes together; ask fetches the part that begins
// at an offset.
func FetchOutput(size int, ask func(offset int) (PayloadReply, error)) (json.RawMessage, error) {
	if size > MaxOutputBytes {
		return nil, fmt.Errorf("the output has %d bytes; the limit is %d", size, MaxOutputBytes)
	}
	return fetch("output", size, ask)
}
