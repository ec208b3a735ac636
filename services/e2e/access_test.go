package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// routeRow is a row of docs/routes.md.
var routeRow = regexp.MustCompile("(?m)^\\| ([A-Z]+) \\| `([^`]+)` \\| ([a-z]+) \\|$")

// level orders who asks, from nobody to an admin.
func levels() []string { return []string{"none", "viewer", "operator", "researcher", "admin"} }

func levelOf(role string) int {
	for i, l := range levels() {
		if l == role {
			return i
		}
	}
	return len(levels())
}

// Every route, for every role and for no key, as the documentation says.
func TestEveryRouteForEveryRole(t *testing.T) {
	t.Parallel()
	p := oneProcess(t)
	page, err := os.ReadFile("../../docs/routes.md")
	require.NoError(t, err)
	rows := routeRow.FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(rows), 20)
	keys := map[string]string{"none": "", "viewer": viewerKey, "operator": operatorKey, "researcher": researcherKey, "admin": adminKey}
	for _, row := range rows {
		method, least := row[1], row[3]
		path := strings.NewReplacer("{id}", uuid.NewString(), "{name}", "nothing").Replace(row[2])
		for role, key := range keys {
			// An empty body is refused only once the caller is let in.
			status, answer := asks(t, p, key, method, path)
			switch {
			case levelOf(role) >= levelOf(least):
				require.NotContains(t, []int{http.StatusUnauthorized, http.StatusInternalServerError}, status, "%s %s as %s: %s", method, path, role, answer)
				if status == http.StatusForbidden {
					require.NotContains(t, answer, "lacks required permission", "%s %s as %s", method, path, role)
				}
			case role == "none":
				require.Equal(t, http.StatusUnauthorized, status, "%s %s: %s", method, path, answer)
				require.Contains(t, answer, `"Missing or invalid API key"`)
			default:
				require.Equal(t, http.StatusForbidden, status, "%s %s as %s: %s", method, path, role, answer)
				require.Contains(t, answer, fmt.Sprintf("Role '%s' lacks required permission '%s'", role, least))
			}
		}
	}
}

func asks(t testing.TB, p platform, key, method, path string) (status int, answer string) {
	t.Helper()
	if strings.HasSuffix(path, "/events") {
		// A stream lasts; a place that is none is refused once the caller is let in.
		path += "?last_event_id=nonsense"
	}
	return client{t, p.http, key}.text(method, path, "{}", nil)
}

