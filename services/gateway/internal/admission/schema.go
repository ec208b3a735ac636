package admission

import (
	"bytes"
	"errors"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

const (
	// MaxSchema is the largest schema of payloads, in bytes.
	MaxSchema = 64 << 10
	// maxSchemaDepth is how deep it may be nested.
	maxSchemaDepth = 40
	// maxSchemas bounds the memory of compiled ones.
	maxSchemas = 1000
)

// CompileSchema checks that text is a JSON Schema that needs nothing from
// elsewhere: its references stay inside it.
func CompileSchema(text []byte) (*jsonschema.Schema, error) {
	if len(text) > MaxSchema {
		return nil, fault.Unprocessablef("payload_schema has %d bytes; the limit is %d", len(text), MaxSchema)
	}
	if err := contract.CheckPayload(text); err != nil {
		return nil, fault.Unprocessablef("payload_schema: %s", strings.TrimPrefix(err.Error(), "payload "))
	}
	if contract.PayloadDepth(text) > maxSchemaDepth {
		return nil, fault.Unprocessablef("payload_schema is nested deeper than %d levels", maxSchemaDepth)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fault.Unprocessablef("payload_schema is not valid JSON")
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	const name = "nexus:payload_schema"
	if err := c.AddResource(name, doc); err != nil {
		return nil, fault.Unprocessablef("%s", schemaFault(err))
	}
	schema, err := c.Compile(name)
	if err != nil {
		return nil, fault.Unprocessablef("%s", schemaFault(err))
	}
	return schema, nil
}

// nowhere loads no schema: neither the disk nor the net is asked.
type nowhere struct{}

func (nowhere) Load(string) (any, error) {
	return nil, errors.New("references to other documents are not followed")
}

// schemas keeps the compiled schemas of the job types.
type schemas struct {
	mu    sync.Mutex
	known map[string]*jsonschema.Schema
}

func newSchemas() *schemas { return &schemas{known: map[string]*jsonschema.Schema{}} }

// check refuses a payload that breaks the schema of its job type.
func (s *schemas) check(t contract.JobType, payload []byte) error {
	if len(t.PayloadSchema) == 0 {
		return nil
	}
	schema, err := s.compiled(string(t.PayloadSchema))
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return fault.Unprocessablef("payload is not valid JSON")
	}
	var broken *jsonschema.ValidationError
	if err := schema.Validate(value); errors.As(err, &broken) {
		return fault.Unprocessablef("%s", breach("payload", broken))
	}
	return nil
}

func (s *schemas) compiled(text string) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if schema, ok := s.known[text]; ok {
		return schema, nil
	}
	schema, err := CompileSchema([]byte(text))
	if err != nil {
		return nil, err
	}
	if len(s.known) >= maxSchemas {
		clear(s.known)
	}
	s.known[text] = schema
	return schema, nil
}
