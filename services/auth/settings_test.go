package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/run"
	"nexus.internal/services/auth"
)

// prod are the settings of a production site that seeds keys of its own.
func prod(more ...string) map[string]string {
	env := map[string]string{
		"NEXUS_ENVIRONMENT": "prod", "NEXUS_BOOTSTRAP_KEYS_ENABLED": "true",
		"NEXUS_BOOTSTRAP_VIEWER_KEY": "our-own-viewer-key", "NEXUS_BOOTSTRAP_OPERATOR_KEY": "our-own-operator-key",
		"NEXUS_BOOTSTRAP_RESEARCHER_KEY": "our-own-researcher-key", "NEXUS_BOOTSTRAP_ADMIN_KEY": "our-own-admin-key",
	}
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

func TestSettings(t *testing.T) {
	t.Parallel()
	const enabled, environment, admin = "NEXUS_BOOTSTRAP_KEYS_ENABLED", "NEXUS_ENVIRONMENT", "NEXUS_BOOTSTRAP_ADMIN_KEY"
	for name, tc := range map[string]struct {
		env   map[string]string
		seeds bool
		// wrong are the settings that the error names; none means that all is well.
		wrong []string
	}{
		"defaults":                 {nil, true, nil},
		"test":                     {map[string]string{environment: "test"}, true, nil},
		"prod":                     {map[string]string{environment: "prod"}, false, nil},
		"off in dev":               {map[string]string{enabled: "false"}, false, nil},
		"prod with its own":        {prod(), true, nil},
		"own key in dev":           {map[string]string{admin: "sixteen-letters!"}, true, nil},
		"no matter when off":       {map[string]string{enabled: "false", admin: "x"}, false, nil},
		"prod with defaults":       {map[string]string{environment: "prod", enabled: "true"}, true, []string{"VIEWER_KEY is the", "OPERATOR_KEY is the", "RESEARCHER_KEY is the", "ADMIN_KEY is the"}},
		"one default left":         {prod(admin, adminKey), true, []string{"NEXUS_BOOTSTRAP_ADMIN_KEY is the development default"}},
		"short":                    {map[string]string{admin: "fifteen-letters"}, true, []string{"NEXUS_BOOTSTRAP_ADMIN_KEY has 15 characters"}},
		"the same twice":           {map[string]string{admin: viewerKey}, true, []string{"NEXUS_BOOTSTRAP_ADMIN_KEY is the same as NEXUS_BOOTSTRAP_VIEWER_KEY"}},
		"unknown environment":      {map[string]string{environment: "staging"}, true, []string{"NEXUS_ENVIRONMENT"}},
		"environment in caps":      {map[string]string{environment: "PROD"}, true, []string{"NEXUS_ENVIRONMENT"}},
		"not a truth":              {map[string]string{enabled: "perhaps"}, true, []string{"perhaps"}},
		"everything wrong at once": {prod(environment, "x", admin, "short", "NEXUS_BOOTSTRAP_OPERATOR_KEY", "our-own-viewer-key"), true, []string{"NEXUS_ENVIRONMENT", "NEXUS_BOOTSTRAP_ADMIN_KEY", "NEXUS_BOOTSTRAP_OPERATOR_KEY"}},
		"unknown environment, off": {map[string]string{environment: "x", enabled: "false"}, false, []string{"NEXUS_ENVIRONMENT"}},
		"all short":                {map[string]string{"NEXUS_BOOTSTRAP_VIEWER_KEY": "v", "NEXUS_BOOTSTRAP_OPERATOR_KEY": "o"}, true, []string{"VIEWER_KEY has 1 ", "OPERATOR_KEY has 1 "}},
		"512 characters":           {map[string]string{admin: strings.Repeat("k", 512)}, true, nil},
		"too long":                 {map[string]string{admin: strings.Repeat("k", 513)}, true, []string{"NEXUS_BOOTSTRAP_ADMIN_KEY has 513 characters: want at most 512"}},
		"end of line":              {map[string]string{admin: "our-own-viewer-key\n"}, true, []string{"NEXUS_BOOTSTRAP_ADMIN_KEY begins or ends with white space"}},
		"spaces alone":             {map[string]string{admin: "                "}, true, []string{"NEXUS_BOOTSTRAP_ADMIN_KEY begins or ends with white space"}},
		"a space inside":           {map[string]string{admin: "our own viewer key"}, true, []string{"NEXUS_BOOTSTRAP_ADMIN_KEY has a space"}},
		"a tab inside":             {map[string]string{admin: "our-own\tviewer-key"}, true, []string{"NEXUS_BOOTSTRAP_ADMIN_KEY has a space, a control character"}},
		"a zero byte":              {map[string]string{admin: "our-own\x00viewer-key"}, true, []string{"NEXUS_BOOTSTRAP_ADMIN_KEY has a space, a control character"}},
		"an umlaut":                {map[string]string{admin: "unser-schlüssel-x"}, true, []string{"NEXUS_BOOTSTRAP_ADMIN_KEY has a space"}},
		"no matter when off, too":  {map[string]string{enabled: "false", admin: "x\n"}, false, nil},
	} {
		cfg, err := load(tc.env)
		if tc.wrong == nil {
			require.NoError(t, err, name)
			require.Equal(t, tc.seeds, cfg.SeedsKeys(), name)
			continue
		}
		for _, setting := range tc.wrong {
			require.ErrorContains(t, err, setting, name)
		}
		for _, key := range []string{adminKey, "fifteen-letters", "our-own-viewer-key"} {
			require.NotContains(t, err.Error(), key, "%s: an error shows no key", name)
		}
	}
}

func TestBootstrapKeys(t *testing.T) {
	t.Parallel()
	cfg, err := load(nil)
	require.NoError(t, err)
	require.Equal(t, []auth.BootstrapKey{
		{Owner: "dev-viewer", Role: "viewer", Key: viewerKey, Setting: "NEXUS_BOOTSTRAP_VIEWER_KEY"},
		{Owner: "dev-operator", Role: "operator", Key: operatorKey, Setting: "NEXUS_BOOTSTRAP_OPERATOR_KEY"},
		{Owner: "dev-researcher", Role: "researcher", Key: researcherKey, Setting: "NEXUS_BOOTSTRAP_RESEARCHER_KEY", Raw: true},
		{Owner: "dev-admin", Role: "admin", Key: adminKey, Setting: "NEXUS_BOOTSTRAP_ADMIN_KEY", Raw: true},
	}, cfg.BootstrapKeys())
}

// once starts the service and stops it again.
func (h *harness) once(env map[string]string) {
	h.t.Helper()
	h.service(env)()
}

func TestSeedingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.once(nil)
	first := h.keys()
	require.Len(t, first, 4)
	for owner, k := range first {
		role := strings.TrimPrefix(owner, "dev-")
		require.Equal(t, []any{role, role == "researcher" || role == "admin", true, identity.HashKey(devKeys()[owner])}, []any{k.role, k.raw, k.enabled, k.hash})
	}
	h.exec(`INSERT INTO auth.api_keys (id, owner, key_hash, role, enabled) VALUES (gen_random_uuid(), 'ann', $1, 'admin', false)`, identity.HashKey("ann's key"))
	ann := h.keys()["ann"]
	for range 2 {
		h.once(nil)
		again := h.keys()
		require.Equal(t, ann, again["ann"], "other keys are left alone")
		delete(again, "ann")
		require.Len(t, again, 4, "no duplicates")
		for owner, k := range again {
			require.Equal(t, first[owner].id, k.id)
			require.Equal(t, first[owner].created, k.created)
		}
	}
}

