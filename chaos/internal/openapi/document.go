// Package openapi reads as much of an OpenAPI document as it takes to send
// requests that its routes nearly accept.
package openapi

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// Document is what a program says about its routes.
type Document struct {
	Operations []Operation
	schemas    map[string]*Schema
}

// Operation is one method of one path.
type Operation struct {
	ID, Method, Path string
	Parameters       []Parameter
	// Body is the schema of the JSON body; nil where there is none.
	Body *Schema
	// Public says that no key is needed.
	Public bool
}

// Parameter is a part of a request beside its body.
type Parameter struct {
	Name   string  `json:"name"`
	In     string  `json:"in"`
	Schema *Schema `json:"schema"`
}

// Schema describes a JSON value.
type Schema struct {
	Ref        string             `json:"$ref"`
	Type       Types              `json:"type"`
	Format     string             `json:"format"`
	Enum       []any              `json:"enum"`
	Properties map[string]*Schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *Schema            `json:"items"`
	Minimum    *float64           `json:"minimum"`
	Maximum    *float64           `json:"maximum"`
	MaxLength  *int               `json:"maxLength"`
	MinItems   *int               `json:"minItems"`
	MaxItems   *int               `json:"maxItems"`
	Pattern    string             `json:"pattern"`
}

// Types are the types a value may have.
type Types []string

// UnmarshalJSON reads one type, or several.
func (t *Types) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = Types{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

type operation struct {
	OperationID string      `json:"operationId"`
	Parameters  []Parameter `json:"parameters"`
	RequestBody *struct {
		Content map[string]struct {
			Schema *Schema `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
	Security []map[string][]string `json:"security"`
}

// Parse reads a document. Its operations come in the order of their paths.
func Parse(data []byte) (*Document, error) {
	var raw struct {
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas map[string]*Schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	doc := &Document{schemas: raw.Components.Schemas}
	for path, methods := range raw.Paths {
		for method, text := range methods {
			var op operation
			if err := json.Unmarshal(text, &op); err != nil {
				return nil, fmt.Errorf("read %s %s: %w", method, path, err)
			}
			out := Operation{ID: op.OperationID, Method: strings.ToUpper(method), Path: path, Parameters: op.Parameters, Public: len(op.Security) == 0}
			if op.RequestBody != nil {
				out.Body = op.RequestBody.Content["application/json"].Schema
			}
			doc.Operations = append(doc.Operations, out)
		}
	}
	if len(doc.Operations) == 0 {
		return nil, fmt.Errorf("the OpenAPI document names no route")
	}
	sort.Slice(doc.Operations, func(i, j int) bool {
		a, b := doc.Operations[i], doc.Operations[j]
		return a.Path+" "+a.Method < b.Path+" "+b.Method
	})
	return doc, nil
}

// Resolve follows a reference; an unknown one is a schema that allows anything.
func (d *Document) Resolve(s *Schema) *Schema {
	if s == nil {
		return &Schema{}
	}
	if s.Ref == "" {
		return s
	}
	if to := d.schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]; to != nil {
		return to
	}
	return &Schema{}
}
