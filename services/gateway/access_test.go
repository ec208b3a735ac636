package gateway_test

import (
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway"
)

// operation is one row of the table of who may do what.
type operation struct {
	method, path string
	// least is the least role; empty means that no key is needed.
	least identity.Role
	body  string
}

// operations is every operation of the API, with a body that is good enough to
// get past the decoder where one is needed.
func operations() []operation {
	bodies := map[string]string{
		"POST /api/v1/jobs/submit":       `{"job_type":"analyze"}`,
		"POST /api/v1/analyze":           `{"document_id":"` + uuid.NewString() + `","execution_mode":"async"}`,
		"POST /api/v1/auth/keys":         `{"owner":"new","role":"viewer"}`,
		"PATCH /api/v1/auth/keys/{id}":   `{"enabled":false}`,
		"PUT /api/v1/features/{name}":    `{"enabled":false}`,
		"PUT /api/v1/log-level":          `{"level":"info"}`,
		"POST /api/v1/jobs/batch":        `{"jobs":[{"job_type":"analyze"}]}`,
		"POST /api/v1/jobs/retry":        `{"status":"failed"}`,
		"POST /api/v1/job-types":         `{"name":"brew_tea","queue":"kitchen"}`,
		"PUT /api/v1/job-types/{name}":   `{}`,
		"PATCH /api/v1/job-types/{name}": `{"enabled":false}`,
		"POST /api/v1/webhooks":          `{"url":"https://example.com/hook"}`,
		"PATCH /api/v1/webhooks/{id}":    `{"enabled":false}`,
		"POST /api/v1/ingest/batch":      `{}`,
		"POST /api/v1/corpus/seed":       `{"title":"Frankenstein"}`,

		"POST /api/v1/evolve/branch":       `{"root_document_id":"d","event_type":"natural_drift"}`,
		"POST /api/v1/evolve/multi":        `{"root_document_id":"d","events":[{"event_type":"natural_drift"}]}`,
		"POST /api/v1/branches/merge":      `{"left_branch_id":"a","right_branch_id":"b"}`,
		"POST /api/v1/remix":               `{"source_document_id":"d","target_branch_id":"b","strategy":"interleave"}`,
		"POST /api/v1/remix/compose":       `{"source_document_id":"d","target_branch_id":"b","strategy":"interleave"}`,
		"POST /api/v1/governance/evaluate": `{"candidate_output":"a text"}`,
	}
	var out []operation
	for _, r := range gateway.Access() {
		out = append(out, operation{method: r.Method, path: r.Path, least: r.Least, body: bodies[r.Method+" "+r.Path]})
	}
	return out
}

func (o operation) url() string {
	id := uuid.NewString()
	if strings.HasPrefix(o.path, "/api/v1/dead-letters/") {
		id = "7"
	}
	name := "on"
	if strings.HasPrefix(o.path, "/api/v1/job-types/") {
		name = contract.JobAnalyze
	}
	return strings.NewReplacer("{id}", id, "{name}", name, "{delivery}", id, "{other}", id, "{number}", "1").Replace(o.path)
}

// good is the status of an answer to whoever may ask.
func (o operation) good() int {
	switch o.method + " " + o.path {
	case "POST /api/v1/auth/keys", "POST /api/v1/webhooks":
		return http.StatusCreated
	case "POST /api/v1/ingest/batch":
		return http.StatusAccepted // the job never ends, and nobody waits long
	case "DELETE /api/v1/webhooks/{id}":
		return http.StatusNoContent
	}
	return http.StatusOK
}

// openAPI is what these tests read of the document.
type openAPI struct {
	OpenAPI string                              `json:"openapi"`
	Info    struct{ Title, Version string }     `json:"info"`
	Paths   map[string]map[string]documentation `json:"paths"`

	Components struct {
		Responses       map[string]documentedResponse `json:"responses"`
		SecuritySchemes map[string]map[string]string  `json:"securitySchemes"`
		Schemas         map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

type documentation struct {
	OperationID string                        `json:"operationId"`
	Summary     string                        `json:"summary"`
	Security    []map[string][]string         `json:"security"`
	Responses   map[string]documentedResponse `json:"responses"`
}

type documentedResponse struct {
	Ref     string `json:"$ref"`
	Content map[string]struct {
		Schema struct {
			Ref string `json:"$ref"`
		} `json:"schema"`
	} `json:"content"`
}

func document(t testing.TB) openAPI {
	t.Helper()
	text, err := gateway.OpenAPI("1.2.3")
	require.NoError(t, err)
	var doc openAPI
	require.NoError(t, json.Unmarshal(text, &doc))
	for _, methods := range doc.Paths {
		for _, op := range methods {
			for status, r := range op.Responses {
				if r.Ref != "" {
					require.Contains(t, doc.Components.Responses, path.Base(r.Ref))
					op.Responses[status] = doc.Components.Responses[path.Base(r.Ref)]
				}
			}
		}
	}
	return doc
}

func TestTableHoldsEveryOperation(t *testing.T) {
	t.Parallel()
	var documented, listed []string
	for route, methods := range document(t).Paths {
		for method := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+route)
		}
	}
	for _, o := range operations() {
		listed = append(listed, o.method+" "+o.path)
	}
	require.ElementsMatch(t, documented, listed)
}

