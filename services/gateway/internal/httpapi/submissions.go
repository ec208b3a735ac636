package httpapi

import (
	"errors"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"nexus.internal/libs/fault"
	"nexus.internal/services/gateway/internal/admission"
	"nexus.internal/services/gateway/internal/ingress"
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
	if err := ingress.Check(data); err != nil {
		return admission.Ask{}, err
	}
	var parsed any
	if err := ingress.Decode(data, &parsed); err != nil {
		return admission.Ask{}, refuseBody(err)
	}
	if fields, ok := parsed.(map[string]any); ok {
		if _, there := fields["execution_mode"]; there {
			return admission.Ask{}, refuseBody(&ingress.Refused{At: ".execution_mode", Detail: validation.MsgUnexpectedProperty})
		}
		if _, there := fields["job_type"]; !there {
			fields["job_type"] = jobType
		}
	}
	path := huma.NewPathBuffer(nil, 0)
	path.Push(ingress.Body)
	var found huma.ValidateResult
	huma.Validate(s.registry, s.schema, path, huma.ModeWriteToServer, parsed, &found)
	if len(found.Errors) > 0 {
		return admission.Ask{}, refuseBody(found.Errors[0])
	}
	body := submitBody{JobType: jobType}
	if err := ingress.Decode(data, &body); err != nil {
		return admission.Ask{}, refuseBody(err)
	}
	return body.ask(""), nil
}

func refuseBody(err error) error { return fault.Unprocessablef("%s", sentence(located(err))) }

// located says which part of a request an error is about, and what is wrong.
func located(err error) (location, message string) {
	var detail *huma.ErrorDetail
	if !errors.As(err, &detail) {
		detail = &huma.ErrorDetail{Location: ingress.Body, Message: err.Error()}
	}
	location, message = detail.Location, detail.Message
	if i := strings.LastIndex(message, ": "); location == ingress.Body && i > 0 && (message[0] == '.' || message[0] == '[') {
		// Our decoder knows the place.
		location, message = location+message[:i], message[i+2:]
	}
	return plainLocation(location), plainMessage(message)
}

func sentence(location, message string) string {
	if location == "" {
		return message
	}
	return location + ": " + message
}
