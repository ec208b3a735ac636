package gateway_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
)

// bodies lists the routes that take a body, each with one that is taken.
func bodies() map[string]string {
	id := uuid.NewString()
	return map[string]string{
		"POST /api/v1/jobs/submit":        `{"job_type":"ingest_batch"}`,
		"POST /api/v1/jobs/batch":         `{"jobs":[{"job_type":"ingest_batch"}]}`,
		"POST /api/v1/jobs/retry":         `{"status":"failed"}`,
		"POST /api/v1/job-types":          `{"name":"t","queue":"corpus"}`,
		"PUT /api/v1/job-types/analyze":   `{"queue":"corpus"}`,
		"PATCH /api/v1/job-types/analyze": `{"queue":"corpus"}`,
		"POST /api/v1/auth/keys":          `{"owner":"x","role":"viewer"}`,
		"PATCH /api/v1/auth/keys/" + id:   `{"enabled":true}`,
		"PUT /api/v1/features/on":         `{"enabled":true}`,
		"POST /api/v1/webhooks":           `{"url":"https://example.com"}`,
		"PATCH /api/v1/webhooks/" + id:    `{"enabled":true}`,
	}
}

// Whatever route a body goes to, its names are matched exactly and once, and what
// would cost a decoder more than it weighs is refused before one sees it.
func TestEveryBodyIsReadStrictly(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	c := g.role(identity.Admin)
	digits := strings.Repeat("1", 200_000)
	for route, good := range bodies() {
		method, path, _ := strings.Cut(route, " ")
		require.Less(t, c.send(method, path, good).status, 300, route)
		name, _, _ := strings.Cut(strings.TrimPrefix(good, `{"`), `"`)
		with := func(field string) string { return strings.TrimSuffix(good, "}") + "," + field + "}" }
		for body, detail := range map[string]string{
			with(fmt.Sprintf("%q:null", strings.ToUpper(name))):   "body." + strings.ToUpper(name) + ": unexpected property",
			strings.Replace(good, name, strings.ToUpper(name), 1): "unexpected property",
			with(`"surprise":1`):               "body.surprise: unexpected property",
			with(fmt.Sprintf("%q:null", name)): "body." + name + ": given twice",
			with(`"n":1e-1000001`):             "body.n: the exponent of the number is out of range: want -400 to 400",
			with(`"n":[` + digits + `]`):       "body.n[0]: the number has 200000 digits; the limit is 400",
			with(`"n":"\u0000"`):               "NUL",
			with(`"` + digits + `":1`):         "unexpected property",
			with("\"n\":\"\xff\""):             "body: not valid UTF-8",
		} {
			r := c.send(method, path, body)
			p := r.fails(http.StatusUnprocessableEntity, "validation_error")
			require.Contains(t, p.Detail, detail, "%s %.100s", route, body)
			require.Less(t, len(r.body), 2000, "what was sent is not sent back")
		}
		r := c.send(method, path, good[:len(good)-1]+digits)
		require.NotContains(t, r.fails(http.StatusBadRequest, "validation_error").Detail, "111")
	}
	nested := `{"jobs":[{"job_type":"ingest_batch"},{"job_type":"ingest_batch",%s}]}`
	for field, detail := range map[string]string{
		`"Job_Type":"analyze"`:                          "body.jobs[1].Job_Type: unexpected property",
		`"job_type":"analyze"`:                          "body.jobs[1].job_type: given twice",
		`"payload":{"a":{"n":1e401}}`:                   "body.jobs[1].payload.a.n: the exponent",
		`"webhook":{"url":"http://a","URL":"http://b"}`: "body.jobs[1].webhook.URL: unexpected property",
		`"run_at":"0000-01-01T00:00:00+23:59"`:          "body.jobs[1].run_at: expected a time within the years 1 to 9999, in UTC",
	} {
		p := c.send(http.MethodPost, "/api/v1/jobs/batch", fmt.Sprintf(nested, field)).fails(http.StatusUnprocessableEntity, "validation_error")
		require.Contains(t, p.Detail, detail)
	}
}

