package httpapi

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
)

// maxShown is how much the outputs of a job, which are its result and its artifacts,
// may have together where the job is shown, in bytes. What does not fit is read by its
// own route.
const maxShown = 8 << 20

// part asks for a part of an output.
func (s *Server) part(ctx context.Context, id string, output, offset int) (contract.PayloadReply, error) {
	return bus.Call[contract.PayloadReply](ctx, s.deps.NC, contract.RPCJobsOutput, contract.OutputRequest{JobID: id, Output: output, Offset: offset})
}

// complete fetches what of a job did not travel with it, as far as it is shown.
func (s *Server) complete(ctx context.Context, id string, job *contract.Job) error {
	var err error
	if job.PayloadBytes > 0 {
		job.Payload, err = contract.FetchPayload(job.PayloadBytes, func(offset int) (contract.PayloadReply, error) {
			return bus.Call[contract.PayloadReply](ctx, s.deps.NC, contract.RPCJobsPayload, contract.PayloadRequest{JobID: id, Offset: offset})
		})
		if err != nil {
			return err
		}
	}
	return s.completeOutputs(ctx, id, job)
}

func (s *Server) completeOutputs(ctx context.Context, id string, job *contract.Job) error {
	room := maxShown
	if job.ResultBytes == 0 {
		room -= len(job.Result)
	}
	for _, a := range job.Artifacts {
		if a.PayloadBytes == 0 {
			room -= len(a.ArtifactPayload)
		}
	}
	var err error
	switch size := job.ResultBytes; {
	case size > room:
		job.ResultRef = outputPath(id, 0)
	case size > 0:
		room -= size
		if job.Result, err = s.output(ctx, id, 0, size); err != nil {
			return err
		}
	}
	for i := range job.Artifacts {
		a := &job.Artifacts[i]
		switch size := a.PayloadBytes; {
		case size > room:
			a.PayloadRef = outputPath(id, i+1)
		case size > 0:
			room -= size
			if a.ArtifactPayload, err = s.output(ctx, id, i+1, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// output puts an output together.
func (s *Server) output(ctx context.Context, id string, number, size int) ([]byte, error) {
	return contract.FetchOutput(size, func(offset int) (contract.PayloadReply, error) { return s.part(ctx, id, number, offset) })
}

// outputPath is where an output is read by itself.
func outputPath(id string, number int) string {
	if number == 0 {
		return "/api/v1/jobs/" + id + "/result"
	}
	return "/api/v1/jobs/" + id + "/artifacts/" + strconv.Itoa(number)
}

func (s *Server) jobResult(ctx context.Context, in *byID) (*huma.StreamResponse, error) {
	return s.streamOutput(ctx, in.ID, 0)
}

type artifactInput struct {
	ID     string `path:"id" format:"uuid" doc:"The id."`
	Number int    `path:"number" minimum:"1" maximum:"256" doc:"Which of the job's artifacts, from 1, in their order."`
}

func (s *Server) jobArtifact(ctx context.Context, in *artifactInput) (*huma.StreamResponse, error) {
	return s.streamOutput(ctx, in.ID, in.Number)
}

// streamOutput answers with an output as it was made, of any size, holding one part of
// it at a time. The first is asked for before the answer begins, so that what is
// refused is refused with a status.
func (s *Server) streamOutput(ctx context.Context, id string, number int) (*huma.StreamResponse, error) {
	first, err := s.part(ctx, id, number, 0)
	if err == nil && first.Size == 0 {
		err = fault.NotFoundf("The job has no such output")
	}
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "application/json")
		hc.SetStatus(http.StatusOK)
		raw := humafiber.Unwrap(hc).Context()
		// The context of the request is recycled before all is written.
		raw.SetBodyStream(&outputReader{
			server: s, ctx: context.WithoutCancel(hc.Context()), requestID: requestIDOf(hc.Context()), conn: raw.Conn(), patience: s.opts.ReadWhole,
			id: id, number: number, next: first.Part, size: first.Size,
		}, first.Size)
	}}, nil
}

// outputReader reads an output part by part. A client sees by the length of the answer
// that something is missing.
type outputReader struct {
	server    *Server
	ctx       context.Context //nolint:containedctx // a reader is asked without one
	requestID string
	conn      net.Conn
	// patience is how long the client may take with one part.
	patience time.Duration
	id       string
	number   int
	next     []byte
	// offset is how much of size bytes was handed out.
	offset, size int
}

// Read implements io.Reader.
func (r *outputReader) Read(p []byte) (int, error) {
	if r.offset == r.size {
		return 0, io.EOF
	}
	if len(r.next) == 0 {
		if err := r.fetch(); err != nil {
			r.server.log.Warn().Err(err).Str(telemetry.FieldRequestID, r.requestID).Str(telemetry.FieldJobID, r.id).Msg("an output was cut short")
			return 0, err
		}
	}
	n := copy(p, r.next)
	r.next, r.offset = r.next[n:], r.offset+n
	return n, nil
}

func (r *outputReader) fetch() error {
	reply, err := r.server.part(r.ctx, r.id, r.number, r.offset)
	if err != nil {
		return fmt.Errorf("read an output from byte %d: %w", r.offset, err)
	}
	if len(reply.Part) == 0 || reply.Size != r.size || r.offset+len(reply.Part) > r.size {
		return fmt.Errorf("the output has %d bytes, not the %d it should have", reply.Size, r.size)
	}
	r.next = reply.Part
	if err := r.conn.SetWriteDeadline(time.Now().Add(r.patience)); err != nil {
		return fmt.Errorf("give the client time for another part: %w", err)
	}
	return nil
}

func (s *Server) outputRoutes() {
	const tag = "Jobs"
	answer := map[string]*huma.Response{"200": {
		Description: "The JSON as the job made it.",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{}, Example: map[string]any{"documents_ingested": 1}}},
	}}
	errors := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	register(s, route{
		method: http.MethodGet, path: "/api/v1/jobs/{id}/result", id: "get-job-result", summary: "Read the result of a job, however large", tag: tag,
		errors: errors, responses: answer,
	}, s.jobResult)
	register(s, route{
		method: http.MethodGet, path: "/api/v1/jobs/{id}/artifacts/{number}", id: "get-job-artifact", summary: "Read the payload of an artifact, however large", tag: tag,
		errors: errors, responses: answer,
	}, s.jobArtifact)
}
