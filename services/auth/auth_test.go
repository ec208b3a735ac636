package auth_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/auth"
)

func decision(t testing.TB, m message) contract.AuthDecision {
	t.Helper()
	var d contract.AuthDecision
	require.NoError(t, json.Unmarshal(m.Data, &d))
	return d
}

func TestVerify(t *testing.T) {
	t.Parallel()
	h := start(t)
	for owner, key := range devKeys() {
		got, err := h.verifyKey(key)
		require.NoError(t, err)
		role := strings.TrimPrefix(owner, "dev-")
		require.Equal(t, contract.VerifyReply{
			KeyID: h.keys()[owner].id, Owner: owner, Role: role, RawModeEnabled: role == "researcher" || role == "admin", KeyHashPrefix: identity.HashKey(key)[:12],
		}, got)
	}
}

// Whoever holds a bad key learns nothing about which keys there are.
func TestUnknownAndDisabledKeysGetTheSameAnswer(t *testing.T) {
	t.Parallel()
	h := start(t)
	_, unknown := h.verifyKey("nobody's key")
	h.exec(`UPDATE auth.api_keys SET enabled = false WHERE owner = 'dev-viewer'`)
	_, disabled := h.verifyKey(viewerKey)
	require.Equal(t, fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key"), unknown)
	require.Equal(t, unknown, disabled)
	h.exec(`UPDATE auth.api_keys SET enabled = true WHERE owner = 'dev-viewer'`)
	_, err := h.verifyKey(viewerKey)
	require.NoError(t, err, "and what is enabled again is good at once")
}

func TestVerifyTakesOnlyHashes(t *testing.T) {
	t.Parallel()
	h := start(t)
	good := identity.HashKey(viewerKey)
	for _, bad := range []string{
		"", viewerKey, good[1:], good + "0", strings.ToUpper(good), " " + good, good + "\n", strings.Repeat("g", 64), strings.Repeat("é", 32),
		"' OR true --" + good[12:], strings.Repeat("0", 1<<16),
	} {
		_, err := h.verify(contract.VerifyRequest{KeyHash: bad})
		require.Equal(t, fault.New(fault.Invalid, "bad_key_hash", "The key hash is not a SHA-256."), err, "%.80q", bad)
	}
	for _, nonsense := range []any{"text", 7, []string{good}, map[string]int{"key_hash": 7}} {
		_, err := bus.Call[contract.VerifyReply](t.Context(), h.nc, contract.RPCAuthVerify, nonsense)
		require.Equal(t, fault.Invalid, fault.KindOf(err), "%v", nonsense)
	}
	require.Empty(t, h.events, "none of them was a decision")
}

func TestOwner(t *testing.T) {
	t.Parallel()
	h := start(t)
	for owner, key := range devKeys() {
		byKey, err := h.verifyKey(key)
		require.NoError(t, err)
		byName, err := h.owner(owner)
		require.NoError(t, err)
		require.Equal(t, byKey, byName)
	}
	h.exec(`UPDATE auth.api_keys SET enabled = false WHERE owner = 'dev-viewer'`)
	want := fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key")
	for _, bad := range []string{"dev-viewer", "nobody", "", "DEV-ADMIN", "dev-admin ", "dev.admin", "*", ">", "a\x00b", "' OR true --", strings.Repeat("x", 65)} {
		_, err := h.owner(bad)
		require.Equal(t, want, err, "%q", bad)
	}
}

func TestPostgresAway(t *testing.T) {
	t.Parallel()
	h := servers(t)
	var db *pg.DB
	h.service(nil, func(d *auth.Deps) { db = d.DB })
	ping := func() error {
		_, err := bus.Call[struct{}](t.Context(), h.nc, contract.RPCPing("auth"), struct{}{})
		return err
	}
	require.NoError(t, ping())
	db.Close()
	want := fault.New(fault.Unavailable, "unavailable", "Keys cannot be checked now.")
	_, err := h.verifyKey(viewerKey)
	require.Equal(t, want, err)
	_, err = h.owner("dev-viewer")
	require.Equal(t, want, err)
	require.Equal(t, fault.New(fault.Unavailable, "unavailable", "Postgres does not answer."), ping())
	require.Empty(t, h.events, "nothing was decided")
}

func TestUseIsWrittenDownNowAndThen(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.exec(`CREATE TABLE writes (at timestamptz NOT NULL DEFAULT clock_timestamp())`)
	h.exec(`GRANT INSERT ON writes TO PUBLIC`)
	h.exec(`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.writes DEFAULT VALUES; RETURN NULL; END $$`)
	stop := h.service(nil)
	h.exec(`CREATE TRIGGER note AFTER UPDATE ON auth.api_keys FOR EACH STATEMENT EXECUTE FUNCTION note()`)
	for _, k := range h.keys() {
		require.Nil(t, k.lastUsed)
	}
	began := time.Now()
	const requests = 200
	for range requests {
		_, err := h.verifyKey(viewerKey)
		require.NoError(t, err)
	}
	_, err := h.verifyKey("nobody's key")
	require.Error(t, err)
	testkit.Eventually(t, func() bool { return h.keys()["dev-viewer"].lastUsed != nil }, "last_used_at did not move")
	first := *h.keys()["dev-viewer"].lastUsed
	_, err = bus.Call[contract.VerifyReply](t.Context(), h.nc, contract.RPCAuthOwner, contract.OwnerRequest{Owner: "dev-admin", Quiet: true})
	require.NoError(t, err)
	_, err = h.verifyKey(viewerKey)
	require.NoError(t, err)
	testkit.Eventually(t, func() bool { return h.keys()["dev-viewer"].lastUsed.After(first) }, "last_used_at did not move again")
	require.Nil(t, h.keys()["dev-admin"].lastUsed, "only what was used is touched, and a quiet question is no use")

	// The last use before the end is not forgotten.
	_, err = h.verifyKey(adminKey)
	require.NoError(t, err)
	stop()
	require.NotNil(t, h.keys()["dev-admin"].lastUsed)

	var writes int
	require.NoError(t, h.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM writes`).Scan(&writes))
	require.LessOrEqual(t, writes, 2+int(time.Since(began)/(2*time.Second)), "one write each two seconds, not one each request")
	require.Less(t, writes, requests/2)
}

func TestUseThatCannotBeWrittenDown(t *testing.T) {
	t.Parallel()
	h := servers(t)
	stop := h.service(nil)
	h.exec(`REVOKE UPDATE ON auth.api_keys FROM nexus_auth`)
	_, err := h.verifyKey(viewerKey)
	require.NoError(t, err, "it keeps nobody out")
	stop()
	require.Contains(t, h.log.String(), "could not write down the use of keys")
}
