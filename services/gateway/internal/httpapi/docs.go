package httpapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"nexus.internal/services/gateway/internal/apidoc"
)

//go:embed docs.html
var docsPage string

// docsPolicy lets the page load nothing, run nothing, and ask nobody but us.
const docsPolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxSearch is the longest search looked at, in bytes.
const maxSearch = 100

type docOperation struct {
	Method, Path, Summary, Description string
	Parameters                         []docField
	Body                               docBody
	Answers                            []docAnswer
	// words are what a search finds it by, in lower case.
	words string
}

type docField struct {
	Name, In, Type, Doc string
	Required            bool
}

// docBody is the body of a request or an answer.
type docBody struct {
	Fields  []docField
	Example string
}

type docAnswer struct {
	Status, Description string
	Body                docBody
}

type docTag struct {
	Name, Description string
	Operations        []docOperation
}

// docs serves a page that documents the API and loads nothing from elsewhere.
// Searching is done here, so that it needs no script.
func (s *Server) docs() {
	page, doc := template.Must(template.New("docs").Parse(docsPage)), s.api.OpenAPI()
	tags := docTags(doc)
	s.app.Get("/docs", func(c *fiber.Ctx) error {
		search := strings.TrimSpace(c.Query("q"))
		search = strings.ToValidUTF8(search[:min(len(search), maxSearch)], "")
		found, n := searched(tags, search)
		var out bytes.Buffer
		err := page.Execute(&out, map[string]any{
			"Title": doc.Info.Title, "Version": doc.Info.Version, "Description": doc.Info.Description, "Tags": found, "Search": search, "Found": n,
		})
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
		c.Set("Content-Security-Policy", docsPolicy)
		return c.Send(out.Bytes())
	})
	s.app.Get("/", func(c *fiber.Ctx) error { return c.Redirect("/docs") })
}

// searched are the operations that hold every word of a search.
func searched(tags []docTag, search string) (found []docTag, n int) {
	words := strings.Fields(strings.ToLower(search))
	for _, tag := range tags {
		var ops []docOperation
		for _, op := range tag.Operations {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(op.words, w) }) {
				ops = append(ops, op)
			}
		}
		if len(ops) > 0 {
			found = append(found, docTag{tag.Name, tag.Description, ops})
			n += len(ops)
		}
	}
	return found, n
}

func docTags(doc *huma.OpenAPI) []docTag {
	byTag := map[string][]docOperation{}
	for path, item := range doc.Paths {
		for method, op := range apidoc.Operations(item) {
			if len(op.Tags) > 0 {
				byTag[op.Tags[0]] = append(byTag[op.Tags[0]], docOperationOf(doc, method, path, op))
			}
		}
	}
	tags := make([]docTag, 0, len(byTag))
	for _, tag := range doc.Tags {
		ops := byTag[tag.Name]
		sort.Slice(ops, func(i, j int) bool { return ops[i].Path+ops[i].Method < ops[j].Path+ops[j].Method })
		tags = append(tags, docTag{tag.Name, tag.Description, ops})
	}
	return tags
}

func docOperationOf(doc *huma.OpenAPI, method, path string, op *huma.Operation) docOperation {
	out := docOperation{Method: method, Path: path, Summary: op.Summary, Description: op.Description}
	words := []string{method, path, op.OperationID, op.Summary, op.Description}
	for _, p := range op.Parameters {
		out.Parameters = append(out.Parameters, docField{Name: p.Name, In: p.In, Type: typeOf(p.Schema), Doc: p.Description, Required: p.Required})
		words = append(words, p.Name)
	}
	if op.RequestBody != nil {
		out.Body = bodyOf(doc, op.RequestBody.Content)
	}
	for status, r := range op.Responses {
		r = apidoc.Response(doc, r)
		answer := docAnswer{Status: status, Description: r.Description}
		if status < "300" {
			// Errors all look alike; the page says once how.
			answer.Body = bodyOf(doc, r.Content)
		}
		out.Answers = append(out.Answers, answer)
	}
	sort.Slice(out.Answers, func(i, j int) bool { return answerOrder(out.Answers[i]) < answerOrder(out.Answers[j]) })
	for _, field := range out.Body.Fields {
		words = append(words, field.Name)
	}
	for _, answer := range out.Answers {
		for _, field := range answer.Body.Fields {
			words = append(words, field.Name)
		}
	}
	out.words = strings.ToLower(strings.Join(words, " "))
	return out
}

func answerOrder(a docAnswer) int {
	n, err := strconv.Atoi(a.Status)
	if err != nil {
		return 1000
	}
	return n
}

// bodyOf is a JSON body with its fields and an example.
func bodyOf(doc *huma.OpenAPI, content map[string]*huma.MediaType) docBody {
	media := content["application/json"]
	if media == nil {
		return docBody{}
	}
	out := docBody{Fields: fieldsOf(doc, media.Schema, "", 0)}
	if text, err := json.MarshalIndent(media.Example, "", "  "); err == nil && media.Example != nil {
		out.Example = string(text)
	}
	return out
}

// deepestField bounds the fields in fields that are listed.
const deepestField = 4

// fieldsOf lists the fields of an object, and of the objects in it.
func fieldsOf(doc *huma.OpenAPI, schema *huma.Schema, within string, depth int) []docField {
	if schema = resolved(doc, schema); schema == nil || depth > deepestField {
		return nil
	}
	if schema.Type == huma.TypeArray {
		return fieldsOf(doc, schema.Items, within+"[]", depth)
	}
	required := map[string]bool{}
	for _, name := range schema.Required {
		required[name] = true
	}
	names := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		names = append(names, name)
	}
	sort.Strings(names)
	if within != "" {
		within += "."
	}
	var out []docField
	for _, name := range names {
		p := schema.Properties[name]
		out = append(out, docField{Name: within + name, Type: typeOf(resolved(doc, p)), Doc: p.Description, Required: required[name]})
		out = append(out, fieldsOf(doc, p, within+name, depth+1)...)
	}
	return out
}

func resolved(doc *huma.OpenAPI, schema *huma.Schema) *huma.Schema {
	if schema != nil && schema.Ref != "" {
		return doc.Components.Schemas.SchemaFromRef(schema.Ref)
	}
	return schema
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
