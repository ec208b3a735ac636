package openapi_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/chaos/internal/openapi"
)

func TestParse(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/openapi.json")
	require.NoError(t, err)
	doc, err := openapi.Parse(text)
	require.NoError(t, err)
	var submit openapi.Operation
	for _, op := range doc.Operations {
		require.NotEmpty(t, op.Method)
		if op.ID == "submit-job" {
			submit = op
		}
	}
	require.Equal(t, "/api/v1/jobs/submit", submit.Path)
	require.False(t, submit.Public)
	body := doc.Resolve(submit.Body)
	require.Contains(t, body.Required, "job_type")
	require.Equal(t, openapi.Types{"string"}, body.Properties["job_type"].Type)
	require.NotNil(t, doc.Resolve(&openapi.Schema{Ref: "#/components/schemas/Nowhere"}))

	_, err = openapi.Parse([]byte(`{"paths":{}}`))
	require.ErrorContains(t, err, "no route")
	_, err = openapi.Parse([]byte(`[`))
	require.Error(t, err)
}
