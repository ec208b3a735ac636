package token_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/config"
	"nexus.internal/libs/token"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change map[string]string
		want   []string
	}{
		"defaults":                       {nil, nil},
		"EdDSA of a gateway":             {map[string]string{"ALGORITHM": "EdDSA"}, nil},
		"EdDSA and a short secret":       {map[string]string{"ALGORITHM": "EdDSA", "SECRET": "short-secret"}, nil},
		"bounds":                         {map[string]string{"EXPIRY_MINUTES": "60", "LIFETIME_HOURS": "168"}, nil},
		"no algorithm":                   {map[string]string{"ALGORITHM": "none"}, []string{`NEXUS_JWT_ALGORITHM is "none"`}},
		"another spelling":               {map[string]string{"ALGORITHM": "hs256"}, []string{`NEXUS_JWT_ALGORITHM is "hs256"`}},
		"secret of 31 bytes":             {map[string]string{"SECRET": "short-secret" + strings.Repeat("x", 19)}, []string{"NEXUS_JWT_SECRET has 31 characters: want at least 32"}},
		"previous secret of 12 bytes":    {map[string]string{"PREVIOUS_SECRET": "short-secret"}, []string{"NEXUS_JWT_PREVIOUS_SECRET has 12 characters"}},
		"secret of 4097 bytes":           {map[string]string{"SECRET": strings.Repeat("short-secret", 342)}, []string{"NEXUS_JWT_SECRET has 4104 characters: want at most 4096"}},
		"secret with an end of line":     {map[string]string{"SECRET": "short-secret" + strings.Repeat("x", 30) + "\n"}, []string{"NEXUS_JWT_SECRET begins or ends with white space"}},
		"previous secret with a NUL":     {map[string]string{"PREVIOUS_SECRET": "short-secret\x00" + strings.Repeat("x", 30)}, []string{"NEXUS_JWT_PREVIOUS_SECRET has a space, a control character"}},
		"previous secret is the current": {map[string]string{"PREVIOUS_SECRET": token.DevSecret}, []string{"NEXUS_JWT_PREVIOUS_SECRET is that of"}},
		"previous file is the current":   {map[string]string{"ALGORITHM": "EdDSA", "KEY_FILE": "k", "PREVIOUS_KEY_FILE": "k"}, []string{"NEXUS_JWT_PREVIOUS_KEY_FILE is that of"}},
		"too little":                     {map[string]string{"EXPIRY_MINUTES": "0", "LIFETIME_HOURS": "0"}, []string{"NEXUS_JWT_EXPIRY_MINUTES is 0", "NEXUS_JWT_LIFETIME_HOURS is 0"}},
		"too much":                       {map[string]string{"EXPIRY_MINUTES": "61", "LIFETIME_HOURS": "169"}, []string{"NEXUS_JWT_EXPIRY_MINUTES is 61", "NEXUS_JWT_LIFETIME_HOURS is 169"}},
	} {
		environ := map[string]string{}
		for k, v := range tc.change {
			environ["NEXUS_JWT_"+k] = v
		}
		var s token.Settings
		err := config.Load(&s, environ)
		if tc.want == nil {
			require.NoError(t, err, name)
			continue
		}
		for _, part := range tc.want {
			require.ErrorContains(t, err, part, name)
		}
		require.NotContains(t, err.Error(), "short-secret", name)
		require.NotContains(t, err.Error(), token.DevSecret, name)
		_, err = token.NewSigner(s, time.Now)
		require.Error(t, err, name)
		_, err = token.NewVerifier(s, time.Now)
		require.Error(t, err, name)
	}
}

func TestProductionRefusesTheDevelopmentSecret(t *testing.T) {
	t.Parallel()
	var s token.Settings
	require.NoError(t, config.Load(&s, nil))
	require.Equal(t, token.DevSecret, s.Secret)
	require.ErrorContains(t, s.CheckProduction(), "NEXUS_JWT_SECRET is the development default, which anybody knows: ")
	s.Secret = secret('a')
	require.NoError(t, s.CheckProduction())
	s.PreviousSecret = token.DevSecret
	require.ErrorContains(t, s.CheckProduction(), "NEXUS_JWT_PREVIOUS_SECRET is the development default, which anybody knows: ")
	s.Algorithm = token.EdDSA
	require.NoError(t, s.CheckProduction(), "the secrets are not used")
}

func TestKeyFilesThatAreNone(t *testing.T) {
	t.Parallel()
	good, public := keyFile(t, 1)
	for name, tc := range map[string]struct{ path, want string }{
		"none":        {"", "NEXUS_JWT_KEY_FILE is empty"},
		"missing":     {filepath.Join(t.TempDir(), "missing"), "no such file"},
		"a folder":    {t.TempDir(), "NEXUS_JWT_KEY_FILE: read "},
		"empty":       {textFile(t, ""), "holds no PEM block"},
		"not PEM":     {textFile(t, "a secret by mistake"), "holds no PEM block"},
		"public":      {textFile(t, pemOf("PUBLIC KEY", public)), "holds no PEM block"},
		"not PKCS#8":  {textFile(t, pemOf("PRIVATE KEY", public)), "holds no PKCS#8 key"},
		"not Ed25519": {textFile(t, ecdsaKey(t)), "want an Ed25519 key"},
	} {
		_, err := token.NewSigner(edSettings(tc.path, ""), time.Now)
		require.ErrorContains(t, err, tc.want, name)
		require.NotContains(t, err.Error(), "by mistake", name)
		if tc.path != "" {
			_, err = token.NewSigner(edSettings(good, tc.path), time.Now)
			require.ErrorContains(t, err, "NEXUS_JWT_PREVIOUS_KEY_FILE", name)
		}
	}
	again, _ := keyFile(t, 1)
	_, err := token.NewSigner(edSettings(good, again), time.Now)
	require.ErrorContains(t, err, "NEXUS_JWT_PREVIOUS_KEY_FILE holds the key of NEXUS_JWT_KEY_FILE")
}

func textFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
