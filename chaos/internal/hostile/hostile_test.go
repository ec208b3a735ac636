package hostile_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/chaos/internal/hostile"
	"nexus.internal/chaos/internal/openapi"
)

func document(t *testing.T) *openapi.Document {
	t.Helper()
	text, err := os.ReadFile("../../../docs/openapi.json")
	require.NoError(t, err)
	doc, err := openapi.Parse(text)
	require.NoError(t, err)
	return doc
}

func callers() []hostile.Caller { return []hostile.Caller{{"viewer", "v-key"}, {"admin", "a-key"}} }

func TestASeedGivesTheSameAgain(t *testing.T) {
	t.Parallel()
	doc := document(t)
	one, another := hostile.NewKit(doc, hostile.NewSeen()), hostile.NewKit(doc, hostile.NewSeen())
	all := func(k *hostile.Kit, n uint64) []any {
		op := doc.Operations[n%uint64(len(doc.Operations))]
		return []any{k.Source(7, n).Request(op, callers()), k.Source(7, n).Broken(callers()), k.Source(7, n).Message("ann", "r", op.Body)}
	}
	for n := range uint64(250) {
		require.Equal(t, all(one, n), all(another, n))
	}
}

// Most bodies are right, or nothing behind the first check would ever be tried;
// many are not.
func TestBodiesAreRightAndWrong(t *testing.T) {
	t.Parallel()
	doc := document(t)
	kit := hostile.NewKit(doc, hostile.NewSeen())
	for _, op := range doc.Operations {
		if op.Body == nil {
			continue
		}
		valid := 0
		const all = 90
		for n := range uint64(all) {
			if json.Valid(kit.Source(1, n).JSON(op.Body)) {
				valid++
			}
		}
		require.Greater(t, valid, all/3, op.ID)
		require.Less(t, valid, all, op.ID)
	}
}

// What is sent must not hold the words that answers are searched for, and a
// webhook must not lead to anybody.
func TestNothingLeadsOutside(t *testing.T) {
	t.Parallel()
	doc := document(t)
	kit := hostile.NewKit(doc, hostile.NewSeen())
	for n := range uint64(500) {
		op := doc.Operations[n%uint64(len(doc.Operations))]
		text := strings.ToLower(string(kit.Source(3, n).Request(op, callers()).Bytes))
		for _, word := range []string{"example.com", "strconv", "sqlstate"} {
			require.NotContains(t, text, word)
		}
	}
}

func TestRequestsAreHTTP(t *testing.T) {
	t.Parallel()
	doc := document(t)
	kit := hostile.NewKit(doc, hostile.NewSeen())
	read := 0
	const all = 1000
	for n := range uint64(all) {
		r := kit.Source(5, n).Request(doc.Operations[n%uint64(len(doc.Operations))], callers())
		require.NotEmpty(t, r.What)
		if head, _, ok := bytes.Cut(r.Bytes, []byte("\r\n")); ok && bytes.HasSuffix(head, []byte(" HTTP/1.1")) {
			read++
		}
	}
	require.Greater(t, read, all*9/10)
}

func TestSeenThings(t *testing.T) {
	t.Parallel()
	doc := document(t)
	seen := hostile.NewSeen("spared")
	seen.Add("job_id", "spared")
	seen.Add("job_id", "11111111-1111-7111-8111-111111111111")
	kit := hostile.NewKit(doc, seen)
	used := 0
	for n := range uint64(400) {
		for _, op := range doc.Operations {
			if op.ID != "get-job" {
				continue
			}
			text := kit.Source(9, n).Request(op, callers()).Bytes
			require.NotContains(t, string(text), "spared")
			if bytes.Contains(text, []byte("11111111-1111-7111-8111-111111111111")) && bytes.HasPrefix(text, []byte(http.MethodGet)) {
				used++
			}
		}
	}
	require.Greater(t, used, 100)
}
