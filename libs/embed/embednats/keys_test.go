package embednats_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/embednats"
)

func TestKeysAreCreatedOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "keys")
	first, err := embednats.LoadOrCreateKeys(dir, "gateway", "jobs")
	require.NoError(t, err)
	second, err := embednats.LoadOrCreateKeys(dir, "gateway", "jobs", "audit")
	require.NoError(t, err)
	require.Equal(t, first.Issuer, second.Issuer)
	require.Equal(t, first.XKey, second.XKey)
	for _, name := range []string{"gateway", "jobs"} {
		a, err := first.User(name)
		require.NoError(t, err)
		b, err := second.User(name)
		require.NoError(t, err)
		require.Equal(t, a, b, name)
	}
	_, err = first.User("audit")
	require.ErrorContains(t, err, `"audit"`)
	audit, err := second.User("audit")
	require.NoError(t, err)

	require.True(t, nkeys.IsValidPublicAccountKey(first.Issuer.Public))
	require.True(t, nkeys.IsValidPublicCurveKey(first.XKey.Public))
	require.True(t, nkeys.IsValidPublicUserKey(audit.Public))

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 5, "nothing temporary is left")
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), entry.Name())
	}
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestKeysDoNotShowTheirSeeds(t *testing.T) {
	t.Parallel()
	keys, err := embednats.LoadOrCreateKeys(t.TempDir(), "jobs")
	require.NoError(t, err)
	encoded, err := json.Marshal(keys.Issuer)
	require.NoError(t, err)
	for _, text := range []string{
		fmt.Sprint(keys.Issuer), fmt.Sprintf("%+v %#v", keys.Issuer, keys.Issuer), fmt.Sprintf("%+v", *keys), string(encoded),
	} {
		require.Contains(t, text, keys.Issuer.Public)
		require.NotContains(t, text, string(keys.Issuer.Seed))
	}
}

func TestKeysOfManyProcessesAgree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	issuers := make([]string, 8)
	var wait sync.WaitGroup
	for i := range issuers {
		wait.Go(func() {
			keys, err := embednats.LoadOrCreateKeys(dir, "jobs")
			if err != nil {
				t.Errorf("process %d: %v", i, err)
				return
			}
			issuers[i] = keys.Issuer.Public
		})
	}
	wait.Wait()
	for _, issuer := range issuers {
		require.Equal(t, issuers[0], issuer)
	}
}

func TestKeysRefuseBadFiles(t *testing.T) {
	t.Parallel()
	write := func(name, text string, mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, name)
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			require.NoError(t, os.Chmod(path, mode))
		}
	}
	pair, err := nkeys.CreateAccount()
	require.NoError(t, err)
	account, err := pair.Seed()
	require.NoError(t, err)
	public, err := pair.PublicKey()
	require.NoError(t, err)
	tests := map[string]struct {
		prepare func(*testing.T, string)
		want    string
	}{
		"others may read":  {write("issuer.nk", string(account), 0o644), "chmod 600"},
		"group may write":  {write("user-jobs.nk", "", 0o620), "chmod 600"},
		"empty":            {write("xkey.nk", "", 0o600), "is damaged"},
		"cut short":        {write("issuer.nk", string(account[:20]), 0o600), "is damaged"},
		"public half":      {write("issuer.nk", public, 0o600), "is damaged"},
		"another's kind":   {write("user-jobs.nk", string(account), 0o600), "which is no user key"},
		"account as curve": {write("xkey.nk", string(account), 0o600), "which is no curve key"},
		"a folder": {func(t *testing.T, dir string) {
			t.Helper()
			require.NoError(t, os.Mkdir(filepath.Join(dir, "issuer.nk"), 0o700))
		}, "read a key"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			test.prepare(t, dir)
			_, err := embednats.LoadOrCreateKeys(dir, "jobs")
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, dir)
			require.NotContains(t, err.Error(), string(account))
		})
	}
}

func TestKeysRefuseBadNamesAndFolders(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "../issuer", "a b", "ä"} {
		_, err := embednats.LoadOrCreateKeys(t.TempDir(), name)
		require.ErrorContains(t, err, "user name", name)
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := embednats.LoadOrCreateKeys(file)
	require.ErrorContains(t, err, "create the key folder")
}

func TestDamagedKeyCannotSign(t *testing.T) {
	t.Parallel()
	key := embednats.Key{Public: "U", Seed: []byte("nonsense")}
	_, err := key.Pair()
	require.ErrorContains(t, err, "use key U")
	s := start(t, embednats.Options{Listen: randomPort})
	nc, err := s.Connect(key.Option())
	require.Nil(t, nc)
	require.Error(t, err)
}

func TestLoadKeysCreatesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	_, err := embednats.LoadKeys(dir, false, "jobs")
	require.ErrorContains(t, err, "user-jobs.nk")
	made, err := embednats.LoadOrCreateKeys(dir, "jobs", "auth")
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "issuer.nk")))

	own, err := embednats.LoadKeys(dir, false, "jobs")
	require.NoError(t, err, "a service needs its own key only")
	want, err := made.User("jobs")
	require.NoError(t, err)
	got, err := own.User("jobs")
	require.NoError(t, err)
	require.Equal(t, want.Public, got.Public)
	_, err = own.User("auth")
	require.Error(t, err)
	_, err = embednats.LoadKeys(dir, true, "auth")
	require.ErrorContains(t, err, "issuer.nk")
}
