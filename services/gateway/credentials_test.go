package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway"
)

const whoamiURL = "/api/v1/auth/whoami"

func (i *instance) bearing(token string) client {
	return i.client(http.Header{"Authorization": {"Bearer " + token}})
}

func TestTokensStandForTheirKeys(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	owner := ownerOf(identity.Researcher)
	c := g.bearing(w.bearer(owner))
	var me struct {
		Owner, Role  string
		AllowedModes []string `json:"allowed_modes"`
	}
	c.send(http.MethodGet, whoamiURL, "").is(http.StatusOK, &me)
	require.Equal(t, owner, me.Owner)
	require.Equal(t, []string{"PUBLIC", "RAW"}, me.AllowedModes)
	// The state of the key is asked for, not taken from the token.
	w.caller(contract.VerifyReply{KeyID: w.callers[owner].KeyID, Owner: owner, Role: "viewer"})
	w.tell("nexus.events.key.updated.viewer")
	testkit.Eventually(t, func() bool {
		return c.send(http.MethodPost, submitURL, `{"job_type":"ingest_batch"}`).status == http.StatusForbidden
	}, "a lowered role is lowered in tokens, too")
	w.disable(owner)
	w.tell("nexus.events.key.disabled.viewer")
	testkit.Eventually(t, func() bool { return c.send(http.MethodGet, whoamiURL, "").status == http.StatusUnauthorized }, "a disabled key ends its tokens")
}

// A key that was raised does not raise the tokens signed before.
func TestTokensNeverRise(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	owner := ownerOf(identity.Viewer)
	c := g.bearing(w.bearer(owner))
	w.caller(contract.VerifyReply{KeyID: w.callers[owner].KeyID, Owner: owner, Role: "admin"})
	require.Equal(t, "Role 'viewer' lacks required permission 'admin'", c.send(http.MethodGet, "/api/v1/auth/keys", "").fails(http.StatusForbidden, "forbidden").Detail)
}

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(func(c *gateway.Config) { c.AuthFailures = 0 }))
	good := w.bearer(ownerOf(identity.Admin))
	parts := strings.Split(good, ".")
	for name, bad := range map[string]string{
		"tampered": parts[0] + "." + parts[1] + "x." + parts[2], "unsigned": parts[0] + "." + parts[1] + ".", "two parts": parts[0] + "." + parts[1],
		"alg none": "eyJhbGciOiJub25lIn0." + parts[1] + ".", "10 kB": good + strings.Repeat("A", 10_000), "garbage": "ey.a.b", "a key": "nxk_0_0",
	} {
		p := g.bearing(bad).send(http.MethodGet, whoamiURL, "").fails(http.StatusUnauthorized, "unauthorized")
		require.Equal(t, "Missing or invalid API key", p.Detail, name)
	}
	c := g.bearing(good)
	c.send(http.MethodGet, whoamiURL, "").is(http.StatusOK, nil)
	w.clock.advance(15 * time.Minute)
	c.send(http.MethodGet, whoamiURL, "").fails(http.StatusUnauthorized, "unauthorized")
}

func TestTokensAreAskedForWithKeysAndRenewedWithTokens(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	owner := ownerOf(identity.Viewer)
	r := g.as(owner).send(http.MethodPost, "/api/v1/auth/token", "")
	r.is(http.StatusOK, nil)
	require.Equal(t, "no-store", r.header.Get("Cache-Control"))
	require.Equal(t, identity.HashKey(keyOf(owner)), lastRequest[contract.IssueTokenRequest](w, contract.RPCAuthToken).KeyHash)
	signed := w.bearer(owner)
	g.bearing(signed).send(http.MethodPost, "/api/v1/auth/token", "").fails(http.StatusForbidden, "forbidden")
	g.bearing(signed).send(http.MethodPost, "/api/v1/auth/token/refresh", "").is(http.StatusOK, nil)
	require.Equal(t, signed, lastRequest[contract.RefreshTokenRequest](w, contract.RPCAuthRefresh).Token)
	g.as(owner).send(http.MethodPost, "/api/v1/auth/token/refresh", "").fails(http.StatusForbidden, "forbidden")
}