// Tokens that nobody here has signed, or not for this, open nothing.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	const secret = "an-end-to-end-secret-of-more-than-32-bytes"
	p := oneProcess(t, "NEXUS_JWT_SECRET="+secret, "NEXUS_AUTH_FAILURES_PER_MINUTE=0")
	admin := client{t, p.http, adminKey}
	_, issued, _ := admin.call(http.MethodPost, "/api/v1/auth/token", nil)
	good, _ := issued["access_token"].(string)
	parts := strings.Split(good, ".")
	require.Len(t, parts, 3)
	var header, claims map[string]any
	decode(t, parts[0], &header)
	decode(t, parts[1], &claims)
	whoami := func(token string) int {
		status, _ := client{t: t, base: p.http}.text(http.MethodGet, "/api/v1/auth/whoami", "", map[string]string{"Authorization": "Bearer " + token})
		return status
	}
	forge := func(changeHeader, changeClaims map[string]any, key string) string {
		return sign(t, changed(header, changeHeader), changed(claims, changeClaims), key)
	}
	require.Equal(t, http.StatusOK, whoami(good))
	require.Equal(t, http.StatusOK, whoami(forge(nil, nil, secret)), "the forger does what the signer does")
	now := time.Now()
	for name, bad := range map[string]string{
		"alg none":         encode(t, changed(header, map[string]any{"alg": "none"})) + "." + parts[1] + ".",
		"alg None":         encode(t, changed(header, map[string]any{"alg": "None"})) + "." + parts[1] + "." + parts[2],
		"alg HS512":        forge(map[string]any{"alg": "HS512"}, nil, secret),
		"alg EdDSA":        forge(map[string]any{"alg": "EdDSA"}, nil, secret),
		"another key":      forge(nil, nil, secret+"!"),
		"wrong audience":   forge(nil, map[string]any{"aud": "others"}, secret),
		"wrong issuer":     forge(nil, map[string]any{"iss": "others"}, secret),
		"expired":          forge(nil, map[string]any{"exp": now.Add(-time.Second).Unix()}, secret),
		"not yet":          forge(nil, map[string]any{"nbf": now.Add(time.Minute).Unix()}, secret),
		"no expiry":        forge(nil, map[string]any{"exp": nil}, secret),
		"unknown kid":      forge(map[string]any{"kid": "../../etc/passwd"}, nil, secret),
		"no kid":           forge(map[string]any{"kid": nil}, nil, secret),
		"tampered":         parts[0] + "." + encode(t, changed(claims, map[string]any{"role": "admin", "sub": uuid.NewString()})) + "." + parts[2],
		"unknown role":     forge(nil, map[string]any{"role": "root"}, secret),
		"of no key":        forge(nil, map[string]any{"sub": uuid.NewString()}, secret),
		"10 kB":            forge(nil, map[string]any{"owner": strings.Repeat("x", 10_000)}, secret),
		"a trailing dot":   good + ".",
		"without its head": strings.TrimPrefix(good, "ey"),
	} {
		require.Equal(t, http.StatusUnauthorized, whoami(bad), name)
	}
	// Who still writes when a request is refused may miss the answer.
	require.Eventually(t, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.http+"/api/v1/auth/whoami", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 100_000))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
		return true
	}, patience, time.Millisecond)

	// What was signed for a key ends with it, and sinks with it.
	_, made, _ := admin.call(http.MethodPost, "/api/v1/auth/keys", map[string]any{"owner": "ann", "role": "researcher"})
	key, id := made["api_key"].(string), made["api_key_id"].(string)
	_, issued, _ = client{t, p.http, key}.call(http.MethodPost, "/api/v1/auth/token", nil)
	token, _ := issued["access_token"].(string)
	role := func() any {
		_, me := client{t: t, base: p.http}.text(http.MethodGet, "/api/v1/auth/whoami", "", map[string]string{"Authorization": "Bearer " + token})
		var who map[string]any
		require.NoError(t, json.Unmarshal([]byte(me), &who))
		return who["role"]
	}
	require.Equal(t, "researcher", role())
	admin.call(http.MethodPatch, "/api/v1/auth/keys/"+id, map[string]any{"role": "viewer"})
	require.Eventually(t, func() bool { return role() == "viewer" }, time.Second, 10*time.Millisecond)
	admin.call(http.MethodPatch, "/api/v1/auth/keys/"+id, map[string]any{"enabled": false})
	require.Eventually(t, func() bool { return whoami(token) == http.StatusUnauthorized }, time.Second, 10*time.Millisecond)
}

func changed(m, by map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	for k, v := range by {
		if v == nil {
			delete(out, k)
			continue
		}
		out[k] = v
	}
	return out
}

func decode(t testing.TB, part string, into any) {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(part)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}

func encode(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString(data)
}

