package identity_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/identity"
)

// All sixteen pairs, written out: a change of who may do what must be a change
// here.
func TestAllows(t *testing.T) {
	t.Parallel()
	want := map[identity.Role]map[identity.Role]bool{
		identity.Viewer:     {identity.Viewer: true, identity.Operator: false, identity.Researcher: false, identity.Admin: false},
		identity.Operator:   {identity.Viewer: true, identity.Operator: true, identity.Researcher: false, identity.Admin: false},
		identity.Researcher: {identity.Viewer: true, identity.Operator: true, identity.Researcher: true, identity.Admin: false},
		identity.Admin:      {identity.Viewer: true, identity.Operator: true, identity.Researcher: true, identity.Admin: true},
	}
	require.Len(t, want, len(identity.Roles()))
	for _, has := range identity.Roles() {
		require.Len(t, want[has], len(identity.Roles()))
		for _, required := range identity.Roles() {
			require.Equal(t, want[has][required], has.Allows(required), "%s for %s", has, required)
		}
	}
}

func TestUnknownRolesAllowNothing(t *testing.T) {
	t.Parallel()
	for _, unknown := range []identity.Role{"", "root", "Admin", "admin ", "viewer\x00"} {
		for _, role := range identity.Roles() {
			require.False(t, unknown.Allows(role), "%q for %s", unknown, role)
			require.False(t, role.Allows(unknown), "%s for %q", role, unknown)
		}
		require.False(t, unknown.Allows(unknown), "%q for itself", unknown)
	}
}

// A plugin may serve its plugin, which is no question of roles.
func TestPluginsAreBelowEveryRole(t *testing.T) {
	t.Parallel()
	for _, required := range append(identity.Roles(), identity.Plugin) {
		require.False(t, identity.Plugin.Allows(required))
		require.False(t, required.Allows(identity.Plugin))
	}
	got, err := identity.ParseKeyRole("plugin")
	require.NoError(t, err)
	require.Equal(t, identity.Plugin, got)
	_, err = identity.ParseRole("plugin")
	require.Error(t, err)
	_, err = identity.ParseKeyRole("root")
	require.ErrorContains(t, err, "or plugin")
	require.Empty(t, identity.Caller{Role: identity.Plugin, RawModeEnabled: true}.Modes(true))
}

func TestParseRole(t *testing.T) {
	t.Parallel()
	require.Equal(t, []identity.Role{"viewer", "operator", "researcher", "admin"}, identity.Roles())
	for _, role := range identity.Roles() {
		got, err := identity.ParseRole(string(role))
		require.NoError(t, err)
		require.Equal(t, role, got)
	}
	for _, bad := range []string{"", "Viewer", "ADMIN", " admin", "admin\n", "superuser", "viewer,admin"} {
		got, err := identity.ParseRole(bad)
		require.ErrorContains(t, err, "want viewer, operator, researcher or admin", "%q", bad)
		require.Empty(t, got, "%q", bad)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	public, both := []identity.Mode{identity.ModePublic}, []identity.Mode{identity.ModePublic, identity.ModeRaw}
	none := []identity.Mode{}
	// RAW for a key without it, for a key with it on a platform without it, and
	// for a key with it on a platform with it.
	want := map[identity.Role]struct{ without, platformOff, allOn []identity.Mode }{
		identity.Viewer:     {none, none, none},
		identity.Operator:   {public, public, public},
		identity.Researcher: {public, public, both},
		identity.Admin:      {public, public, both},
		"":                  {none, none, none},
		"root":              {none, none, none},
	}
	for role, modes := range want {
		plain, raw := identity.Caller{Role: role}, identity.Caller{Role: role, RawModeEnabled: true}
		for _, tc := range []struct {
			caller   identity.Caller
			platform bool
			want     []identity.Mode
		}{
			{plain, false, modes.without},
			{plain, true, modes.without},
			{raw, false, modes.platformOff},
			{raw, true, modes.allOn},
		} {
			require.Equal(t, tc.want, tc.caller.Modes(tc.platform), "%q, key %v, platform %v", role, tc.caller.RawModeEnabled, tc.platform)
			for _, mode := range both {
				require.Equal(t, contains(tc.want, mode), tc.caller.MayUse(mode, tc.platform), "%q uses %s", role, mode)
			}
		}
	}
}

func contains(modes []identity.Mode, mode identity.Mode) bool {
	for _, m := range modes {
		if m == mode {
			return true
		}
	}
	return false
}

func TestUnknownModesAreNobodys(t *testing.T) {
	t.Parallel()
	admin := identity.Caller{Role: identity.Admin, RawModeEnabled: true}
	for _, mode := range []identity.Mode{"", "raw", "public", "PUBLIC ", "SECRET"} {
		require.False(t, admin.MayUse(mode, true), "%q", mode)
	}
}

func TestHashKey(t *testing.T) {
	t.Parallel()
	// The test vectors of FIPS 180-2.
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", identity.HashKey("abc"))
	require.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", identity.HashKey(""))
	require.NotEqual(t, identity.HashKey("key"), identity.HashKey("key "))
}

func TestHashPrefix(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ba7816bf8f01", identity.HashPrefix(identity.HashKey("abc")))
	require.Len(t, identity.HashPrefix(identity.HashKey("x")), identity.HashPrefixLength)
	require.Empty(t, identity.HashPrefix(""), "no key was presented")
	require.Equal(t, "abc", identity.HashPrefix("abc"))
	require.Equal(t, strings.Repeat("f", 12), identity.HashPrefix(strings.Repeat("f", 12)))
}

func TestCallerTravelsInTheContext(t *testing.T) {
	t.Parallel()
	_, ok := identity.FromContext(t.Context())
	require.False(t, ok, "nobody was verified")
	want := identity.Caller{KeyID: "k1", Owner: "alice", Role: identity.Researcher, RawModeEnabled: true, KeyHashPrefix: "abc"}
	ctx := identity.WithCaller(t.Context(), want)
	got, ok := identity.FromContext(context.WithoutCancel(ctx))
	require.True(t, ok)
	require.Equal(t, want, got)
	inner, ok := identity.FromContext(identity.WithCaller(ctx, identity.Caller{Owner: "bob"}))
	require.True(t, ok)
	require.Equal(t, "bob", inner.Owner)
}