func TestEveryOperationForEveryRole(t *testing.T) {
	t.Parallel()
	_, g := start(t, with(impatient))
	clients := map[identity.Role]client{"": g.nobody()}
	for _, role := range identity.Roles() {
		clients[role] = g.role(role)
	}
	unknown := g.as("stranger")
	for _, o := range operations() {
		t.Run(o.method+" "+o.path, func(t *testing.T) {
			t.Parallel()
			for role, c := range clients {
				c.t = t
				r := c.send(o.method, o.url(), o.body)
				switch {
				case o.path == "/api/v1/auth/token/refresh" && role != "":
					r.fails(http.StatusForbidden, "forbidden")
				case o.least == "" || role.Allows(o.least):
					r.is(o.good(), nil)
				case role == "":
					require.Equal(t, "Missing or invalid API key", r.fails(http.StatusUnauthorized, "unauthorized").Detail)
				default:
					require.Equal(t, "Role '"+string(role)+"' lacks required permission '"+string(o.least)+"'", r.fails(http.StatusForbidden, "forbidden").Detail)
				}
			}
			stranger := unknown
			stranger.t = t
			if r := stranger.send(o.method, o.url(), o.body); o.least == "" {
				r.is(http.StatusOK, nil)
			} else {
				r.fails(http.StatusUnauthorized, "unauthorized")
			}
		})
	}
}

func TestOneAnswerToEveryBadKey(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	good := keyOf(ownerOf(identity.Viewer))
	for name, header := range map[string]http.Header{
		"none":              {},
		"empty":             {apiKey: {""}},
		"unknown":           {apiKey: {"nobody's key"}},
		"513 bytes":         {apiKey: {strings.Repeat("k", 513)}},
		"other case":        {apiKey: {strings.ToUpper(good)}},
		"basic":             {"Authorization": {"Basic " + good}},
		"no scheme":         {"Authorization": {good}},
		"bearer of nothing": {"Authorization": {"Bearer "}},
		"bearer unknown":    {"Authorization": {"Bearer nope"}},
		"a bad key first":   {apiKey: {"nope"}, "Authorization": {"Bearer " + good}},
		"hash of the key":   {apiKey: {identity.HashKey(good)}},
	} {
		p := g.client(header).send(http.MethodGet, "/api/v1/auth/whoami", "").fails(http.StatusUnauthorized, "unauthorized")
		require.Equal(t, "Missing or invalid API key", p.Detail, name)
	}
	asked := len(w.requests(contract.RPCAuthVerify))
	g.client(http.Header{apiKey: {strings.Repeat("k", 513)}}).send(http.MethodGet, "/api/v1/auth/whoami", "").fails(http.StatusUnauthorized, "unauthorized")
	require.Len(t, w.requests(contract.RPCAuthVerify), asked, "nobody is asked about what cannot be a key")
	for name, header := range map[string]http.Header{
		"key":            {apiKey: {good}},
		"bearer":         {"Authorization": {"Bearer " + good}},
		"bearer in caps": {"Authorization": {"BEARER  " + good + " "}},
	} {
		require.Equal(t, http.StatusOK, g.client(header).send(http.MethodGet, "/api/v1/auth/whoami", "").status, name)
	}
}

func TestWhoAmI(t *testing.T) {
	t.Parallel()
	for _, rawEnabled := range []bool{true, false} {
		w, g := start(t, with(func(c *gateway.Config) { c.RawModeEnabled = rawEnabled }))
		w.caller(contract.VerifyReply{Owner: "raw-operator", Role: "operator", RawModeEnabled: true})
		w.caller(contract.VerifyReply{Owner: "public-admin", Role: "admin"})
		for owner, want := range map[string]struct {
			role  string
			raw   bool
			modes []string
		}{
			ownerOf(identity.Viewer):     {"viewer", false, []string{}},
			ownerOf(identity.Operator):   {"operator", false, []string{"PUBLIC"}},
			ownerOf(identity.Researcher): {"researcher", true, []string{"PUBLIC", "RAW"}},
			ownerOf(identity.Admin):      {"admin", true, []string{"PUBLIC", "RAW"}},
			"raw-operator":               {"operator", true, []string{"PUBLIC"}},
			"public-admin":               {"admin", false, []string{"PUBLIC"}},
		} {
			if !rawEnabled {
				want.modes = slices.DeleteFunc(want.modes, func(m string) bool { return m == "RAW" })
			}
			var me struct {
				APIKeyID       string   `json:"api_key_id"`
				Owner          string   `json:"owner"`
				Role           string   `json:"role"`
				RawModeEnabled bool     `json:"raw_mode_enabled"`
				AllowedModes   []string `json:"allowed_modes"`
			}
			g.as(owner).send(http.MethodGet, "/api/v1/auth/whoami", "").is(http.StatusOK, &me)
			require.Equal(t, owner, me.Owner)
			require.Equal(t, want.role, me.Role)
			require.Equal(t, want.raw, me.RawModeEnabled)
			require.Equal(t, want.modes, me.AllowedModes, "%s with RAW %t", owner, rawEnabled)
			require.NoError(t, uuid.Validate(me.APIKeyID))
		}
	}
}

