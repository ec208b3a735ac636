package httpapi

import (
	"bytes"
	_ "embed"
	"html/template"
	"sort"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"
)

//go:embed docs.html
var docsPage string

type docOperation struct {
	Method, Path, Summary, Description string
	Parameters                         []docField
	Body                               []docField
	Answers                            []docAnswer
}

type docField struct {
	Name, In, Type, Doc string
	Required            bool
}

type docAnswer struct{ Status, Description string }

type docTag struct {
	Name       string
	Operations []docOperation
}

// docs serves a page that documents the API and loads nothing from elsewhere.
func (s *Server) docs() {
	page := template.Must(template.New("docs").Parse(docsPage))
	s.app.Get("/docs", func(c *fiber.Ctx) error {
		var out bytes.Buffer
		doc := s.api.OpenAPI()
		err := page.Execute(&out, map[string]any{"Title": doc.Info.Title, "Version": doc.Info.Version, "Description": doc.Info.Description, "Tags": docTags(doc)})
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
		c.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		return c.Send(out.Bytes())
	})
	s.app.Get("/", func(c *fiber.Ctx) error { return c.Redirect("/docs") })
}

func docTags(doc *huma.OpenAPI) []docTag {
	byTag := map[string][]docOperation{}
	for path, item := range doc.Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if op != nil && len(op.Tags) > 0 {
				byTag[op.Tags[0]] = append(byTag[op.Tags[0]], docOperationOf(doc, method, path, op))
			}
		}
	}
	tags := make([]docTag, 0, len(byTag))
	for name, ops := range byTag {
		sort.Slice(ops, func(i, j int) bool { return ops[i].Path+ops[i].Method < ops[j].Path+ops[j].Method })
		tags = append(tags, docTag{name, ops})
	}
	sort.Slice(tags, func(i, j int) bool { return tags[i].Name < tags[j].Name })
	return tags
}

func docOperationOf(doc *huma.OpenAPI, method, path string, op *huma.Operation) docOperation {
	out := docOperation{Method: method, Path: path, Summary: op.Summary, Description: op.Description}
	for _, p := range op.Parameters {
		out.Parameters = append(out.Parameters, docField{Name: p.Name, In: p.In, Type: typeOf(p.Schema), Doc: p.Description, Required: p.Required})
	}
	if op.RequestBody != nil {
		out.Body = fieldsOf(doc, op.RequestBody.Content["application/json"])
	}
	for status, r := range op.Responses {
		out.Answers = append(out.Answers, docAnswer{status, r.Description})
	}
	sort.Slice(out.Answers, func(i, j int) bool { return answerOrder(out.Answers[i]) < answerOrder(out.Answers[j]) })
	return out
}

func answerOrder(a docAnswer) int {
	n, err := strconv.Atoi(a.Status)
	if err != nil {
		return 1000
	}
	return n
}

func fieldsOf(doc *huma.OpenAPI, media *huma.MediaType) []docField {
	if media == nil || media.Schema == nil {
		return nil
	}
	schema := media.Schema
	if schema.Ref != "" {
		schema = doc.Components.Schemas.SchemaFromRef(schema.Ref)
	}
	required := map[string]bool{}
	for _, name := range schema.Required {
		required[name] = true
	}
	var out []docField
	for name, p := range schema.Properties {
		out = append(out, docField{Name: name, Type: typeOf(p), Doc: p.Description, Required: required[name]})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func typeOf(s *huma.Schema) string {
	switch {
	case s == nil:
		return ""
	case s.Format != "":
		return s.Type + " (" + s.Format + ")"
	case s.Type == "":
		return "any JSON"
	default:
		return s.Type
	}
}
