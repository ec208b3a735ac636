package httpapi

import (
	"bufio"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/services/gateway/internal/eventstream"
)

const eventStreamType = "text/event-stream"

// Resume says behind which event a stream begins. It is exported because huma
// passes over embedded structs that are not.
type Resume struct {
	Header string `header:"Last-Event-ID" maxLength:"64" doc:"Begin right after the event with this id."`
	Query  string `query:"last_event_id" maxLength:"64" doc:"The same, for clients that cannot set the header; the header wins."`
}

// position is nil where the client names no event.
func (r Resume) position() (*eventstream.Position, error) {
	id := r.Header
	if id == "" {
		id = r.Query
	}
	if id == "" {
		return nil, nil //nolint:nilnil // no place is an answer
	}
	p, err := eventstream.ParsePosition(id)
	if err != nil {
		return nil, fault.Unprocessablef("Last-Event-ID: %v", err)
	}
	return &p, nil
}

type jobEventsInput struct {
	ID string `path:"id" format:"uuid" doc:"The id."`
	Resume
}

type eventsInput struct {
	Resume
	Area      string `query:"area" maxLength:"64" pattern:"^[A-Za-z0-9_-]*$" doc:"Only events of this area: job or submit; for admins any, such as auth."`
	What      string `query:"what" maxLength:"64" pattern:"^[A-Za-z0-9_-]*$" doc:"Only events of this kind, such as succeeded or progress."`
	Status    string `query:"status" enum:"queued,running,retry_wait,succeeded,failed,cancelled" doc:"Only jobs that reach this state; the same as what, in the area job."`
	JobType   string `query:"job_type" maxLength:"64" pattern:"^[A-Za-z0-9_-]*$" doc:"Only events of jobs of this type."`
	Owner     string `query:"owner" maxLength:"64" doc:"Only events of jobs that this owner made, or that this owner caused."`
	CreatedBy string `query:"created_by" maxLength:"64" doc:"The same as owner."`
}

// openAreas are the areas that everybody may follow; the others say who may do
// what, and are for admins.
func openAreas() []string { return []string{contract.AreaJob, contract.AreaSubmit} }

// filter is what a caller wants of what the caller may see.
func (in *eventsInput) filter(caller identity.Caller) (eventstream.Filter, error) {
	f := eventstream.Filter{What: in.What, JobType: in.JobType, Owner: in.Owner}
	area := in.Area
	if in.CreatedBy != "" {
		if f.Owner != "" && f.Owner != in.CreatedBy {
			return f, fault.Unprocessablef("owner and created_by contradict each other")
		}
		f.Owner = in.CreatedBy
	}
	if in.Status != "" {
		if f.What != "" && f.What != in.Status || area != "" && area != contract.AreaJob {
			return f, fault.Unprocessablef("status contradicts area or what")
		}
		f.What, area = in.Status, contract.AreaJob
	}
	if in.JobType != "" {
		if area != "" && area != contract.AreaJob {
			return f, fault.Unprocessablef("job_type selects events of the area job only")
		}
		area = contract.AreaJob
	}
	switch admin := caller.Role.Allows(identity.Admin); {
	case area == "" && !admin:
		f.Areas = openAreas()
	case area == "":
	case !admin && area != contract.AreaJob && area != contract.AreaSubmit:
		return f, fault.Forbiddenf("Events of the area '%s' are for admins", area)
	default:
		f.Areas = []string{area}
	}
	return f, nil
}

// events streams what happens on the platform.
func (s *Server) events(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	return s.stream(ctx, in.Resume, func(caller identity.Caller, from *eventstream.Position) (*eventstream.Stream, error) {
		filter, err := in.filter(caller)
		if err != nil {
			return nil, err
		}
		return s.deps.Events.Open(ctx, filter, from)
	})
}

// jobEvents streams the life of one job up to its end.
func (s *Server) jobEvents(ctx context.Context, in *jobEventsInput) (*huma.StreamResponse, error) {
	get := func(ctx context.Context) (contract.Job, error) { return s.findJob(ctx, in.ID) }
	return s.stream(ctx, in.Resume, func(_ identity.Caller, from *eventstream.Position) (*eventstream.Stream, error) {
		job, err := get(ctx)
		if err != nil {
			return nil, err
		}
		return s.deps.Events.OpenJob(ctx, job.JobType, in.ID, from, get)
	})
}

// stream opens an event stream and answers with it. Everything that can be
// refused is refused before the answer begins.
func (s *Server) stream(
	ctx context.Context, resume Resume, open func(identity.Caller, *eventstream.Position) (*eventstream.Stream, error),
) (*huma.StreamResponse, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	from, err := resume.position()
	if err != nil {
		return nil, err
	}
	leave, err := s.clients.Admit(caller.KeyID)
	if err != nil {
		s.measures.refusals.Add(1, limitStreams)
		return nil, err
	}
	opened, err := open(caller, from)
	if err != nil {
		if opened != nil {
			opened.Close()
		}
		leave()
		if fault.KindOf(err) == fault.Internal {
			err = fault.Wrap(fault.Unavailable, err, "Events cannot be read now.")
		}
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) { s.writeStream(hc, opened, leave) }}, nil
}

// writeStream hands the connection over to the stream. Neither the request nor
// its context may be used once it runs: both are recycled before.
func (s *Server) writeStream(hc huma.Context, opened *eventstream.Stream, leave func()) {
	hc.SetHeader("Content-Type", eventStreamType)
	hc.SetHeader("Cache-Control", "no-store")
	// Proxies that collect an answer before they pass it on would hold back events.
	hc.SetHeader("X-Accel-Buffering", "no")
	hc.SetStatus(http.StatusOK)
	if isHead(hc) {
		opened.Close()
		leave()
		return
	}
	raw := humafiber.Unwrap(hc).Context()
	// Its deadlines are those of the stream; nothing else may be answered on it.
	raw.SetConnectionClose()
	conn, ctx := raw.Conn(), context.WithoutCancel(hc.Context())
	raw.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer leave()
		defer opened.Close()
		defer func() {
			if p := recover(); p != nil {
				s.log.Error().Any("panic", p).Msg("an event stream broke off")
			}
		}()
		s.clients.Write(ctx, w, conn, opened)
	})
}

func (s *Server) eventRoutes() {
	const tag = "Events"
	bad := []int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusTooManyRequests}
	answer := map[string]*huma.Response{"200": {
		Description: "Server-Sent Events: `id` is the place in the stream, `event` the type, `data` the event as JSON.",
		Content:     map[string]*huma.MediaType{eventStreamType: {Schema: &huma.Schema{Type: "string"}}},
	}}
	register(s, route{
		method: http.MethodGet, path: "/api/v1/jobs/{id}/events", id: "follow-job", summary: "Follow a job until it ends, as Server-Sent Events", tag: tag,
		errors: append(bad, http.StatusNotFound), responses: answer,
	}, s.jobEvents)
	register(s, route{
		method: http.MethodGet, path: "/api/v1/events", id: "follow-events", summary: "Follow what happens, as Server-Sent Events", tag: tag,
		errors: bad, responses: answer,
	}, s.events)
}