func TestAnswersAboutKeysAreRememberedForSeconds(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	owner := ownerOf(identity.Operator)
	c := g.as(owner)
	whoami := func() reply { return c.send(http.MethodGet, "/api/v1/auth/whoami", "") }
	verifies := func() int { return len(w.requests(contract.RPCAuthVerify)) }
	for range 20 {
		whoami().is(http.StatusOK, nil)
	}
	require.Equal(t, 1, verifies(), "one question for many requests")

	// A key that is taken away works on until the answer is forgotten.
	w.disable(owner)
	w.clock.advance(5*time.Second - time.Nanosecond)
	whoami().is(http.StatusOK, nil)
	require.Equal(t, 1, verifies())
	w.clock.advance(time.Nanosecond)
	whoami().fails(http.StatusUnauthorized, "unauthorized")
	require.Equal(t, 2, verifies())
	// Refusals are not remembered: a key that is given back works at once.
	w.caller(contract.VerifyReply{Owner: owner, Role: "viewer"})
	whoami().is(http.StatusOK, nil)
	require.Equal(t, 3, verifies())
	require.Equal(t, http.StatusForbidden, c.send(http.MethodPost, submitURL, `{"job_type":"analyze"}`).status, "and has its new role")
}

func TestAuthAway(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	known := g.role(identity.Viewer)
	known.send(http.MethodGet, "/api/v1/auth/whoami", "").is(http.StatusOK, nil)
	w.stop["auth"]()
	g.role(identity.Admin).send(http.MethodGet, "/api/v1/auth/whoami", "").fails(http.StatusServiceUnavailable, "unavailable")
	known.send(http.MethodGet, "/api/v1/auth/whoami", "").is(http.StatusOK, nil)
	g.nobody().send(http.MethodGet, "/healthz", "").is(http.StatusOK, nil)
}

func TestAuthSaysNonsense(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	for name, nonsense := range map[string]answer{
		"unknown role": always(contract.VerifyReply{Owner: "x", Role: "root"}),
		"no role":      always(map[string]string{}),
		"a list":       always([]string{"admin"}),
	} {
		w.answer(contract.RPCAuthVerify, nonsense)
		p := g.as("x").send(http.MethodGet, "/api/v1/auth/whoami", "").fails(http.StatusInternalServerError, "internal")
		require.NotContains(t, p.Detail, "role", name)
	}
	w.answer(contract.RPCAuthVerify, refuses(fault.New(fault.RateLimited, "", "Slow down.")))
	require.Equal(t, "Slow down.", g.as("x").send(http.MethodGet, "/api/v1/auth/whoami", "").fails(http.StatusTooManyRequests, "rate_limited").Detail)
}

func TestDeniedRequestsAreAudited(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	events := w.events(contract.AreaAuth)
	g.role(identity.Viewer).send(http.MethodPost, "/api/v1/jobs/"+uuid.NewString()+"/cancel", "", requestID, "denied-1").fails(http.StatusForbidden, "forbidden")
	e := testkit.Receive(t, events)
	require.Equal(t, "nexus.auth.denied.v1", e.Type)
	require.Equal(t, ownerOf(identity.Viewer), e.Actor)
	require.Equal(t, "denied-1", e.RequestID)
	require.Equal(t, "nexus.gateway", e.Source)
	require.Equal(t, w.clock.now(), e.Time)
	var d contract.AuthDecision
	require.NoError(t, json.Unmarshal(e.Data, &d))
	hash := identity.HashKey(keyOf(ownerOf(identity.Viewer)))
	require.Equal(t, contract.AuthDecision{
		KeyHashPrefix: hash[:12], Role: "viewer", RequiredRole: "operator", Endpoint: "POST /api/v1/jobs/{id}/cancel", Address: "127.0.0.1",
	}, d)
	require.NotContains(t, string(e.Data), hash)

	// A trail that cannot be written must not change the answer.
	require.NoError(t, w.js.DeleteStream(t.Context(), contract.StreamEvents))
	g.role(identity.Viewer).send(http.MethodPost, submitURL, `{}`).fails(http.StatusForbidden, "forbidden")
	testkit.Eventually(t, func() bool { return strings.Contains(w.log.String(), "auth events could not be published") }, "it is logged")
}
