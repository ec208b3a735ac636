package fuzzing

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFindingsOfAKindAreOne(t *testing.T) {
	t.Parallel()
	f := newFindings(t.TempDir(), "127.0.0.1:80")
	f.add(Finding{Number: 2, What: "a", Problem: "took 15.2s, id 01a22efb-17ab-7860-8532-a57943dd9376"})
	f.add(Finding{Number: 1, What: "b", Problem: "took 17.9s, id 01a22efb-17ab-7860-8532-a57943dd9377"})
	f.add(Finding{Number: 3, What: "a", Problem: "something else"})
	all := f.all()
	require.Len(t, all, 2)
	require.Equal(t, 2, all[0].Count)
}

func TestFindingsSayHowToSendThemAgain(t *testing.T) {
	t.Parallel()
	f := newFindings(t.TempDir(), "127.0.0.1:80")
	request := "POST /x?a=1 HTTP/1.1\r\nHost: h\r\nX-A: it's\r\nContent-Length: 2\r\n\r\n{}"
	f.add(Finding{Number: 1, Problem: "one", Bytes: []byte(request)})
	f.add(Finding{Number: 2, Problem: "two", Bytes: []byte("GET /\x00")})
	all := f.all()
	require.Equal(t, `curl -gi --path-as-is -X POST 'http://127.0.0.1:80/x?a=1' -H 'X-A: it'\''s' --data-binary '{}'`, all[0].Again)
	_, path, found := strings.Cut(all[1].Again, "< ")
	require.True(t, found)
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "GET /\x00", string(kept))
}

func TestAlarmingLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		`{"level":"info","message":"ready"}`: false, "goroutine 1 [running]:": true, `{"level":"error","panic":"x"}`: true, "panic: boom": true,
	} {
		_, bad := alarming(line)
		require.Equal(t, want, bad, line)
	}
}