func TestKeyChangesReachAuth(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	admin := g.role(identity.Admin)
	by := contract.Asker{Actor: ownerOf(identity.Admin), RequestID: "r-1", Address: "127.0.0.1"}
	const id = "01920000-0000-7000-8000-000000000001"
	limit, yes, role := 7, true, "viewer"
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for body, want := range map[string]contract.UpdateKeyRequest{
		`{}`:                               {},
		`{"enabled":true,"role":"viewer"}`: {Enabled: &yes, Role: &role},
		`{"raw_mode_enabled":true,"rate_limit_per_minute":7}`: {RawModeEnabled: &yes, RateLimitPerMinute: &limit},
		`{"rate_limit_per_minute":null,"expires_at":null}`:    {ClearRateLimit: true, ClearExpiry: true},
		`{"expires_at":"2030-01-01T00:00:00Z"}`:               {ExpiresAt: &at},
	} {
		admin.send(http.MethodPatch, "/api/v1/auth/keys/"+id, body, requestID, "r-1").is(http.StatusOK, nil)
		want.KeyID, want.Asker = id, by
		require.Equal(t, want, lastRequest[contract.UpdateKeyRequest](w, contract.RPCAuthKeyUpdate), body)
	}
	for _, bad := range []string{
		`{"rate_limit_per_minute":0}`, `{"rate_limit_per_minute":-1}`, `{"rate_limit_per_minute":1000001}`, `{"rate_limit_per_minute":"7"}`, `{"rate_limit_per_minute":1.5}`,
		`{"expires_at":"soon"}`, `{"role":"root"}`, `{"enabled":"yes"}`, `{"key_hash":"x"}`, `{"owner":"x"}`, `[]`, `7`,
	} {
		admin.send(http.MethodPatch, "/api/v1/auth/keys/"+id, bad).fails(http.StatusUnprocessableEntity, "validation_error")
	}
	for _, bad := range []string{
		`{"owner":"x"}`, `{"role":"viewer"}`, `{"owner":"","role":"viewer"}`, `{"owner":"a.b","role":"viewer"}`, `{"owner":"a b","role":"viewer"}`, `{"owner":"x","role":"VIEWER"}`,
		fmt.Sprintf(`{"owner":%q,"role":"viewer"}`, strings.Repeat("x", 65)), `{"owner":"x","role":"viewer","rate_limit_per_minute":-5}`,
		`{"owner":"x","role":"viewer","expires_at":"2026-13-01T00:00:00Z"}`, `{"owner":"x\u0000","role":"viewer"}`, `{"owner":"x","role":"viewer","enabled":true}`,
	} {
		admin.send(http.MethodPost, "/api/v1/auth/keys", bad).fails(http.StatusUnprocessableEntity, "validation_error")
	}
	admin.send(http.MethodGet, "/api/v1/auth/keys?limit=0", "").fails(http.StatusUnprocessableEntity, "validation_error")
	admin.send(http.MethodGet, "/api/v1/auth/keys/not-an-id", "").fails(http.StatusNotFound, "not_found")
	admin.send(http.MethodPut, "/api/v1/features/A%20B", `{}`).fails(http.StatusUnprocessableEntity, "validation_error")
	admin.send(http.MethodPut, "/api/v1/features/on", `{"min_role":"root"}`).fails(http.StatusUnprocessableEntity, "validation_error")
}

