package httpapi

import (
	"bytes"
	"io"
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

// checkInput refuses what no operation takes, before anything reads it.
func (s *Server) checkInput(ctx huma.Context, next func(huma.Context)) {
	err := checkAddress(ctx)
	if err == nil {
		ctx, err = checkBody(ctx)
	}
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	next(ctx)
}

// checkAddress checks the parameters in the path and the query, whatever they mean.
// Unknown ones are passed over.
func checkAddress(ctx huma.Context) error {
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

// checkBody checks the body of an operation that takes one, and hands it on. One
// that is too large, or in no format we know, is left to be refused as such.
func checkBody(ctx huma.Context) (huma.Context, error) {
	op := ctx.Operation()
	if op.RequestBody == nil || !isJSON(ctx.Header("Content-Type")) {
		return ctx, nil
	}
	var data bytes.Buffer
	if r := ctx.BodyReader(); r != nil {
		if _, err := data.ReadFrom(io.LimitReader(r, op.MaxBodyBytes)); err != nil {
			return ctx, fault.Wrap(fault.Invalid, err, "The body cannot be read.")
		}
	}
	ctx = readContext{ctx, data.Bytes()}
	if data.Len() == 0 || int64(data.Len()) >= op.MaxBodyBytes {
		return ctx, nil
	}
	return ctx, ingress.Check(data.Bytes())
}

func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.TrimSpace(kind)
	return kind == "" || kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// request is huma's, under a name that does not hide its method.
type request = huma.Context

// readContext is a request whose body has been read.
type readContext struct {
	request
	body []byte
}

// BodyReader implements huma.Context.
func (c readContext) BodyReader() io.Reader { return bytes.NewReader(c.body) }
