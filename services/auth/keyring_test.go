package auth_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
)

func call[Resp any](h *harness, subject string, req any) (Resp, error) {
	return bus.Call[Resp](h.t.Context(), h.nc, subject, req)
}

func (h *harness) create(req contract.CreateKeyRequest) contract.CreatedKey {
	h.t.Helper()
	req.Actor = "dev-admin"
	k, err := call[contract.CreatedKey](h, contract.RPCAuthKeyCreate, req)
	require.NoError(h.t, err)
	return k
}

func (h *harness) update(req contract.UpdateKeyRequest) contract.APIKey {
	h.t.Helper()
	req.Actor = "dev-admin"
	k, err := call[contract.APIKey](h, contract.RPCAuthKeyUpdate, req)
	require.NoError(h.t, err)
	return k
}

func ptr[T any](v T) *T { return &v }

func TestTheLifeOfAKey(t *testing.T) {
	t.Parallel()
	h := start(t)
	at := noon.Add(time.Hour)
	made := h.create(contract.CreateKeyRequest{Owner: "ann", Role: "researcher", RawModeEnabled: true, RateLimitPerMinute: ptr(7), ExpiresAt: &at})
	require.Regexp(t, `^nxk_[0-9a-f]{32}_[a-z2-7]{26}$`, made.Key)
	require.Contains(t, made.Key, strings.ReplaceAll(made.KeyID, "-", ""))
	require.Equal(t, identity.HashKey(made.Key), h.keys()["ann"].hash, "only the hash is kept")
	who, err := h.verifyKey(made.Key)
	require.NoError(t, err)
	require.Equal(t, contract.VerifyReply{
		KeyID: made.KeyID, Owner: "ann", Role: "researcher", RawModeEnabled: true, KeyHashPrefix: identity.HashKey(made.Key)[:12], RateLimitPerMinute: 7, ExpiresAt: &at,
	}, who)

	h.update(contract.UpdateKeyRequest{KeyID: made.KeyID, Enabled: ptr(false)})
	_, err = h.verifyKey(made.Key)
	require.Equal(t, fault.Unauthenticated, fault.KindOf(err))
	after := h.update(contract.UpdateKeyRequest{KeyID: made.KeyID, Enabled: ptr(true), Role: ptr("viewer"), ClearRateLimit: true, ClearExpiry: true})
	require.Nil(t, after.ExpiresAt)
	require.Nil(t, after.RateLimitPerMinute)
	turned, err := call[contract.CreatedKey](h, contract.RPCAuthKeyRotate, contract.RotateKeyRequest{KeyID: made.KeyID})
	require.NoError(t, err)
	_, err = h.verifyKey(made.Key)
	require.Equal(t, fault.Unauthenticated, fault.KindOf(err), "the old secret ends at once")
	who, err = h.verifyKey(turned.Key)
	require.NoError(t, err)
	require.Equal(t, []string{made.KeyID, "viewer"}, []string{who.KeyID, who.Role})

	var seen []string
	for range 4 {
		m, _ := h.event()
		require.Equal(t, "nexus.auth", m.Source)
		require.NotContains(t, m.raw, made.Key)
		require.NotContains(t, m.raw, turned.Key)
		var change contract.KeyChange
		require.NoError(t, json.Unmarshal(m.Data, &change))
		require.Equal(t, made.KeyID, change.KeyID)
		seen = append(seen, m.subject+" "+strings.Join(change.Changed, ","))
	}
	require.Equal(t, []string{
		"nexus.events.key.created.researcher ", "nexus.events.key.disabled.researcher enabled",
		"nexus.events.key.enabled.viewer enabled,role,rate_limit_per_minute,expires_at", "nexus.events.key.rotated.viewer key",
	}, seen)
	list, err := call[contract.KeysReply](h, contract.RPCAuthKeys, contract.ListKeysRequest{Limit: 2})
	require.NoError(t, err)
	require.Len(t, list.Keys, 2)
	require.Equal(t, "ann", list.Keys[0].Owner, "newest first")
}

func TestExpiredKeysAreUnknown(t *testing.T) {
	t.Parallel()
	h := start(t)
	soon := noon.Add(time.Minute)
	made := h.create(contract.CreateKeyRequest{Owner: "ann", Role: "viewer", ExpiresAt: &soon})
	_, err := h.verifyKey(made.Key)
	require.NoError(t, err)
	h.exec(`UPDATE auth.api_keys SET expires_at = $1 WHERE owner = 'ann'`, noon)
	_, err = h.verifyKey(made.Key)
	require.Equal(t, fault.New(fault.Unauthenticated, "unauthorized", "Missing or invalid API key"), err)
	_, err = h.owner("ann")
	require.Equal(t, fault.Unauthenticated, fault.KindOf(err))
	_, err = call[contract.VerifyReply](h, contract.RPCAuthState, contract.KeyRequest{KeyID: made.KeyID})
	require.Equal(t, fault.Unauthenticated, fault.KindOf(err))
}

