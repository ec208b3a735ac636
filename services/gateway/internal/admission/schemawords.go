package admission

import (
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"nexus.internal/libs/contract"
)

// maxWords bounds what is said of a schema or a payload, in bytes.
const maxWords = 500

// schemaFault says in our own words why a schema cannot be used.
func schemaFault(err error) string {
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) {
		err = invalid.Err // the library does not unwrap it
	}
	var (
		broken  *jsonschema.ValidationError
		regex   *jsonschema.InvalidRegexError
		load    *jsonschema.LoadURLError
		scheme  *jsonschema.UnsupportedURLSchemeError
		draft   *jsonschema.UnsupportedDraftError
		meta    *jsonschema.InvalidMetaSchemaURLError
		pointer *jsonschema.JSONPointerNotFoundError
		anchor  *jsonschema.AnchorNotFoundError
	)
	switch {
	case errors.As(err, &broken):
		return breach("payload_schema", broken)
	case errors.As(err, &regex):
		return contract.Cut(fmt.Sprintf("payload_schema: '%s' is not a regular expression", regex.Regex), maxWords)
	case errors.As(err, &draft), errors.As(err, &meta):
		return "payload_schema: $schema names no draft of JSON Schema that is known"
	case errors.As(err, &load), errors.As(err, &scheme):
		return "payload_schema: references to other documents are not followed"
	case errors.As(err, &pointer), errors.As(err, &anchor):
		return "payload_schema: a reference leads nowhere"
	default:
		return "payload_schema: it is not a JSON Schema that can be used"
	}
}

// breach names the first field of a value that breaks a schema, and how.
func breach(value string, e *jsonschema.ValidationError) string {
	for len(e.Causes) > 0 {
		e = e.Causes[0]
	}
	field := strings.Join(append([]string{value}, e.InstanceLocation...), ".")
	return contract.Cut(field+": "+words(e.ErrorKind), maxWords)
}

// words are those of the schema library, where they are about the value only.
func words(k jsonschema.ErrorKind) string {
	if format, ok := k.(*kind.Format); ok {
		return "it has not the format " + format.Want
	}
	return k.LocalizedString(message.NewPrinter(language.English))
}
