package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/auth/internal/store"
)

func TestRowsMatchTheSchema(t *testing.T) {
	t.Parallel()
	testkit.RequireRowsMatch(t, testkit.Postgres(t), store.Rows())
}

func TestFind(t *testing.T) {
	t.Parallel()
	st := store.New(testkit.Postgres(t), nil)
	hash := identity.HashKey("a key")
	_, err := st.FindByHash(t.Context(), hash)
	require.ErrorIs(t, err, store.ErrUnknown)
	_, err = st.FindByOwner(t.Context(), "ann")
	require.ErrorIs(t, err, store.ErrUnknown)

	require.NoError(t, st.Seed(t.Context(), store.Bootstrap{Owner: "ann", Role: identity.Researcher, RawModeEnabled: true, KeyHash: hash}, true))
	byHash, err := st.FindByHash(t.Context(), hash)
	require.NoError(t, err)
	byOwner, err := st.FindByOwner(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, byHash, byOwner)
	require.Equal(t, uuid.Version(7), byHash.ID.Version())
	require.False(t, byHash.CreatedAt.IsZero())
	require.Equal(t, store.Key{
		ID: byHash.ID, Owner: "ann", KeyHash: hash, Role: identity.Researcher, RawModeEnabled: true, Enabled: true,
		CreatedBy: "bootstrap", CreatedAt: byHash.CreatedAt, UpdatedAt: byHash.UpdatedAt,
	}, byHash)
	byID, err := st.FindByID(t.Context(), byHash.ID)
	require.NoError(t, err)
	require.Equal(t, byHash, byID)
}

// The schema refuses what the code should never write.
func TestBadKeysAreRefused(t *testing.T) {
	t.Parallel()
	st := store.New(testkit.Postgres(t), nil)
	good := store.Bootstrap{Owner: "ann", Role: identity.Viewer, KeyHash: identity.HashKey("a key")}
	require.NoError(t, st.Seed(t.Context(), good, true))
	for name, change := range map[string]func(*store.Bootstrap){
		"owner with a dot":  func(b *store.Bootstrap) { b.Owner = "a.b" },
		"no owner":          func(b *store.Bootstrap) { b.Owner = "" },
		"key in the clear":  func(b *store.Bootstrap) { b.KeyHash = "a key" },
		"unknown role":      func(b *store.Bootstrap) { b.Role = "root" },
		"another's hash":    func(b *store.Bootstrap) { b.Owner = "bob" },
		"upper-case digest": func(b *store.Bootstrap) { b.KeyHash = "ABCDEF" + b.KeyHash[6:] },
	} {
		bad := good
		change(&bad)
		require.ErrorContains(t, st.Seed(t.Context(), bad, true), "seed the key of", name)
	}
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	st := store.New(db, nil)
	require.NoError(t, st.Ping(t.Context()))
	require.NoError(t, st.Touch(t.Context(), nil))
	db.Close()
	require.Error(t, st.Ping(t.Context()))
	require.NoError(t, st.Touch(t.Context(), nil), "nothing to write is no error")
	require.ErrorContains(t, st.Touch(t.Context(), []uuid.UUID{uuid.New()}), "note the use of keys")
	_, err := st.FindByOwner(t.Context(), "ann")
	require.ErrorContains(t, err, "look up a key")
	require.NotErrorIs(t, err, store.ErrUnknown)
}
