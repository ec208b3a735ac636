package embednats_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/embednats"
)

func TestConfigRefusesMistakes(t *testing.T) {
	t.Parallel()
	good, keys := siteOptions(t)
	admin, err := keys.User("admin")
	require.NoError(t, err)
	user := func(change func(*embednats.ServiceUser)) func(*embednats.Options) {
		return func(o *embednats.Options) { change(&o.Topology.Users[0]) }
	}
	tests := map[string]struct {
		change func(*embednats.Options)
		want   string
	}{
		"relative store":     {func(o *embednats.Options) { o.StoreDir = "store" }, "absolute path"},
		"port zero":          {func(o *embednats.Options) { o.Listen = "127.0.0.1:0" }, "want a port"},
		"port too high":      {func(o *embednats.Options) { o.Listen = "127.0.0.1:65536" }, "want a port"},
		"port by name":       {func(o *embednats.Options) { o.Monitor = "127.0.0.1:nats" }, "want a port"},
		"no port":            {func(o *embednats.Options) { o.Monitor = "127.0.0.1" }, "want host:port"},
		"name with a space":  {func(o *embednats.Options) { o.Name = "my server" }, "must not contain spaces"},
		"negative store":     {func(o *embednats.Options) { o.MaxStore = -1 }, "must not be negative"},
		"negative interval":  {func(o *embednats.Options) { o.SyncInterval = -1 }, "must not be negative"},
		"sync twice":         {func(o *embednats.Options) { o.SyncAlways, o.SyncInterval = true, time.Second }, "not both"},
		"no issuer":          {func(o *embednats.Options) { o.Topology.Issuer = "" }, "issuer"},
		"user key as issuer": {func(o *embednats.Options) { o.Topology.Issuer = admin.Public }, "no public account key"},
		"seed as xkey":       {func(o *embednats.Options) { o.Topology.XKey = string(keys.XKey.Seed) }, "no public curve key"},
		"nobody":             {func(o *embednats.Options) { o.Topology.Users = nil }, "nobody would answer auth callouts"},
		"twice": {func(o *embednats.Options) {
			o.Topology.Users = append(o.Topology.Users, o.Topology.Users[0])
		}, "used twice"},
		"user without key":  {user(func(u *embednats.ServiceUser) { u.PublicKey = "" }), "no public user key"},
		"user with newline": {user(func(u *embednats.ServiceUser) { u.Name = "a\nb" }), "want a name"},
		"user at the edge":  {user(func(u *embednats.ServiceUser) { u.Account = embednats.AccountEdge }), "want NEXUS, AUTH or SYS"},
		"empty subject": {user(func(u *embednats.ServiceUser) {
			u.Permissions.Publish.Deny = []string{""}
		}), `"" is no subject`},
		"subject with a space": {user(func(u *embednats.ServiceUser) {
			u.Permissions.Subscribe.Allow = []string{`a" b`}
		}), "is no subject"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := good
			topology := *good.Topology
			topology.Users = append([]embednats.ServiceUser(nil), topology.Users...)
			opts.Topology = &topology
			test.change(&opts)
			_, err := opts.Config()
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, "configure NATS")
		})
	}
	_, err = good.Config()
	require.NoError(t, err, "the tests changed copies")
}

func TestConfigSaysWhatWasAsked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/with \"quotes\", back\\slash and \ttab ü"
	opts, _ := siteOptions(t)
	opts.StoreDir, opts.Monitor, opts.MaxStore, opts.SyncAlways = dir, "127.0.0.1:8222", 5<<30, true
	text, err := opts.Config()
	require.NoError(t, err)
	var loaded server.Options
	require.NoError(t, loaded.ProcessConfigString(text), "not even a warning")
	require.Equal(t, dir, loaded.StoreDir)
	require.Equal(t, "nexus", loaded.ServerName)
	require.Equal(t, -1, loaded.Port)
	require.Equal(t, 8222, loaded.HTTPPort)
	require.EqualValues(t, 5<<30, loaded.JetStreamMaxStore)
	require.True(t, loaded.SyncAlways)
	require.False(t, loaded.NoJetStreamStrict)
	require.EqualValues(t, embednats.MaxPayload, loaded.MaxPayload)
	require.Equal(t, "SYS", loaded.SystemAccount)
	require.Equal(t, "AUTH", loaded.AuthCallout.Account)
	require.Equal(t, []string{"EDGE", "WORKER", "PLUGIN"}, loaded.AuthCallout.AllowedAccounts)
	require.Len(t, loaded.AuthCallout.AuthUsers, len(siteUsers()))
	require.Len(t, loaded.Nkeys, len(siteUsers()))
	require.Empty(t, loaded.Users, "nobody has a password")
}

// TestConfigOpensNoDoorByItself renders a server without a listener: started
// stand-alone the text must not listen on every network.
func TestConfigOpensNoDoorByItself(t *testing.T) {
	t.Parallel()
	text, err := embednats.Options{StoreDir: "/x"}.Config()
	require.NoError(t, err)
	var loaded server.Options
	require.NoError(t, loaded.ProcessConfigString(text))
	require.Equal(t, "127.0.0.1", loaded.Host)
}
