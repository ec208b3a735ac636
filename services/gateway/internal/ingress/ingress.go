// Package ingress reads the JSON that clients send, at whichever door, by one set
// of rules: Check passes over the bytes once before anything decodes them, and
// Decode matches names exactly and knows no others.
//
// What a request means, and who may ask for it, does not belong here.
package ingress

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2/validation"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/contract/wellformed"
	"nexus.internal/libs/fault"
)

// Body is how problems name the body of a request.
const Body = "body"

// MaxDepth is how deep a body may be nested: a payload, and what is around it.
const MaxDepth = contract.MaxPayloadDepth + 900

// Check reports what is wrong with a body as such. Payloads are passed on as they
// came, so a name may be twice in one. What is no JSON is
// fault.Invalid; JSON that this platform does not take is fault.Unprocessable.
func Check(data []byte) error {
	found := wellformed.Check(data, wellformed.Rules{Depth: MaxDepth, Free: []string{"payload", "payload_schema"}})
	if found == nil {
		return nil
	}
	if found.Kind == wellformed.Syntax {
		return refuse(fault.Invalid, found.At, found.Detail)
	}
	return refuse(fault.Unprocessable, found.At, found.Detail)
}

func refuse(kind fault.Kind, at, detail string) error {
	err := fault.New(kind, "validation_error", Body+at+": "+detail)
	err.Fields = []fault.Field{{Location: Body + at, Message: detail}}
	return err
}

// Decode reads a body that Check has passed into v. Names of fields are matched
// exactly; one that v does not know is an error, and so is a time that cannot be
// stored. The error is a sentence for the client, without what the client sent.
func Decode(data []byte, v any) error {
	err := jsonv2.Unmarshal(data, v, jsonv2.RejectUnknownMembers(true), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true), jsonv2.WithUnmarshalers(jsonv2.UnmarshalFromFunc(readTime)))
	if err == nil {
		return nil
	}
	at, detail := explain(err)
	return &Refused{At: at, Detail: detail}
}

// Refused says which part of a body does not fit, and why.
type Refused struct{ At, Detail string }

// Error implements error.
func (r *Refused) Error() string { return strings.TrimPrefix(r.At+": "+r.Detail, ": ") }

// What a client is told of a body, or a part of it, that cannot be read.
const (
	NotJSON = "it is not valid JSON"
	Unfit   = "it does not fit here"
)

// TimeOutOfRange is what a client is told of a time that cannot be stored.
const TimeOutOfRange = "expected a time within the years 1 to 9999, in UTC"

var errTimeRange = errors.New(TimeOutOfRange)

// readTime reads a time, and refuses one whose year nobody can write down.
func readTime(dec *jsontext.Decoder, t *time.Time) error {
	var text string
	if err := jsonv2.UnmarshalDecode(dec, &text); err != nil {
		return err
	}
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return errNoTime
	}
	if !contract.ValidTime(parsed) {
		return errTimeRange
	}
	*t = parsed
	return nil
}

var errNoTime = errors.New("expected string to be RFC 3339 date-time")

// explain puts a decoder's error into words of our own: the decoder's repeat what
// the client sent, and name our types.
func explain(err error) (at, detail string) {
	var semantic *jsonv2.SemanticError
	if !errors.As(err, &semantic) {
		return "", NotJSON
	}
	at = wellformed.Place(string(semantic.JSONPointer))
	switch {
	case errors.Is(err, jsonv2.ErrUnknownName):
		return at, validation.MsgUnexpectedProperty
	case errors.Is(err, errTimeRange), errors.Is(err, errNoTime):
		return at, semantic.Err.Error()
	case semantic.GoType == nil:
		return at, Unfit
	}
	return at, "expected " + nameOf(semantic.GoType)
}

func nameOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.Pointer:
		return nameOf(t.Elem())
	default:
		return "object"
	}
}

// CheckText reports what is wrong with a text that a client put into an address.
func CheckText(where, text string) error {
	if strings.ContainsRune(text, 0) {
		return fault.Unprocessablef("%s: must not contain the character NUL", where)
	}
	if strings.ToValidUTF8(text, "") != text {
		return fault.Unprocessablef("%s: not valid UTF-8", where)
	}
	return nil
}

// CheckTime reports whether a time in an address can be stored. What is no time is
// for others to refuse.
func CheckTime(where, text string) error {
	if t, err := time.Parse(time.RFC3339, text); err == nil && !contract.ValidTime(t) {
		return fault.Unprocessablef("%s", fmt.Sprintf("%s: %s", where, TimeOutOfRange))
	}
	return nil
}
