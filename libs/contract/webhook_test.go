package contract_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
)

func TestWebhookURLs(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://example.com", "http://example.com:8080/a/b?c=d", "https://[2001:db8::1]:443/x", "https://EXAMPLE.com/%7Bx%7D",
		"http://127.0.0.1/", "https://example.com/" + strings.Repeat("a", contract.MaxWebhookURL-len("https://example.com/")),
	} {
		require.NoError(t, contract.CheckWebhookURL(good), good)
	}
	for bad, says := range map[string]string{
		"": "want 1 to 2048",
		"https://e.com/" + strings.Repeat("a", contract.MaxWebhookURL): "want 1 to 2048",
		"ftp://example.com":                             "scheme",
		"example.com/x":                                 "scheme",
		"//example.com/x":                               "scheme",
		"file:///etc/passwd":                            "scheme",
		"gopher://example.com":                          "scheme",
		"http:example.com":                              "no host",
		"http:///path":                                  "no host",
		"https://:443/":                                 "no host",
		"https://ann:secret@example.com/":               "user name",
		"https://ann@example.com/":                      "user name",
		"https://@example.com/":                         "user name",
		"https://example.com/#part":                     "fragment",
		"https://example.com/#":                         "fragment",
		"https://example.com:0/":                        "port",
		"https://example.com:65536/":                    "port",
		"https://example.com:/":                         "port",
		"https://example.com:x/":                        "not a URL",
		"https://example.com/a b":                       "visible ASCII",
		"https://example.com/\n":                        "visible ASCII",
		"https://exämple.com/":                          "visible ASCII",
		"https://example.com/\x00":                      "visible ASCII",
		"https://example.com/%zz":                       "not a URL",
		"https://[::1":                                  "not a URL",
		"https://ex%C3%A4mple.com/":                     "escaped",
		"https://%ff.com/":                              "escaped",
		"https://[fe80::1%25eth0]/":                     "zone",
		"https://" + strings.Repeat("a.", 130) + "com/": "host has",
	} {
		require.ErrorContains(t, contract.CheckWebhookURL(bad), says, bad)
	}
	require.Equal(t, "example.com:8443", contract.WebhookHost("https://Example.COM:8443/x?y"))
	require.Empty(t, contract.WebhookHost("http://%zz"))
	// One receiver has one name, however its address is written.
	for want, spellings := range map[string][]string{
		"example.com":      {"http://example.com", "http://example.com:80/", "http://example.com./", "https://EXAMPLE.com.:443/", "https://example.com:0443/"},
		"example.com:443":  {"http://example.com:443/", "http://example.com:00443/"},
		"[2606:4700::1]":   {"https://[2606:4700::1]/", "https://[2606:4700::1]:443/"},
		"[2606:4700::1]:8": {"https://[2606:4700::1]:8/"},
		".":                {"http://./"},
	} {
		for _, text := range spellings {
			require.Equal(t, want, contract.WebhookHost(text), text)
		}
	}
}

func TestWebhookEvents(t *testing.T) {
	t.Parallel()
	for _, good := range [][]string{nil, {}, {"*"}, {"job.succeeded"}, contract.WebhookEvents()} {
		require.NoError(t, contract.CheckWebhookEvents(good), good)
	}
	for _, bad := range [][]string{
		{""},
		{"job"},
		{"job.progress"},
		{"job.accepted"},
		{"job.*"},
		{"*", "job.failed"},
		{"job.failed", "job.failed"},
		{"Job.Failed"},
		append(contract.WebhookEvents(), "job.queued"),
		{strings.Repeat("x", 1<<20)},
	} {
		err := contract.CheckWebhookEvents(bad)
		require.Error(t, err, bad)
		require.Less(t, len(err.Error()), 500)
	}
}

func TestJobWebhooks(t *testing.T) {
	t.Parallel()
	require.NoError(t, contract.CheckJobWebhook(nil))
	require.NoError(t, contract.CheckJobWebhook(&contract.JobWebhook{URL: "https://example.com", Events: []string{"job.failed"}}))
	require.ErrorContains(t, contract.CheckJobWebhook(&contract.JobWebhook{}), "webhook.url: ")
	require.ErrorContains(t, contract.CheckJobWebhook(&contract.JobWebhook{URL: "https://example.com", Events: []string{"no"}}), "webhook.events: ")
}

func TestWebhookSecretsAndDescriptions(t *testing.T) {
	t.Parallel()
	require.NoError(t, contract.CheckWebhookSecret(strings.Repeat("a", contract.MinWebhookSecret)))
	require.NoError(t, contract.CheckWebhookSecret(strings.Repeat("~", contract.MaxWebhookSecret)))
	for _, bad := range []string{"", strings.Repeat("a", contract.MinWebhookSecret-1), strings.Repeat("a", contract.MaxWebhookSecret+1), strings.Repeat("a", 20) + " ", strings.Repeat("é", 20), "whsec_not base64 at all", "whsec_bm90IGJhc2U2NA", "whsec_MTUgYnl0ZXMgYXJlIG5v"} {
		require.Error(t, contract.CheckWebhookSecret(bad), bad)
	}
	require.NoError(t, contract.CheckWebhookSecret("whsec_YSBzZWNyZXQgb2YgMjAgYnl0ZXM="))
	require.Equal(t, "a secret of 20 bytes", string(contract.WebhookKey("whsec_YSBzZWNyZXQgb2YgMjAgYnl0ZXM=")))
	require.Equal(t, "nxw_0123456789abcdef", string(contract.WebhookKey("nxw_0123456789abcdef")), "any other secret is its own key")
	require.NoError(t, contract.CheckWebhookDescription(""))
	require.NoError(t, contract.CheckWebhookDescription(strings.Repeat("é", contract.MaxWebhookDescription/2)))
	for _, bad := range []string{strings.Repeat("a", contract.MaxWebhookDescription+1), "\xff", "a\x00b"} {
		require.Error(t, contract.CheckWebhookDescription(bad), "%q", bad)
	}
}

// The mark stands where an event says so, and a text that a job brings along
// cannot forge it.
func TestJobWebhookMark(t *testing.T) {
	t.Parallel()
	pack := func(change contract.JobChange) []byte {
		data, err := json.Marshal(change)
		require.NoError(t, err)
		body, err := contract.EncodeEvents([]contract.Event{{ID: "a/1", Data: data}})
		require.NoError(t, err)
		return body
	}
	require.True(t, contract.MayHaveJobWebhook(pack(contract.JobChange{Webhook: true})))
	require.False(t, contract.MayHaveJobWebhook(pack(contract.JobChange{ErrorText: `{"webhook":true}`, Worker: `"webhook":true`})))
	require.False(t, contract.MayHaveJobWebhook(nil))
}
