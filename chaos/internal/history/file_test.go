package history_test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/chaos/internal/history"
	"nexus.internal/libs/contract"
)

func TestWhatIsAddedIsRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	f, err := history.Create(path)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 100 {
				f.Add(history.Record{Submit: &history.Submit{Key: "k", JobType: "noop", Answer: history.Answer{Status: 200, JobStatus: contract.StatusQueued}}})
			}
		})
	}
	wg.Wait()
	require.NoError(t, f.Close())
	records, err := history.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, records, 1000)
	require.Equal(t, 200, records[7].Submit.Status)
	require.False(t, records[7].At.IsZero())
}

func TestCreateKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	f, err := history.Create(path)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = history.Create(path)
	require.Error(t, err)
}

func TestReadRefusesWhatIsCut(t *testing.T) {
	t.Parallel()
	_, err := history.Read(strings.NewReader("{\"run\":{\"scenario\":\"a\",\"seed\":1}}\n{\"run\":{"))
	require.ErrorContains(t, err, "line 2")
	_, err = history.ReadFile("/nowhere/history.jsonl")
	require.Error(t, err)
}
