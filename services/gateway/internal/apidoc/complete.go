// Package apidoc completes an OpenAPI document that was made from routes and
// types: a sentence and an example for every route, property and body, and the
// answers that have the same reason everywhere.
//
// It says nothing that a route says itself.
package apidoc

import (
	"maps"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const (
	jsonType    = "application/json"
	problemType = "application/problem+json"
)

// document is an OpenAPI document under completion.
type document struct {
	doc      *huma.OpenAPI
	terms    map[string]term
	problem  *huma.Schema
	requests map[string]any
	replies  map[string]any
}

// Complete completes a document. problem is the schema of every error.
func Complete(doc *huma.OpenAPI, problem *huma.Schema) {
	d := &document{doc: doc, terms: glossary(), problem: problem, requests: requests(), replies: replies()}
	doc.Servers = []*huma.Server{{URL: "/", Description: "The gateway that serves this document."}}
	for name, schema := range doc.Components.Schemas.Map() {
		d.explain(name, schema)
	}
	said, tags := sentences(), map[string]bool{}
	maps.Copy(said, corpusSentences())
	for _, item := range doc.Paths {
		for _, op := range Operations(item) {
			d.operation(op, said[op.OperationID])
			for _, tag := range op.Tags {
				tags[tag] = true
			}
		}
	}
	about := groups()
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		doc.Tags = append(doc.Tags, &huma.Tag{Name: tag, Description: about[tag]})
	}
}

// Operations are the operations of a path, by method.
func Operations(item *huma.PathItem) map[string]*huma.Operation {
	out := map[string]*huma.Operation{}
	for method, op := range map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
	} {
		if op != nil {
			out[method] = op
		}
	}
	return out
}

// explain gives the properties of a schema their sentences and examples.
func (d *document) explain(name string, schema *huma.Schema) {
	for field, p := range schema.Properties {
		t, ok := d.terms[name+"."+field]
		if !ok {
			t = d.terms[field]
		}
		if p.Description == "" {
			p.Description = t.sentence
		}
		if len(p.Examples) == 0 && t.example != nil && p.Ref == "" {
			p.Examples = []any{t.example}
		}
	}
}

func (d *document) operation(op *huma.Operation, sentence string) {
	if op.Security == nil {
		op.Security = []map[string][]string{} // nobody is asked who they are
	}
	switch {
	case op.Description == "":
		op.Description = sentence
	case sentence != "":
		op.Description = sentence + " " + op.Description
	}
	if op.RequestBody != nil {
		for _, status := range []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity} {
			d.mayAnswer(op, status)
		}
		if media := op.RequestBody.Content[jsonType]; media != nil && media.Example == nil {
			if media.Example = d.requests[op.OperationID]; media.Example == nil {
				media.Example = d.example(media.Schema, 0)
			}
		}
	}
	if op.OperationID == "submit-job" || op.OperationID == "submit-jobs" || op.OperationID == "ingest-batch" {
		// Their status is decided when they are handled.
		ok := op.Responses["200"]
		op.Responses["202"] = &huma.Response{Headers: ok.Headers, Content: map[string]*huma.MediaType{jsonType: {Schema: ok.Content[jsonType].Schema}}}
	}
	for status, response := range op.Responses {
		if media := response.Content[jsonType]; media != nil && media.Example == nil {
			media.Example = d.replies[op.OperationID+" "+status]
		}
		d.response(status, response)
		op.Responses[status] = d.shared(status, response)
	}
}

// shared is a response in the place where those that say the same are kept once.
func (d *document) shared(status string, r *huma.Response) *huma.Response {
	code, err := strconv.Atoi(status)
	media := r.Content[problemType]
	if err != nil || media == nil || media.Schema != d.problem && media.Schema.Ref != d.problem.Ref || r.Description != answers()[status].sentence {
		return r
	}
	name := strings.ReplaceAll(http.StatusText(code), " ", "")
	if d.doc.Components.Responses == nil {
		d.doc.Components.Responses = map[string]*huma.Response{}
	}
	d.doc.Components.Responses[name] = r
	return &huma.Response{Ref: responses + name}
}

// responses is where shared responses are.
const responses = "#/components/responses/"

// Response follows the reference of a response.
func Response(doc *huma.OpenAPI, r *huma.Response) *huma.Response {
	if name, ok := strings.CutPrefix(r.Ref, responses); ok {
		return doc.Components.Responses[name]
	}
	return r
}

func (d *document) mayAnswer(op *huma.Operation, status int) {
	code := strconv.Itoa(status)
	if op.Responses[code] == nil {
		op.Responses[code] = &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{problemType: {Schema: d.problem}}}
	}
}

func (d *document) response(status string, r *huma.Response) {
	known, ok := answers()[status]
	if code, err := strconv.Atoi(status); ok && (err != nil || r.Description == "" || r.Description == http.StatusText(code)) {
		r.Description = known.sentence
	}
	for kind, media := range r.Content {
		switch {
		case media.Example != nil:
		case kind == problemType:
			media.Example = problem(status, known)
		case kind == jsonType:
			media.Example = d.example(media.Schema, 0)
		}
	}
}

// problem is an error with a status.
func problem(status string, a answer) any {
	code, err := strconv.Atoi(status)
	if err != nil {
		return nil
	}
	out := object{
		"type": "about:blank", "title": http.StatusText(code), "status": code, "detail": a.detail, "code": a.code, "request_id": "5b1f2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
	}
	if code == http.StatusUnprocessableEntity {
		out["errors"] = []any{object{"location": "body.max_attempts", "message": "expected number <= 10"}}
	}
	return out
}

// deepest bounds examples of schemas that hold themselves.
const deepest = 8

// example puts a value together from the examples of its properties.
func (d *document) example(s *huma.Schema, depth int) any {
	switch {
	case s == nil || depth > deepest:
		return nil
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Ref != "":
		return d.example(d.doc.Components.Schemas.SchemaFromRef(s.Ref), depth+1)
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == huma.TypeArray:
		return []any{d.example(s.Items, depth+1)}
	case s.Type == huma.TypeObject:
		out := object{}
		for _, name := range fields(s) {
			out[name] = d.example(s.Properties[name], depth+1)
			if out[name] == nil && !slices.Contains(s.Required, name) {
				delete(out, name)
			}
		}
		return out
	default:
		return nil
	}
}

func fields(s *huma.Schema) []string {
	out := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}