func TestSeedingRestoresInDevAndTest(t *testing.T) {
	t.Parallel()
	for _, environment := range []string{"dev", "test"} {
		h := servers(t)
		env := map[string]string{"NEXUS_ENVIRONMENT": environment}
		h.once(env)
		h.exec(`UPDATE auth.api_keys SET enabled = false, raw_mode_enabled = NOT raw_mode_enabled, role = 'viewer'`)
		h.service(env)
		for owner, k := range h.keys() {
			role := strings.TrimPrefix(owner, "dev-")
			require.Equal(t, []any{role, role == "researcher" || role == "admin", true}, []any{k.role, k.raw, k.enabled}, "%s in %s", owner, environment)
			_, err := h.verifyKey(devKeys()[owner])
			require.NoError(t, err)
		}
	}
}

// In production a restart must not undo a revocation.
func TestSeedingRevivesNothingInProd(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.once(prod())
	require.Len(t, h.keys(), 4)
	h.exec(`UPDATE auth.api_keys SET enabled = false, raw_mode_enabled = false WHERE owner IN ('dev-admin', 'dev-researcher')`)
	h.service(prod("NEXUS_BOOTSTRAP_RESEARCHER_KEY", "a-new-researcher-key"))
	keys := h.keys()
	require.False(t, keys["dev-admin"].enabled)
	require.False(t, keys["dev-admin"].raw)
	require.True(t, keys["dev-viewer"].enabled)
	_, err := h.verifyKey("our-own-admin-key")
	require.Equal(t, fault.Unauthenticated, fault.KindOf(err))
	_, err = h.verifyKey("a-new-researcher-key")
	require.Equal(t, fault.Unauthenticated, fault.KindOf(err), "a new key does not enable its owner")
	_, err = h.verifyKey("our-own-viewer-key")
	require.NoError(t, err)
}

func TestSeedingOff(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"by setting": {"NEXUS_BOOTSTRAP_KEYS_ENABLED": "false"}, "by default in prod": {"NEXUS_ENVIRONMENT": "prod"},
	} {
		h := servers(t)
		h.service(env)
		require.Empty(t, h.keys(), name)
		_, err := h.verifyKey(adminKey)
		require.Equal(t, fault.Unauthenticated, fault.KindOf(err), name)
	}
}

func TestSeedingANewKeyReplacesTheOldOne(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.once(nil)
	before := h.keys()["dev-operator"]
	h.service(map[string]string{"NEXUS_BOOTSTRAP_OPERATOR_KEY": "a-key-of-my-own!"})
	_, err := h.verifyKey(operatorKey)
	require.Equal(t, fault.Unauthenticated, fault.KindOf(err))
	got, err := h.verifyKey("a-key-of-my-own!")
	require.NoError(t, err)
	require.Equal(t, contract.VerifyReply{KeyID: before.id, Owner: "dev-operator", Role: "operator", KeyHashPrefix: identity.HashKey("a-key-of-my-own!")[:12]}, got)
	for owner, key := range devKeys() {
		if owner != "dev-operator" {
			_, err := h.verifyKey(key)
			require.NoError(t, err)
		}
	}
}

// Nobody is served before the keys are there, and not at all without them.
func TestSeedingThatFailsStopsTheStart(t *testing.T) {
	t.Parallel()
	h := servers(t)
	h.exec(`REVOKE INSERT ON auth.api_keys FROM nexus_auth`)
	s := h.build(nil)
	err := run.NewSupervisor(zerolog.Nop(), time.Second, s.Components()...).Run(t.Context())
	require.ErrorContains(t, err, "seed the key of dev-viewer")
}