func TestKeysThatCannotBe(t *testing.T) {
	t.Parallel()
	h := start(t)
	past := noon
	for name, tc := range map[string]struct {
		req  contract.CreateKeyRequest
		kind fault.Kind
	}{
		"taken":         {contract.CreateKeyRequest{Owner: "dev-viewer", Role: "viewer"}, fault.Conflict},
		"no owner":      {contract.CreateKeyRequest{Role: "viewer"}, fault.Unprocessable},
		"a dot":         {contract.CreateKeyRequest{Owner: "a.b", Role: "viewer"}, fault.Unprocessable},
		"a wildcard":    {contract.CreateKeyRequest{Owner: ">", Role: "viewer"}, fault.Unprocessable},
		"a NUL":         {contract.CreateKeyRequest{Owner: "a\x00", Role: "viewer"}, fault.Unprocessable},
		"unknown role":  {contract.CreateKeyRequest{Owner: "ann", Role: "root"}, fault.Unprocessable},
		"no limit":      {contract.CreateKeyRequest{Owner: "ann", Role: "viewer", RateLimitPerMinute: ptr(0)}, fault.Unprocessable},
		"below none":    {contract.CreateKeyRequest{Owner: "ann", Role: "viewer", RateLimitPerMinute: ptr(-1)}, fault.Unprocessable},
		"huge limit":    {contract.CreateKeyRequest{Owner: "ann", Role: "viewer", RateLimitPerMinute: ptr(contract.MaxRateLimit + 1)}, fault.Unprocessable},
		"ended already": {contract.CreateKeyRequest{Owner: "ann", Role: "viewer", ExpiresAt: &past}, fault.Unprocessable},
	} {
		_, err := call[contract.CreatedKey](h, contract.RPCAuthKeyCreate, tc.req)
		require.Equal(t, tc.kind, fault.KindOf(err), name)
	}
	require.Len(t, h.keys(), 4)
	for _, id := range []string{"", "x", "01920000-0000-7000-8000-000000000001"} {
		_, err := call[contract.APIKey](h, contract.RPCAuthKeyUpdate, contract.UpdateKeyRequest{KeyID: id, Enabled: ptr(false)})
		require.Equal(t, fault.NotFound, fault.KindOf(err), id)
		_, err = call[contract.CreatedKey](h, contract.RPCAuthKeyRotate, contract.RotateKeyRequest{KeyID: id})
		require.Equal(t, fault.NotFound, fault.KindOf(err), id)
	}
}

// Nobody can lock everybody out, not even two admins who try at once.
func TestTheLastAdminStays(t *testing.T) {
	t.Parallel()
	h := start(t)
	second := h.create(contract.CreateKeyRequest{Owner: "second", Role: "admin"})
	ids := []string{h.keys()["dev-admin"].id, second.KeyID}
	var wg sync.WaitGroup
	errs := make(chan error, len(ids))
	for _, id := range ids {
		wg.Go(func() {
			_, err := call[contract.APIKey](h, contract.RPCAuthKeyUpdate, contract.UpdateKeyRequest{KeyID: id, Enabled: ptr(false)})
			errs <- err
		})
	}
	wg.Wait()
	kinds := map[bool]int{}
	for range ids {
		err := <-errs
		kinds[err == nil]++
		if err != nil {
			require.Equal(t, fault.Conflict, fault.KindOf(err), err)
		}
	}
	require.Equal(t, map[bool]int{true: 1, false: 1}, kinds)
	left := ids[0]
	if !h.keys()["dev-admin"].enabled {
		left = ids[1]
	}
	for name, req := range map[string]contract.UpdateKeyRequest{
		"demoted": {Role: ptr("researcher")}, "ending": {ExpiresAt: ptr(noon.Add(time.Hour))}, "disabled": {Enabled: ptr(false)},
	} {
		req.KeyID = left
		_, err := call[contract.APIKey](h, contract.RPCAuthKeyUpdate, req)
		require.Equal(t, fault.Conflict, fault.KindOf(err), name)
	}
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	h := start(t)
	all, err := call[contract.FeaturesReply](h, contract.RPCAuthFeatures, struct{}{})
	require.NoError(t, err)
	least := map[string]string{}
	for _, f := range all.Features {
		require.True(t, f.Enabled)
		least[f.Name] = f.MinRole
	}
	require.Equal(t, map[string]string{"shadow_execution": "researcher", "ml_plugins": "admin", "raw_mode": "researcher"}, least)
	allowed := func(feature, owner string) bool {
		r, err := call[contract.AllowedReply](h, contract.RPCAuthAllowed, contract.AllowedRequest{Feature: feature, Owner: owner})
		require.NoError(t, err)
		return r.Allowed
	}
	require.True(t, allowed("ml_plugins", "dev-admin"))
	require.False(t, allowed("ml_plugins", "dev-researcher"))
	require.False(t, allowed("ml_plugins", "nobody"))
	require.False(t, allowed("nothing", "dev-admin"))
	require.False(t, allowed("*", "dev-admin"))
	f, err := call[contract.Feature](h, contract.RPCAuthFeatureUpdate, contract.UpdateFeatureRequest{
		Asker: contract.Asker{Actor: "dev-admin", RequestID: "r"}, Name: "ml_plugins", MinRole: ptr("viewer"),
	})
	require.NoError(t, err)
	require.Equal(t, []string{"viewer", "dev-admin"}, []string{f.MinRole, f.UpdatedBy})
	require.True(t, allowed("ml_plugins", "dev-viewer"))
	m, _ := h.event()
	require.Equal(t, "nexus.events.feature.updated.ml_plugins dev-admin r", m.subject+" "+m.Actor+" "+m.RequestID)
	_, err = call[contract.Feature](h, contract.RPCAuthFeatureUpdate, contract.UpdateFeatureRequest{Name: "ml_plugins", Enabled: ptr(false)})
	require.NoError(t, err)
	require.False(t, allowed("ml_plugins", "dev-admin"))
	for name, req := range map[string]contract.UpdateFeatureRequest{
		"role": {Name: "ml_plugins", MinRole: ptr("root")}, "long": {Name: "ml_plugins", Description: ptr(strings.Repeat("x", 501))}, "control": {Name: "ml_plugins", Description: ptr("a\nb")},
	} {
		_, err := call[contract.Feature](h, contract.RPCAuthFeatureUpdate, req)
		require.Equal(t, fault.Unprocessable, fault.KindOf(err), name)
	}
	_, err = call[contract.Feature](h, contract.RPCAuthFeatureUpdate, contract.UpdateFeatureRequest{Name: "nothing", Enabled: ptr(true)})
	require.Equal(t, fault.NotFound, fault.KindOf(err))
}

