package admission_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/fault"
	"nexus.internal/services/gateway/internal/admission"
)

// What is wrong with a schema is said in our own words: a library's speak of
// files, of its own names and of everything that was sent.
func TestSchemasAreRefusedInOurOwnWords(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		`{"type":"x"}`:                                        "payload_schema.type: ",
		`{"properties":{"n":{"minimum":"1"}}}`:                "payload_schema.properties.n.minimum: ",
		`{"pattern":"("}`:                                     "payload_schema",
		`{"patternProperties":{"(":{}}}`:                      "payload_schema",
		`{"$ref":"file:///etc/passwd"}`:                       "references to other documents are not followed",
		`{"$ref":"http://127.0.0.1/x"}`:                       "references to other documents are not followed",
		`{"$ref":"#/$defs/none"}`:                             "a reference leads nowhere",
		`{"$ref":"#none"}`:                                    "a reference leads nowhere",
		`{"$schema":"x"}`:                                     "payload_schema",
		`{"$schema":1}`:                                       "payload_schema",
		`{"$id":"\u0000"}`:                                    "payload_schema",
		`{"$defs":{"a":{"$id":"urn:x"},"b":{"$id":"urn:x"}}}`: "payload_schema",
		`{"maxLength":-1}`:                                    "payload_schema.maxLength: ",
		`7`:                                                   "payload_schema",
	} {
		_, err := admission.CompileSchema([]byte(schema))
		require.Error(t, err, schema)
		says := fault.Public(err).Detail
		require.Contains(t, says, want, schema)
		require.LessOrEqual(t, len(says), 520)
		for _, theirs := range []string{"jsonschema", "metaschema", "json-schema.org", "nexus:", "mem:", "file://", "error parsing regexp", "URLLoader", "failing"} {
			require.NotContains(t, says, theirs, schema)
		}
		require.False(t, strings.ContainsAny(says, "\n\x00"), "%q", says)
	}
}
