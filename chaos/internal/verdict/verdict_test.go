package verdict_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/chaos/internal/exchange"
	"nexus.internal/chaos/internal/hostile"
	"nexus.internal/chaos/internal/verdict"
)

func answer(status int, detail string) exchange.Answer {
	body := fmt.Sprintf(`{"type":"about:blank","title":"%s","status":%d,"detail":%q,"code":"x","request_id":"r"}`, http.StatusText(status), status, detail)
	return exchange.Answer{Status: status, Body: []byte(body), Header: http.Header{"X-Request-Id": {"r"}, "Content-Type": {"application/problem+json"}}}
}

func problems(r hostile.Request, a exchange.Answer) string {
	return strings.Join(verdict.New("the-key").Problems(r, []exchange.Answer{a}, nil, 0), "; ")
}

func TestGoodAnswers(t *testing.T) {
	t.Parallel()
	busy := answer(503, "Come back.")
	busy.Header.Set("Retry-After", "2")
	fine := exchange.Answer{Status: 200, Body: []byte(`{}`), Header: http.Header{"X-Request-Id": {"r"}, "Content-Type": {"application/json"}}}
	head := answer(404, "x")
	head.Body = nil
	require.Empty(t, problems(hostile.Request{}, busy))
	require.Empty(t, problems(hostile.Request{}, fine))
	require.Empty(t, problems(hostile.Request{}, answer(422, "limit: expected number >= 1")))
	require.Empty(t, problems(hostile.Request{Method: "HEAD"}, head))
	require.True(t, verdict.Waiting(busy))
}

func TestBadAnswers(t *testing.T) {
	t.Parallel()
	anonymous := answer(404, "Not here.")
	anonymous.Header.Del("X-Request-Id")
	plain := answer(400, "x")
	plain.Body = []byte("Invalid http method")
	page := answer(400, "x")
	page.Header.Set("Content-Type", "text/html")
	other := answer(400, "x")
	other.Header.Set("X-Request-Id", "s")
	echo := answer(404, "x")
	echo.Header.Set("X-Echo", "the-key")
	broken := exchange.Answer{Status: 200, Body: []byte(`{`), Header: http.Header{"X-Request-Id": {"r"}, "Content-Type": {"application/json"}}}
	for want, a := range map[string]exchange.Answer{
		"500 is no answer":           answer(500, "Something went wrong."),
		"503 without Retry-After":    answer(503, "Later."),
		"quotes a credential":        answer(400, "contents: the-key"),
		"(404) quotes a credential":  echo,
		"speaks of 'strconv.'":       answer(400, "strconv.ParseInt: parsing"),
		"speaks of 'sqlstate'":       answer(400, "ERROR (SQLSTATE 22P02)"),
		"has no X-Request-ID":        anonymous,
		"is no JSON: \"Invalid http": plain,
		"has the type \"text/html\"": page,
		"lacks a part":               other,
		"bytes":                      answer(400, strings.Repeat("3", 10_000)),
		"the answer is no JSON":      broken,
	} {
		require.Contains(t, problems(hostile.Request{}, a), want)
	}
	silent := verdict.New().Problems(hostile.Request{}, nil, errors.New("EOF"), time.Minute)
	require.Len(t, silent, 2)
	require.Empty(t, verdict.New().Problems(hostile.Request{Large: true, Waits: true}, nil, errors.New("EOF"), time.Minute))
}