func TestSessions(t *testing.T) {
	t.Parallel()
	h := start(t)
	issue := func() (contract.Token, error) {
		return call[contract.Token](h, contract.RPCAuthToken, contract.IssueTokenRequest{KeyHash: identity.HashKey(researcherKey)})
	}
	refresh := func(token string) (contract.Token, error) {
		return call[contract.Token](h, contract.RPCAuthRefresh, contract.RefreshTokenRequest{Token: token})
	}
	first, err := issue()
	require.NoError(t, err)
	require.Equal(t, []any{"Bearer", 900, "researcher", noon.Add(12 * time.Hour)}, []any{first.TokenType, first.ExpiresIn, first.Role, first.RefreshUntil})
	second, err := refresh(first.AccessToken)
	require.NoError(t, err)
	require.NotEqual(t, first.AccessToken, second.AccessToken)
	require.Equal(t, first.RefreshUntil, second.RefreshUntil, "refreshing does not move the end of the session")

	id := h.keys()["dev-researcher"].id
	h.update(contract.UpdateKeyRequest{KeyID: id, Role: ptr("viewer")})
	lower, err := refresh(second.AccessToken)
	require.NoError(t, err)
	require.Equal(t, "viewer", lower.Role, "a new token has the role of now")
	h.update(contract.UpdateKeyRequest{KeyID: id, Enabled: ptr(false)})
	_, err = refresh(lower.AccessToken)
	require.Equal(t, fault.Unauthenticated, fault.KindOf(err))
	_, err = issue()
	require.Equal(t, fault.Unauthenticated, fault.KindOf(err))
	for _, bad := range []string{"", "x", first.AccessToken + "x", strings.Repeat("x", 10_000)} {
		_, err := refresh(bad)
		require.Equal(t, fault.Unauthenticated, fault.KindOf(err))
	}
	set, err := call[contract.KeySetReply](h, contract.RPCAuthKeySet, struct{}{})
	require.NoError(t, err)
	require.Empty(t, set.Keys, "a secret has no public half")
}

// A change that is committed is told, even when the broker could not take it
// then, or the process ended in between: the relay tells it later.
func TestGuaranteeKeyChangesAreTold(t *testing.T) {
	t.Parallel()
	h := start(t)
	require.NoError(t, h.js.DeleteStream(t.Context(), contract.StreamEvents))
	id := h.keys()["dev-viewer"].id
	require.False(t, h.update(contract.UpdateKeyRequest{KeyID: id, Enabled: ptr(false)}).Enabled, "the change itself is made")
	testkit.Eventually(t, func() bool { return strings.Contains(h.log.String(), "could not publish a change") }, "the broker could not take it")
	require.NoError(t, bus.Provision(t.Context(), h.js, contract.Streams(), nil))
	stream, err := h.js.Stream(t.Context(), contract.StreamEvents)
	require.NoError(t, err)
	testkit.Eventually(t, func() bool {
		m, err := stream.GetLastMsgForSubject(t.Context(), "nexus.events.key.disabled.viewer")
		return err == nil && strings.Contains(string(m.Data), id)
	}, "the event of the change was lost")
}
