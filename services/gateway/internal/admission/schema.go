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
	// maxSchemaDepth is how deep it may be nested, maxSchemaParts how many objects
	// it may hold and maxSchemaRefs how many references: the compiler looks through
	// all parts for each, and a payload follows them level by level.
	maxSchemaDepth = 40
	maxSchemaParts = 4000
	maxSchemaRefs  = 500
	// maxSchemas bounds the memory of compiled ones, and maxIdle how many of each
	// are kept for payloads that come at once.
	maxSchemas = 1000
	maxIdle    = 2
)

// CompileSchema checks that text is a JSON Schema that needs nothing from
// elsewhere: its references stay inside it. What it returns checks one payload at
// a time.
func CompileSchema(text []byte) (*Schema, error) {
	if len(text) > MaxSchema {
		return nil, fault.Unprocessablef("payload_schema has %d bytes; the limit is %d", len(text), MaxSchema)
	}
	if err := contract.CheckPayload(text); err != nil {
		return nil, fault.Unprocessablef("payload_schema: %s", strings.TrimPrefix(err.Error(), "payload "))
	}
	if contract.PayloadDepth(text) > maxSchemaDepth {
		return nil, fault.Unprocessablef("payload_schema is nested deeper than %d levels", maxSchemaDepth)
	}
	if n := bytes.Count(text, []byte("{")); n > maxSchemaParts {
		return nil, fault.Unprocessablef("payload_schema has %d parts; the limit is %d", n, maxSchemaParts)
	}
	if n := bytes.Count(text, []byte(`$ref"`)) + bytes.Count(text, []byte(`$recursiveRef"`)); n > maxSchemaRefs {
		return nil, fault.Unprocessablef("payload_schema has %d references; the limit is %d", n, maxSchemaRefs)
	}
	if bytes.Contains(text, []byte(`$dynamicRef"`)) {
		// Where it leads is known only while a payload is checked.
		return nil, fault.Unprocessablef("payload_schema: $dynamicRef is not taken; use $ref")
	}
	return compile(text)
}

func compile(text []byte) (schema *Schema, err error) {
	work := &meter{}
	work.begin()
	defer func() {
		if p := recover(); p != nil {
			schema, err = nil, fault.Unprocessablef("payload_schema cannot be compiled")
		}
	}()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fault.Unprocessablef("payload_schema is not valid JSON")
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	c.UseRegexpEngine(work.pattern)
	const name = "nexus:payload_schema"
	if err := c.AddResource(name, doc); err != nil {
		return nil, fault.Unprocessablef("%s", schemaFault(err))
	}
	compiled, err := c.Compile(name)
	if err != nil {
		return nil, fault.Unprocessablef("%s", schemaFault(err))
	}
	work.watch(compiled, map[*jsonschema.Schema]bool{})
	return &Schema{compiled, work}, nil
}

// Schema is a compiled schema with the meter of its work.
type Schema struct {
	compiled *jsonschema.Schema
	work     *meter
}

// check refuses a payload that breaks the schema, or that would take too long to
// check. A panic in the library is the payload's fault and nobody else's.
func (s *Schema) check(payload []byte) (err error) {
	s.work.begin()
	defer func() {
		switch p := recover(); p {
		case nil:
		case errTooMuchWork:
			err = fault.Unprocessablef("payload: checking it against the payload_schema of its job type takes too long")
		default:
			err = fault.Unprocessablef("payload: it cannot be checked against the payload_schema of its job type")
		}
	}()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return fault.Unprocessablef("payload is not valid JSON")
	}
	var broken *jsonschema.ValidationError
	if err := s.compiled.Validate(value); errors.As(err, &broken) {
		return fault.Unprocessablef("%s", breach("payload", broken))
	}
	return nil
}

// nowhere loads no schema: neither the disk nor the net is asked.
type nowhere struct{}

func (nowhere) Load(string) (any, error) {
	return nil, errors.New("references to other documents are not followed")
}

// schemas keeps the compiled schemas of the job types that are not at work.
type schemas struct {
	mu    sync.Mutex
	known map[string][]*Schema
}

func newSchemas() *schemas { return &schemas{known: map[string][]*Schema{}} }

// check refuses a payload that breaks the schema of its job type.
func (s *schemas) check(t contract.JobType, payload []byte) error {
	if len(t.PayloadSchema) == 0 {
		return nil
	}
	schema, err := s.take(string(t.PayloadSchema))
	if err != nil {
		return err
	}
	defer s.put(string(t.PayloadSchema), schema)
	return schema.check(payload)
}

func (s *schemas) take(text string) (*Schema, error) {
	s.mu.Lock()
	if idle := s.known[text]; len(idle) > 0 {
		s.known[text] = idle[:len(idle)-1]
		s.mu.Unlock()
		return idle[len(idle)-1], nil
	}
	s.mu.Unlock()
	return CompileSchema([]byte(text))
}

func (s *schemas) put(text string, schema *Schema) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxSchemas {
		clear(s.known)
	}
	if idle := s.known[text]; len(idle) < maxIdle {
		s.known[text] = append(idle, schema)
	}
}