func TestFeaturesAreListedByRole(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change setting
		role   identity.Role
		want   []string
	}{
		"viewer":               {nil, identity.Viewer, []string{"on"}},
		"researcher":           {nil, identity.Researcher, []string{"on", "raw_mode"}},
		"settings say yes":     {func(c *gateway.Config, d *gateway.Deps) { c.ShadowEnabled, d.MLEnabled = true, true }, identity.Admin, []string{"ml_plugins", "on", "raw_mode", "shadow_execution"}},
		"too low for ml":       {func(c *gateway.Config, d *gateway.Deps) { c.ShadowEnabled, d.MLEnabled = true, true }, identity.Researcher, []string{"on", "raw_mode", "shadow_execution"}},
		"settings win with no": {with(func(c *gateway.Config) { c.RawModeEnabled = false }), identity.Admin, []string{"on"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := []setting{}
			if tc.change != nil {
				settings = append(settings, tc.change)
			}
			_, g := start(t, settings...)
			var got struct {
				Features []struct {
					Name    string `json:"name"`
					Enabled bool   `json:"enabled"`
					Open    bool   `json:"open"`
				} `json:"features"`
			}
			g.role(tc.role).send(http.MethodGet, "/api/v1/features", "").is(http.StatusOK, &got)
			names, all, off := []string{}, []string{}, []string{}
			for _, f := range got.Features {
				all = append(all, f.Name)
				if f.Open {
					names = append(names, f.Name)
				}
				if !f.Enabled {
					off = append(off, f.Name)
				}
			}
			require.Equal(t, tc.want, names)
			if tc.role != identity.Admin {
				require.Equal(t, names, all, "what is not open is nobody's concern")
				return
			}
			// Who turns features sees those that are off.
			require.NotEmpty(t, off)
			require.Subset(t, all, []string{"ml_plugins", "on", "raw_mode", "shadow_execution"})
		})
	}
}

// A feature that is turned off is off at every gateway at once, without waiting
// for what is remembered to grow old.
func TestFeatureChangesAreHeard(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	raw := func() int {
		return g.role(identity.Researcher).send(http.MethodPost, submitURL, `{"job_type":"analyze","payload":{"mode":"RAW"}}`).status
	}
	require.Equal(t, http.StatusOK, raw())
	w.answer(contract.RPCAuthFeatures, always(contract.FeaturesReply{Features: []contract.Feature{{Name: contract.FeatureRawMode, MinRole: "researcher"}}}))
	w.tell("nexus.events.feature.updated.raw_mode")
	testkit.Eventually(t, func() bool { return raw() == http.StatusForbidden }, "the clock stands still: only the event can have told it")
}

func TestKeyChangesAreHeard(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	owner := ownerOf(identity.Operator)
	require.Equal(t, http.StatusOK, g.as(owner).send(http.MethodGet, whoamiURL, "").status)
	w.disable(owner)
	w.tell("nexus.events.key.disabled.operator")
	testkit.Eventually(t, func() bool { return g.as(owner).send(http.MethodGet, whoamiURL, "").status == http.StatusUnauthorized }, "the clock stands still: only the event can have told it")
}

func TestLimitsOfKeys(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(func(c *gateway.Config) { c.RateLimits = "viewer=2" }))
	viewer := g.role(identity.Viewer)
	for left := 1; left >= 0; left-- {
		r := viewer.send(http.MethodGet, whoamiURL, "")
		r.is(http.StatusOK, nil)
		require.Equal(t, []string{"2", strconv.Itoa(left)}, []string{r.header.Get("RateLimit-Limit"), r.header.Get("RateLimit-Remaining")})
	}
	r := viewer.send(http.MethodGet, whoamiURL, "")
	r.fails(http.StatusTooManyRequests, "rate_limited")
	require.Equal(t, []string{"30", "60", "0"}, []string{r.header.Get("Retry-After"), r.header.Get("RateLimit-Reset"), r.header.Get("RateLimit-Remaining")})
	// Its tokens share the bucket of the key.
	g.bearing(w.bearer(ownerOf(identity.Viewer))).send(http.MethodGet, whoamiURL, "").fails(http.StatusTooManyRequests, "rate_limited")
	w.clock.advance(30 * time.Second)
	viewer.send(http.MethodGet, whoamiURL, "").is(http.StatusOK, nil)
	// A limit of its own goes before that of the role; other roles have none.
	w.caller(contract.VerifyReply{Owner: "own", Role: "viewer", RateLimitPerMinute: 3})
	for range 3 {
		g.as("own").send(http.MethodGet, whoamiURL, "").is(http.StatusOK, nil)
	}
	g.as("own").send(http.MethodGet, whoamiURL, "").fails(http.StatusTooManyRequests, "rate_limited")
	r = g.role(identity.Admin).send(http.MethodGet, whoamiURL, "")
	r.is(http.StatusOK, nil)
	require.Empty(t, r.header.Get("RateLimit-Limit"))
	// What needs no key has no limit.
	for range 5 {
		g.nobody().send(http.MethodGet, "/healthz", "").is(http.StatusOK, nil)
	}
}

