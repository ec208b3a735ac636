package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

// One handler's artifact that is not JSON costs its own job only: the results of
// the others in the same report arrive.
func TestArtifactThatIsNotJSON(t *testing.T) {
	t.Parallel()
	h := start(t)
	together := make(chan struct{})
	began := make(chan struct{}, 4)
	h.work(config(), func(_ context.Context, job worker.Job) (worker.Result, error) {
		began <- struct{}{}
		<-together
		if job.ID == "job-0" {
			return worker.Result{Artifacts: []contract.Artifact{{Type: "a", Payload: json.RawMessage("not json")}}}, nil
		}
		return worker.Result{}, nil
	})
	for _, id := range ids(4) {
		h.send(id)
	}
	for range 4 {
		testkit.Receive(t, began)
	}
	close(together)
	for range 4 {
		h.result()
	}
}

// 256 KiB of '<' would be 1.5 MiB with the escapes for HTML.
func TestArtifactThatGrowsWhenEncoded(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.work(config(), func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{Artifacts: []contract.Artifact{{Type: "a", Payload: json.RawMessage(`"` + strings.Repeat("<", 200<<10) + `"`)}}}, nil
	})
	h.send("job-0")
	h.result()
}

func TestArtifactWithLongRef(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.work(config(), func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{Artifacts: []contract.Artifact{{Type: "a", Ref: strings.Repeat("r", 2<<20)}}}, nil
	})
	h.send("job-0")
	h.result()
}

func TestManyLongErrors(t *testing.T) {
	t.Parallel()
	h := start(t)
	cfg := config()
	cfg.Concurrency = 200
	together := make(chan struct{})
	began := make(chan struct{}, 200)
	h.work(cfg, func(context.Context, worker.Job) (worker.Result, error) {
		began <- struct{}{}
		<-together
		return worker.Result{}, errors.New(strings.Repeat("\x01", contract.MaxErrorText))
	})
	for _, id := range ids(200) {
		h.send(id)
	}
	for range 200 {
		testkit.Receive(t, began)
	}
	close(together)
	for range 200 {
		h.result()
	}
}