// A time whose year cannot be written down is refused in every field and query that
// takes one.
func TestTimesOutOfRange(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	c := g.role(identity.Admin)
	key := "/api/v1/auth/keys/" + uuid.NewString()
	for _, at := range []string{"0000-01-01T00:00:00Z", "0000-12-31T23:59:59-00:00", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00-24:00"} {
		for _, tc := range [][3]string{
			{http.MethodPost, submitURL, `{"job_type":"analyze","idempotency_key":"k","run_at":%q}`},
			{http.MethodPost, "/api/v1/jobs/retry", `{"status":"failed","created_after":%q}`},
			{http.MethodPost, "/api/v1/jobs/retry", `{"status":"failed","created_before":%q}`},
			{http.MethodPost, "/api/v1/auth/keys", `{"owner":"x","role":"viewer","expires_at":%q}`},
			{http.MethodPatch, key, `{"expires_at":%q}`},
			{http.MethodGet, "/api/v1/jobs?created_after=", ""},
			{http.MethodGet, "/api/v1/jobs?created_before=", ""},
			{http.MethodGet, "/api/v1/audit/logs?after=", ""},
			{http.MethodGet, "/api/v1/audit/logs?before=", ""},
			{http.MethodGet, "/api/v1/audit/logs/export?after=", ""},
			{http.MethodGet, "/api/v1/dead-letters?after=", ""},
			{http.MethodGet, "/api/v1/dead-letters?before=", ""},
		} {
			path, body := tc[1], ""
			if tc[2] == "" {
				path += url.QueryEscape(at)
			} else {
				body = fmt.Sprintf(tc[2], at)
			}
			p := c.send(tc[0], path, body).fails(http.StatusUnprocessableEntity, "validation_error")
			require.Contains(t, p.Detail, "within the years 1 to 9999", path)
		}
	}
	c.send(http.MethodPatch, key, `{"expires_at":null,"rate_limit_per_minute":null}`).is(http.StatusOK, nil)
	c.send(http.MethodPatch, key, `{"expires_at":"9999-12-31T23:59:59Z","rate_limit_per_minute":7}`).is(http.StatusOK, nil)
	c.send(http.MethodGet, "/api/v1/jobs?created_after=0001-01-01T00:00:00Z", "").is(http.StatusOK, nil)
}

func TestAddressesThatAreRefused(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	c := g.role(identity.Admin)
	for path, detail := range map[string]string{
		"/api/v1/jobs?tag=a%00b":                "query.tag: must not contain the character NUL",
		"/api/v1/jobs?created_by=%ff":           "query.created_by: not valid UTF-8",
		"/api/v1/jobs?limit=1&limit=2":          "query.limit: given twice",
		"/api/v1/audit/logs?actor=%00":          "query.actor: must not contain the character NUL",
		"/api/v1/dead-letters?reason=%00":       "query.reason: must not contain the character NUL",
		"/api/v1/events?owner=%00":              "query.owner: must not contain the character NUL",
		"/api/v1/analysis/runs?document_id=%00": "query.document_id: must not contain the character NUL",
	} {
		require.Equal(t, detail, c.send(http.MethodGet, path, "").fails(http.StatusUnprocessableEntity, "validation_error").Detail)
	}
	require.Contains(t, c.send(http.MethodPut, "/api/v1/features/a%00b", `{"enabled":true}`).fails(http.StatusUnprocessableEntity, "validation_error").Detail, "path.name")
}