func sign(t testing.TB, header, claims map[string]any, secret string) string {
	t.Helper()
	signed := encode(t, header) + "." + encode(t, claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// threeGateways is a platform with two more gateways beside its own.
func threeGateways(t *testing.T) (platform, []string) {
	t.Helper()
	p := oneProcess(t)
	bases := []string{p.http}
	for range 2 {
		g := launch(t, t.TempDir(), []string{
			"NEXUS_HTTP_ADDR=127.0.0.1:0", "NEXUS_NATS_URL=" + p.nats, "NEXUS_NATS_KEYS_DIR=" + filepath.Join(p.data, "keys"),
			"NEXUS_SCHEMA_MANAGEMENT_MODE=off", "NEXUS_CORPUS_ROOT=" + corpusRoot(t),
		}, "gateway")
		bases = append(bases, g.http)
	}
	return p, bases
}

// One limit holds across three gateways, and a key that ends, ends at all of
// them within a second, at the NATS door as well.
//
// It runs before the tests that run at once: a gateway that gets no processor for
// half a second looks to the others as if it were away.
func TestGuaranteeLimitsAndRevocationsHoldAcrossGateways(t *testing.T) {
	p, bases := threeGateways(t)
	admin := client{t, p.http, adminKey}
	const limit = 600
	_, made, _ := admin.call(http.MethodPost, "/api/v1/auth/keys", map[string]any{"owner": "ann", "role": "operator", "rate_limit_per_minute": limit})
	key, id := made["api_key"].(string), made["api_key_id"].(string)

	var mu sync.Mutex
	var wg sync.WaitGroup
	answers := map[int]int{}
	began := time.Now()
	for _, base := range bases {
		for range 2 {
			wg.Go(func() {
				c := client{t, base, key}
				for range 300 {
					status, _ := c.text(http.MethodGet, "/api/v1/auth/whoami", "", nil)
					mu.Lock()
					answers[status]++
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	refilled := limit * time.Since(began).Minutes()
	require.Len(t, answers, 2, answers)
	require.InDelta(t, limit+refilled, answers[http.StatusOK], limit/10, answers)
	require.Positive(t, answers[http.StatusTooManyRequests])

	admin.call(http.MethodPatch, "/api/v1/auth/keys/"+id, map[string]any{"rate_limit_per_minute": nil})
	whoami := func(base string) int {
		status, _ := client{t, base, key}.text(http.MethodGet, "/api/v1/auth/whoami", "", nil)
		return status
	}
	for _, base := range bases {
		require.Eventually(t, func() bool { return whoami(base) == http.StatusOK }, time.Second, 10*time.Millisecond)
	}
	closed := make(chan struct{})
	nc, err := nats.Connect(p.nats, nats.Token(key), nats.CustomInboxPrefix(contract.InboxPrefix("ann")), nats.ReconnectWait(10*time.Millisecond),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	require.NoError(t, err)
	defer nc.Close()
	status, _, _ := admin.call(http.MethodPatch, "/api/v1/auth/keys/"+id, map[string]any{"enabled": false})
	require.Equal(t, http.StatusOK, status)
	for _, base := range bases {
		require.Eventually(t, func() bool { return whoami(base) == http.StatusUnauthorized }, time.Second, 10*time.Millisecond)
	}
	testkit.Receive(t, closed)
}

// The trail of a session is whole, and a changed row is found.
func TestAuditVerify(t *testing.T) {
	t.Parallel()
	p := oneProcess(t)
	client{t, p.http, operatorKey}.submit(map[string]any{"job_type": "integrity_audit", "execution_mode": "sync"})
	db := testkit.OpenPostgres(t, p.database, "")
	require.Eventually(t, func() bool {
		var n int
		err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM audit.audit_logs WHERE action = 'job_succeeded'`).Scan(&n)
		return err == nil && n > 0
	}, patience, 20*time.Millisecond)
	verify := func(args ...string) (string, error) {
		out, err := command(t, t.TempDir(), []string{"NEXUS_DATABASE_URL=" + p.database}, append([]string{"audit", "verify"}, args...)...).CombinedOutput()
		return string(out), err
	}
	out, err := verify()
	require.NoError(t, err, out)
	require.Contains(t, out, "The audit trail is whole")
	_, head, ok := strings.Cut(out, "Head ")
	require.True(t, ok)
	out, err = verify("--expect", strings.TrimSpace(head), "--from", "2020-01-01")
	require.NoError(t, err, out)
	for _, bad := range [][]string{{"--from", "yesterday"}, {"--nonsense"}, {"more"}} {
		out, err = verify(bad...)
		require.Error(t, err)
		require.Contains(t, out, "nexus audit verify", bad)
	}
	for _, stmt := range []string{
		`ALTER TABLE audit.audit_logs DISABLE TRIGGER USER`, `UPDATE audit.audit_logs SET actor = 'somebody' WHERE action = 'job_succeeded'`,
	} {
		_, err := db.Pool.Exec(t.Context(), stmt)
		require.NoError(t, err)
	}
	out, err = verify()
	require.Error(t, err)
	require.Contains(t, out, "the audit trail is broken")

	// An export has every entry, and says so.
	status, lines := client{t, p.http, adminKey}.text(http.MethodGet, "/api/v1/audit/logs/export?action=job_succeeded", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, lines, `{"complete":true,"entries":1}`)
}
