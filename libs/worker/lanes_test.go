package worker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

// fillLanes puts n messages of one job each into every lane; a job's id begins
// with its lane.
func fillLanes(h *harness, n int, priorities ...string) {
	h.t.Helper()
	for k := range n {
		for _, p := range priorities {
			h.sendIn(p, fmt.Sprintf("%s-%d", p, k))
		}
	}
}

func all() []string {
	return []string{contract.PriorityLow, contract.PriorityNormal, contract.PriorityHigh}
}

// takeTurns lets n runs end and counts those that began by lane.
func takeTurns(t *testing.T, p *probe, n int) map[string]int {
	t.Helper()
	began := map[string]int{}
	for range n {
		lane, _, _ := strings.Cut(testkit.Receive(t, p.began), "-")
		began[lane]++
		p.turns <- struct{}{}
	}
	return began
}

func TestLanesShareTheSlotsByWeight(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 4, 10} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			t.Parallel()
			h := start(t)
			p := newProbe()
			fillLanes(h, 70, all()...)
			cfg := config()
			cfg.Concurrency = concurrency
			h.work(cfg, p.handle)
			began := takeTurns(t, p, 100)
			require.InDelta(t, 60, began[contract.PriorityHigh], 8)
			require.InDelta(t, 30, began[contract.PriorityNormal], 6)
			require.InDelta(t, 10, began[contract.PriorityLow], 4)
			takeTurns(t, p, 110)
			h.settled()
		})
	}
}

func TestALoneLaneGetsEverySlot(t *testing.T) {
	t.Parallel()
	for _, priority := range all() {
		t.Run(priority, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			p := newProbe()
			h.work(config(), p.handle)
			fillLanes(h, 12, priority)
			for range config().Concurrency {
				testkit.Receive(t, p.began)
			}
			for range 12 {
				p.turns <- struct{}{}
			}
			h.settled()
			require.Equal(t, config().Concurrency, p.largest)
		})
	}
}

// A full worker hands on what comes to it from a lane that was empty.
func TestAFullWorkerLeavesOtherLanesToOthers(t *testing.T) {
	t.Parallel()
	h := start(t)
	busy := newProbe()
	cfg := config()
	cfg.Concurrency = 1
	h.work(cfg, busy.handle)
	h.send("slow")
	testkit.Receive(t, busy.began)
	for _, p := range all() {
		h.sendIn(p, p+"-quick")
	}
	cfg.Name, cfg.Concurrency = "w2", 3
	h.work(cfg, succeed)
	for range all() {
		require.Contains(t, h.result().JobID, "-quick")
	}
	busy.turns <- struct{}{}
	require.Equal(t, "slow", h.result().JobID)
	h.settled()
}

func TestAMissingLaneIsWaitedForAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	h := start(t)
	missing := contract.RunConsumer(contract.QueuePlugins, contract.PriorityHigh)
	require.NoError(t, h.js.DeleteConsumer(t.Context(), contract.StreamRuns, missing))
	h.work(config(), succeed)
	h.logged("fetching runs was interrupted; trying again")
	h.send("meanwhile")
	require.Equal(t, "meanwhile", h.result().JobID)
	for _, c := range contract.Consumers(testkit.Lease) {
		if c.Durable == missing {
			require.NoError(t, provision(h, c))
		}
	}
	h.sendIn(contract.PriorityHigh, "found")
	require.Equal(t, "found", h.result().JobID)
	h.settled()
}
