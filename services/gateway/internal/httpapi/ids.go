package httpapi

import (
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"nexus.internal/libs/fault"
)

// lookUp refuses a request about an id that cannot be one: what cannot exist does
// not exist, and nobody is asked for it.
func (s *Server) lookUp(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	for _, p := range op.Parameters {
		if p.In == "path" && !possible(p.Schema, ctx.Param(p.Name)) {
			s.refuse(ctx, fault.NotFoundf("%s", missingOf(op.Path, p.Name)))
			return
		}
	}
	next(ctx)
}

// possible says whether an id could be one by its form. Names are not judged
// here: some routes make what they name.
func possible(schema *huma.Schema, id string) bool {
	switch {
	case schema.Format == "uuid":
		return len(id) == len(uuid.Nil.String()) && uuid.Validate(id) == nil
	case schema.Type == huma.TypeInteger:
		n, err := strconv.ParseInt(id, 10, 64)
		return err == nil && n > 0
	}
	return true
}

// missingOf is what the services say of an id that they do not know.
func missingOf(path, param string) string {
	switch param {
	case "delivery":
		return "Delivery not found"
	case "number":
		return "Artifact not found"
	}
	for _, m := range []struct{ under, sentence string }{
		{"/api/v1/jobs/", "Job not found"},
		{"/api/v1/documents/", "Document not found"},
		{"/api/v1/ingest/jobs/", "Ingest job not found"},
		{"/api/v1/analysis/runs/", "Analysis run not found"},
		{"/api/v1/branches/", "Branch not found"},
		{"/api/v1/remix/", "Remix not found"},
		{"/api/v1/hypergraph/documents/", "Document not found"},
		{"/api/v1/auth/keys/", "Key not found"},
		{"/api/v1/webhooks/", "Webhook not found"},
		{"/api/v1/dead-letters/", "There is no such dead letter."},
	} {
		if strings.HasPrefix(path, m.under) {
			return m.sentence
		}
	}
	return "Not found"
}