func TestGuessingIsSlow(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(func(c *gateway.Config) { c.AuthFailures = 3 }))
	g.role(identity.Viewer).send(http.MethodGet, whoamiURL, "").is(http.StatusOK, nil)
	guess := func(i int) reply { return g.as("nobody-"+strconv.Itoa(i)).send(http.MethodGet, whoamiURL, "") }
	for i := range 3 {
		guess(i).fails(http.StatusUnauthorized, "unauthorized")
	}
	r := guess(3)
	r.fails(http.StatusTooManyRequests, "rate_limited")
	require.Equal(t, "20", r.header.Get("Retry-After"))
	guess(4).fails(http.StatusTooManyRequests, "rate_limited")
	asked, begun := len(w.requests(contract.RPCAuthVerify)), time.Now()
	guess(4).fails(http.StatusTooManyRequests, "rate_limited")
	g.bearing("ey.a.b").send(http.MethodGet, whoamiURL, "").fails(http.StatusTooManyRequests, "rate_limited")
	require.Greater(t, time.Since(begun), 2*time.Second, "each has to wait for its answer")
	require.Len(t, w.requests(contract.RPCAuthVerify), asked, "nobody is asked about the same guess again")
	g.role(identity.Viewer).send(http.MethodGet, whoamiURL, "").is(http.StatusOK, nil)
	g.nobody().send(http.MethodGet, whoamiURL, "").fails(http.StatusUnauthorized, "unauthorized")
	w.clock.advance(20 * time.Second)
	guess(5).fails(http.StatusUnauthorized, "unauthorized")
}

// Many may share an address. What is good is let in whatever others do there, also
// what this gateway has not seen before, and soon; what is bad is slow.
func TestGoodCredentialsAreNotRefusedForOthersFailures(t *testing.T) {
	t.Parallel()
	w, g := start(t, with(func(c *gateway.Config) { c.AuthFailures = 3 }))
	for i := range 4 {
		g.as("early-"+strconv.Itoa(i)).send(http.MethodGet, whoamiURL, "")
	}
	g.as("early-9").send(http.MethodGet, whoamiURL, "").fails(http.StatusTooManyRequests, "rate_limited")
	stop, rounds := make(chan struct{}), atomic.Int64{}
	var guessers sync.WaitGroup
	for i := range 40 {
		c := g.as("guesser-" + strconv.Itoa(i))
		guessers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if r := c.try(http.MethodGet, whoamiURL, "", apiKey, fmt.Sprintf("guess-%d-%d", i, n)); r.err != nil || r.status != http.StatusTooManyRequests {
					t.Errorf("a guess was answered %d %v", r.status, r.err)
					return
				}
				rounds.Add(1)
			}
		})
	}
	testkit.Eventually(t, func() bool { return rounds.Load() >= 40 }, "nobody guesses")
	begun := time.Now()
	for i := range 20 {
		owner := "new-" + strconv.Itoa(i)
		w.caller(contract.VerifyReply{Owner: owner, Role: "viewer"})
		g.as(owner).send(http.MethodGet, whoamiURL, "").is(http.StatusOK, nil)
		g.bearing(w.bearer(owner)).send(http.MethodGet, whoamiURL, "").is(http.StatusOK, nil)
	}
	require.Less(t, time.Since(begun), 20*time.Second, "each waits half a second at most, and usually less")
	guessed, took := rounds.Load(), time.Since(begun)
	close(stop)
	guessers.Wait()
	require.Less(t, guessed-40, int64(40*(took.Seconds()+2)), "a guess a second and client")
	// What was good a while ago is no guess, and one that ends is refused.
	w.clock.advance(6 * time.Second)
	g.as("new-0").send(http.MethodGet, whoamiURL, "").is(http.StatusOK, nil)
	w.disable("new-0")
	w.tell("nexus.events.key.disabled.viewer")
	testkit.Eventually(t, func() bool {
		return g.as("new-0").send(http.MethodGet, whoamiURL, "").status == http.StatusTooManyRequests
	}, "it has ended")
	// A key that was refused and is good now is let in once it was told.
	w.caller(contract.VerifyReply{Owner: "new-0", Role: "viewer"})
	w.tell("nexus.events.key.enabled.viewer")
	testkit.Eventually(t, func() bool { return g.as("new-0").send(http.MethodGet, whoamiURL, "").status == http.StatusOK }, "it is good again")
}

