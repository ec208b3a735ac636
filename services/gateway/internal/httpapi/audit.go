package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/telemetry"
)

// AuditFilter selects audit entries. It is exported because huma passes over
// embedded structs that are not.
type AuditFilter struct {
	Action    string    `query:"action" maxLength:"128" doc:"Only entries of this action, for example auth_denied or key_updated."`
	Actor     string    `query:"actor" maxLength:"128" doc:"Only what this owner or service did."`
	RequestID string    `query:"request_id" maxLength:"128" doc:"Only what this request caused."`
	EventID   string    `query:"event_id" maxLength:"256" doc:"Only the entry of this event; job events are <job id>/<version>."`
	After     time.Time `query:"after" doc:"Only entries at or after this time (RFC 3339)."`
	Before    time.Time `query:"before" doc:"Only entries before this time (RFC 3339)."`
}

func (f AuditFilter) query() contract.AuditQuery {
	q := contract.AuditQuery{Action: f.Action, Actor: f.Actor, RequestID: f.RequestID, EventID: f.EventID}
	if !f.After.IsZero() {
		q.After = &f.After
	}
	if !f.Before.IsZero() {
		q.Before = &f.Before
	}
	return q
}

type auditQuery struct {
	Page
	AuditFilter
	Cursor string `query:"cursor" maxLength:"128" doc:"Go on where the page ended that gave this as next_cursor."`
}

func (s *Server) listAudit(ctx context.Context, in *auditQuery) (*body[contract.AuditReply], error) {
	q := in.query()
	q.Limit, q.Offset, q.Cursor = in.Limit, in.Offset, in.Cursor
	return ask[contract.AuditReply](ctx, s, contract.RPCAuditLogs, q)
}

// exportPage is how many entries are asked for at once.
const exportPage = 500

// exportAudit streams entries, oldest first, one JSON object a line. The first
// page is asked for before the answer begins, so that what is refused is refused
// with a status.
func (s *Server) exportAudit(ctx context.Context, in *AuditFilter) (*huma.StreamResponse, error) {
	q := in.query()
	q.OldestFirst, q.Limit = true, exportPage
	page, err := bus.Call[contract.AuditReply](ctx, s.deps.NC, contract.RPCAuditLogs, q)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		out.SetHeader("Content-Type", "application/x-ndjson")
		out.SetHeader("Content-Disposition", `attachment; filename="nexus-audit.jsonl"`)
		if !isHead(out) {
			s.writeAudit(out, q, page)
		}
	}}, nil
}

// writeAudit writes page after page. A reader knows that it has everything by
// the last line, {"complete":true,...}; a failure leaves a line with the error
// in its place.
func (s *Server) writeAudit(out huma.Context, q contract.AuditQuery, page contract.AuditReply) {
	lines, written := json.NewEncoder(out.BodyWriter()), 0
	for {
		for _, e := range page.Entries {
			if err := lines.Encode(e); err != nil {
				s.log.Debug().Err(err).Msg("the reader of an export has gone")
				return
			}
			written++
		}
		if page.NextCursor == "" {
			break
		}
		var err error
		q.Cursor = page.NextCursor
		if page, err = bus.Call[contract.AuditReply](out.Context(), s.deps.NC, contract.RPCAuditLogs, q); err != nil {
			public := fault.Public(err)
			s.log.Warn().Err(err).Str(telemetry.FieldRequestID, requestIDOf(out.Context())).Msg("an export was cut short")
			_ = lines.Encode(exportEnd{Entries: written, Error: public.Detail})
			return
		}
	}
	_ = lines.Encode(exportEnd{Complete: true, Entries: written})
}

// exportEnd is the last line of an export.
type exportEnd struct {
	Complete bool   `json:"complete"`
	Entries  int    `json:"entries"`
	Error    string `json:"error,omitempty"`
}

func (s *Server) auditRoutes() {
	const tag = "Audit"
	bad := []int{http.StatusUnprocessableEntity}
	register(s, route{method: http.MethodGet, path: "/api/v1/audit/logs", id: "list-audit", summary: "List audit entries, newest first", tag: tag, errors: bad}, s.listAudit)
	register(s, route{
		method: http.MethodGet, path: "/api/v1/audit/logs/export", id: "export-audit", summary: "Export audit entries as JSON lines, oldest first", tag: tag, errors: bad,
	}, s.exportAudit)
}
