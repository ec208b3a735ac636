package httpapi

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"nexus.internal/libs/fault"
	"nexus.internal/services/gateway/internal/ingress"
)

// formats are what bodies may be written in. Names of fields are matched exactly.
func formats() map[string]huma.Format {
	format := huma.DefaultJSONFormat
	format.Unmarshal = ingress.Decode
	return map[string]huma.Format{"application/json": format, "json": format}
}

// checkAddress refuses parameters that no operation takes, before anything reads
// them.
func (s *Server) checkAddress(ctx huma.Context, next func(huma.Context)) {
	if err := checkParameters(ctx); err != nil {
		s.refuse(ctx, err)
		return
	}
	next(ctx)
}

// checkParameters checks the parameters in the path and the query, whatever they mean.
// Unknown ones are passed over.
func checkParameters(ctx huma.Context) error {
	u := ctx.URL()
	query := u.Query()
	for _, p := range ctx.Operation().Parameters {
		switch {
		case p.In == "path":
			if err := ingress.CheckText("path."+p.Name, ctx.Param(p.Name)); err != nil {
				return err
			}
		case p.In == "query" && query.Has(p.Name):
			if err := checkQuery(p, query[p.Name]); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkQuery(p *huma.Param, values []string) error {
	where := "query." + p.Name
	if len(values) > 1 {
		return fault.Unprocessablef("%s: given twice", where)
	}
	if err := ingress.CheckText(where, values[0]); err != nil {
		return err
	}
	if p.Schema != nil && p.Schema.Format == "date-time" {
		return ingress.CheckTime(where, values[0])
	}
	return nil
}

func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.TrimSpace(kind)
	return kind == "" || kind == "application/json" || strings.HasSuffix(kind, "+json")
}