// A schema of payloads costs at most so much, whatever it and the payload hold.
func TestSchemasCostLittle(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Operator)
	branching := `{"$ref":"#/$defs/a0","$defs":{"a40":{"type":"string"}`
	for i := range 40 {
		branching += fmt.Sprintf(`,"a%d":{"anyOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]}`, i, i+1, i+1)
	}
	branching += `}}`
	types := []contract.JobType{}
	payloads := map[string]string{}
	for name, tc := range map[string][2]string{
		"numbers":   {`{"properties":{"n":{"items":{"minimum":0,"multipleOf":3e-300}}}}`, `{"n":[` + strings.Repeat("1e-300,", 60_000) + `1]}`},
		"enum":      {`{"properties":{"n":{"items":{"enum":[` + strings.Repeat("1,", 10_000) + `2]}}}}`, `{"n":[` + strings.Repeat("3,", 100_000) + `3]}`},
		"branching": {branching, `{}`},
		"negated":   {`{"not":{"$ref":"#/$defs/a0"},` + strings.TrimPrefix(branching, `{"$ref":"#/$defs/a0",`), `{}`},
		"pattern":   {`{"properties":{"n":{"pattern":"(.{900}x)|(.{800}y)"}}}`, `{"n":"` + strings.Repeat("a", 500_000) + `"}`},
	} {
		types = append(types, contract.JobType{Name: name, Queue: contract.QueueCorpus, MaxAttempts: 3, Enabled: true, PayloadSchema: []byte(tc[0])})
		payloads[name] = tc[1]
	}
	w.answer(contract.RPCJobsTypes, always(contract.JobTypesReply{JobTypes: types}))
	for name, payload := range payloads {
		began := time.Now()
		p := c.send(http.MethodPost, submitURL, fmt.Sprintf(`{"job_type":%q,"payload":%s}`, name, payload)).fails(http.StatusUnprocessableEntity, "validation_error")
		require.Contains(t, p.Detail, "payload", name)
		// A second on a machine at rest, and for ever without a bound.
		require.Less(t, time.Since(began), time.Minute, name)
		t.Log(name, time.Since(began), p.Detail)
	}
}

func TestSchemasThatAreRefused(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	c := g.role(identity.Admin)
	for schema, detail := range map[string]string{
		`{"multipleOf":1e-1000001}`:                                  "body.payload_schema.multipleOf: the exponent",
		`{"properties":{"n":{"minimum":1e999}}}`:                     "body.payload_schema.properties.n.minimum: the exponent",
		`{"multipleOf":0}`:                                           "payload_schema",
		`{"$ref":"https://example.com/schema.json"}`:                 "payload_schema",
		`{"$ref":"file:///etc/passwd"}`:                              "payload_schema",
		`{"$schema":"https://example.com/dialect"}`:                  "payload_schema",
		`{"pattern":"` + strings.Repeat("(x{1000})", 100) + `"}`:     "payload_schema",
		`{"pattern":"` + strings.Repeat("a", 2000) + `"}`:            "payload_schema",
		`{"pattern":"("}`:                                            "payload_schema",
		`{"allOf":[` + strings.Repeat(`{"$ref":"#"},`, 600) + `{}]}`: "payload_schema",
	} {
		body := `{"name":"t","queue":"corpus","payload_schema":` + schema + `}`
		p := c.send(http.MethodPost, "/api/v1/job-types", body).fails(http.StatusUnprocessableEntity, "validation_error")
		require.Contains(t, p.Detail, detail, "%.100s", schema)
		c.send(http.MethodPut, "/api/v1/job-types/analyze", `{"queue":"corpus","payload_schema":`+schema+`}`).fails(http.StatusUnprocessableEntity, "validation_error")
		c.send(http.MethodPatch, "/api/v1/job-types/analyze", `{"payload_schema":`+schema+`}`).fails(http.StatusUnprocessableEntity, "validation_error")
	}
	for _, schema := range []string{`{"$ref":"#"}`, `{"minLength":1e300}`, `{"multipleOf":1e-400}`, `{"$ref":"#/$defs/a","$defs":{"a":{"properties":{"x":{"$ref":"#/$defs/a"}}}}}`, `{"$schema":"http://json-schema.org/draft-07/schema#","format":"regex"}`} {
		c.send(http.MethodPut, "/api/v1/job-types/analyze", `{"queue":"corpus","payload_schema":`+schema+`}`).is(http.StatusOK, nil)
	}
}
