package httpapi

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"nexus.internal/libs/fault"
	"nexus.internal/services/gateway/internal/admission"
)

// Submissions reads jobs that come another way by the rules of a submit over
// HTTP: what is refused there is refused here, in the same words.
type Submissions struct {
	registry huma.Registry
	schema   *huma.Schema
}

// NewSubmissions makes a reader.
func NewSubmissions() *Submissions {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	return &Submissions{registry: registry, schema: registry.Schema(reflect.TypeFor[submitBody](), true, "SubmitBody")}
}

// Read reads a submit of a type of job that is known from elsewhere, so the body
// may leave it out. Such a job is always async, and the body may not say so.
func (s *Submissions) Read(data []byte, jobType string) (admission.Ask, error) {
	if len(data) == 0 {
		return admission.Ask{}, fault.Unprocessablef("request body is required")
	}
	var parsed any
	if err := json.Unmarshal(data, &parsed); err != nil {
		return admission.Ask{}, refuseBody("", plainMessage(err.Error()))
	}
	if fields, ok := parsed.(map[string]any); ok {
		if name, there := nameOf(fields, "execution_mode"); there {
			return admission.Ask{}, refuseBody("."+name, validation.MsgUnexpectedProperty)
		}
		if _, there := nameOf(fields, "job_type"); !there {
			fields["job_type"] = jobType
		}
	}
	path := huma.NewPathBuffer(nil, 0)
	path.Push(bodyPath)
	var found huma.ValidateResult
	huma.Validate(s.registry, s.schema, path, huma.ModeWriteToServer, parsed, &found)
	if len(found.Errors) > 0 {
		return admission.Ask{}, fault.Unprocessablef("%s", sentenceOf(found.Errors[0]))
	}
	body := submitBody{JobType: jobType}
	if err := json.Unmarshal(data, &body); err != nil {
		return admission.Ask{}, refuseBody("", plainMessage(err.Error()))
	}
	return body.ask(""), nil
}

// bodyPath is how errors name the body of a request.
const bodyPath = "body"

func refuseBody(where, message string) error {
	return fault.Unprocessablef("%s", sentence(bodyPath+where, message))
}

// nameOf finds a field the way encoding/json does, in any case.
func nameOf(fields map[string]any, name string) (as string, there bool) {
	for field := range fields {
		if strings.EqualFold(field, name) {
			return field, true
		}
	}
	return "", false
}

// sentenceOf is what a client is told of an error that a schema found.
func sentenceOf(err error) string {
	var detail *huma.ErrorDetail
	if !errors.As(err, &detail) {
		return plainMessage(err.Error())
	}
	field := fieldOf(detail)
	return sentence(field.Location, field.Message)
}

func sentence(location, message string) string {
	if location == "" {
		return message
	}
	return location + ": " + message
}