// Who stands behind a proxy is believed only where the proxy is known.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ proxies, forwarded, want string }{
		"no proxy":           {"", "1.2.3.4", "127.0.0.1"},
		"behind one":         {"127.0.0.0/8", "1.2.3.4", "1.2.3.4"},
		"forged in front":    {"127.0.0.0/8", "9.9.9.9, 1.2.3.4", "1.2.3.4"},
		"behind two":         {"127.0.0.0/8,10.0.0.0/8", "9.9.9.9, 1.2.3.4, 10.1.1.1", "1.2.3.4"},
		"nonsense":           {"127.0.0.0/8", "<script>", "127.0.0.1"},
		"nonsense in front":  {"127.0.0.0/8", "x, 1.2.3.4", "1.2.3.4"},
		"none but the proxy": {"127.0.0.0/8", "", "127.0.0.1"},
		"IPv6":               {"127.0.0.0/8", "2001:db8::1", "2001:db8::1"},
	} {
		w, g := start(t, with(func(c *gateway.Config) { c.TrustedProxies = tc.proxies }))
		events := w.events(contract.AreaAuth)
		g.role(identity.Viewer).send(http.MethodGet, whoamiURL, "", "X-Forwarded-For", tc.forwarded).is(http.StatusOK, nil)
		var d contract.AuthDecision
		require.NoError(t, json.Unmarshal(testkit.Receive(t, events).Data, &d))
		require.Equal(t, tc.want, d.Address, name)
	}
}

// Many good requests make few events, and each is counted.
func TestDecisionsAreCounted(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	events := w.events(contract.AreaAuth)
	const requests = 500
	c := g.role(identity.Operator)
	for range requests {
		c.send(http.MethodGet, whoamiURL, "").is(http.StatusOK, nil)
	}
	g.as("stranger").send(http.MethodGet, whoamiURL, "", requestID, "failed-1").fails(http.StatusUnauthorized, "unauthorized")
	good, told, failed := 0, 0, false
	for good < requests || !failed {
		e := testkit.Receive(t, events)
		var d contract.AuthDecision
		require.NoError(t, json.Unmarshal(e.Data, &d))
		if e.Type == contract.EventType(contract.AreaAuth, contract.WhatAuthFailure) {
			failed = true
			require.Equal(t, []string{"anonymous", "failed-1"}, []string{e.Actor, e.RequestID})
			require.Equal(t, contract.AuthDecision{
				KeyHashPrefix: identity.HashPrefix(identity.HashKey(keyOf("stranger"))), RequiredRole: "viewer", Endpoint: "GET " + whoamiURL, Address: "127.0.0.1",
			}, d)
			continue
		}
		require.Equal(t, ownerOf(identity.Operator), e.Actor)
		require.Equal(t, "GET "+whoamiURL, d.Endpoint)
		good += max(1, d.Count)
		told++
	}
	require.Equal(t, requests, good)
	require.Less(t, told, requests/10)
}
