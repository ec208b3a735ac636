package gateway_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/identity"
	"nexus.internal/services/gateway"
)

// described is what the tests of the document's words read of it.
type described struct {
	Servers []struct{ URL, Description string }  `json:"servers"`
	Tags    []struct{ Name, Description string } `json:"tags"`
	Paths   map[string]map[string]struct {
		Tags                 []string
		OperationID          string `json:"operationId"`
		Summary, Description string
		Security             *[]map[string][]string
		Parameters           []struct{ Name, Description string }
		RequestBody          *describedBody `json:"requestBody"`
		Responses            map[string]describedBody
	} `json:"paths"`
	Components struct {
		Responses map[string]describedBody
		Schemas   map[string]struct {
			Required   []string
			Properties map[string]struct {
				Ref         string `json:"$ref"`
				Description string
				Type        any
				Enum        []any
				Examples    []any
				Default     any
			}
		}
	}
}

type describedBody struct {
	Ref         string `json:"$ref"`
	Description string
	Content     map[string]struct {
		Schema  json.RawMessage
		Example json.RawMessage
	}
}

func describedDocument(t testing.TB) (described, []byte) {
	t.Helper()
	text, err := gateway.OpenAPI("1.2.3")
	require.NoError(t, err)
	var doc described
	require.NoError(t, json.Unmarshal(text, &doc))
	for _, methods := range doc.Paths {
		for _, op := range methods {
			for status, r := range op.Responses {
				if r.Ref != "" {
					op.Responses[status] = doc.Components.Responses[path.Base(r.Ref)]
				}
			}
		}
	}
	return doc, text
}

// isSentence holds a description to being one: what is missing belongs into
// internal/apidoc, or into the doc tag of the property.
func isSentence(t *testing.T, text, of string) {
	t.Helper()
	require.Greater(t, len(text), 3, "%s has no description; say what it is in services/gateway/internal/apidoc", of)
}

func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	doc, _ := describedDocument(t)
	require.NotEmpty(t, doc.Servers)
	tags := map[string]string{}
	for _, tag := range doc.Tags {
		tags[tag.Name] = tag.Description
	}
	for _, o := range operations() {
		op := doc.Paths[o.path][strings.ToLower(o.method)]
		name := o.method + " " + o.path
		isSentence(t, op.Summary, name)
		sentence, _, _ := strings.Cut(op.Description, "Needs the role")
		isSentence(t, sentence, name)
		require.NotNil(t, op.Security, "%s does not say who may use it", name)
		require.Equal(t, o.least == "", len(*op.Security) == 0, name)
		for _, tag := range op.Tags {
			isSentence(t, tags[tag], "the tag "+tag)
		}
		for _, p := range op.Parameters {
			isSentence(t, p.Description, name+" "+p.Name)
		}
		if op.RequestBody != nil {
			require.NotEmpty(t, op.RequestBody.Content["application/json"].Example, "%s has no example of its body", name)
			for _, status := range []string{"400", "413", "415", "422"} {
				require.Contains(t, op.Responses, status, name)
			}
		}
		for status, r := range op.Responses {
			isSentence(t, r.Description, name+" "+status)
			for kind, media := range r.Content {
				if strings.HasSuffix(kind, "json") {
					require.NotEmpty(t, media.Example, "%s has no example of %s", name, status)
				}
			}
		}
		require.Contains(t, op.Responses, strconv.Itoa(o.good()), name)
	}
	for _, url := range []string{submitURL, batchURL} {
		require.Contains(t, doc.Paths[url]["post"].Responses, "202", url)
	}
	require.Contains(t, doc.Components.Schemas["CreateTypeInputBody"].Required, "queue")
	require.NotContains(t, doc.Components.Schemas["JobTypeBody"].Required, "queue")
}

func TestEveryPropertyIsDescribed(t *testing.T) {
	t.Parallel()
	doc, _ := describedDocument(t)
	for schema, s := range doc.Components.Schemas {
		for name, p := range s.Properties {
			isSentence(t, p.Description, schema+"."+name)
			kind, _ := json.Marshal(p.Type)
			if p.Ref != "" || bytes.Contains(kind, []byte("array")) || bytes.Contains(kind, []byte("object")) {
				continue // its parts have examples
			}
			require.True(t, len(p.Examples) > 0 || p.Default != nil || len(p.Enum) > 0, "%s.%s has no example; give it one in services/gateway/internal/apidoc", schema, name)
		}
	}
}

// Examples follow the schemas they are examples of.
func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	doc, text := describedDocument(t)
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	check := func(of string, schema, example json.RawMessage) {
		at, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(example))
		require.NoError(t, err, of)
		at.(map[string]any)["components"] = whole.(map[string]any)["components"]
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		require.NoError(t, compiler.AddResource("mem:///"+of, at))
		compiled, err := compiler.Compile("mem:///" + of)
		require.NoError(t, err, of)
		require.NoError(t, compiled.Validate(value), "%s: %s", of, example)
	}
	for route, methods := range doc.Paths {
		for method, op := range methods {
			bodies := map[string]describedBody{}
			for status, r := range op.Responses {
				bodies[status] = r
			}
			if op.RequestBody != nil {
				bodies["body"] = *op.RequestBody
			}
			for what, b := range bodies {
				for _, media := range b.Content {
					if len(media.Example) > 0 {
						check(strings.NewReplacer("{", "", "}", "").Replace(method+route+"/"+what), media.Schema, media.Example)
					}
				}
			}
		}
	}
}

// Whoever sends the example of a body is understood.
func TestExamplesAreTaken(t *testing.T) {
	t.Parallel()
	_, g := start(t, with(impatient))
	doc, _ := describedDocument(t)
	sent := 0
	for _, o := range operations() {
		op := doc.Paths[o.path][strings.ToLower(o.method)]
		if op.RequestBody == nil {
			continue
		}
		sent++
		r := g.role(identity.Admin).send(o.method, o.url(), string(op.RequestBody.Content["application/json"].Example))
		require.Equal(t, o.good(), r.status, "%s %s: %s", o.method, o.path, r.body)
	}
	require.Greater(t, sent, 8)
}

func TestAQueueIsNeededForANewType(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	r := g.role(identity.Admin).send(http.MethodPost, "/api/v1/job-types", `{"name":"brew_tea"}`)
	r.fails(http.StatusUnprocessableEntity, "validation_error")
	require.Contains(t, string(r.body), "queue")
	require.True(t, slices.Contains([]int{http.StatusOK, http.StatusCreated}, g.role(identity.Admin).send(http.MethodPost, "/api/v1/job-types", `{"name":"brew_tea","queue":"kitchen"}`).status))
}
