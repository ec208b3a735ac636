package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

// probe counts the handlers that run at once; each waits for its turn to end.
type probe struct {
	mu           sync.Mutex
	now, largest int
	ran          map[string]int
	began        chan string
	turns        chan struct{}
}

func newProbe() *probe {
	return &probe{ran: map[string]int{}, began: make(chan string, 10_000), turns: make(chan struct{})}
}

func (p *probe) handle(_ context.Context, job worker.Job) (worker.Result, error) {
	p.mu.Lock()
	p.now++
	p.largest = max(p.largest, p.now)
	p.ran[job.ID]++
	p.mu.Unlock()
	p.began <- job.ID
	<-p.turns
	p.mu.Lock()
	p.now--
	p.mu.Unlock()
	return worker.Result{}, nil
}

func (p *probe) requireEachOnce(t *testing.T, jobs []string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Len(t, p.ran, len(jobs))
	for _, id := range jobs {
		require.Equal(t, 1, p.ran[id], id)
	}
}

func TestSlotsAreNeverExceeded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ concurrency, perMessage, jobs int }{
		"one":            {1, 1, 6},
		"a few":          {4, 1, 40},
		"packs":          {16, 4, 80},
		"uneven packs":   {10, 4, 40},
		"packs for one":  {1, 3, 9},
		"too large ones": {3, contract.MaxRunsPerMessage, 96},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			p := newProbe()
			cfg := config()
			cfg.Concurrency = tc.concurrency
			h.work(cfg, p.handle)
			jobs := ids(tc.jobs)
			for pack := range slices.Chunk(jobs, tc.perMessage) {
				h.send(pack...)
			}
			for range tc.concurrency {
				testkit.Receive(t, p.began)
			}
			for range tc.jobs {
				p.turns <- struct{}{}
				h.result()
			}
			h.settled()
			p.requireEachOnce(t, jobs)
			require.Equal(t, tc.concurrency, p.largest, "all of them are used, and no more")
		})
	}
}

// A worker holds no work that another could do.
func TestOnlyAsMuchAsFitsIsFetched(t *testing.T) {
	t.Parallel()
	h := start(t)
	busy := newProbe()
	cfg := config()
	cfg.Concurrency = 2
	h.work(cfg, busy.handle)
	for _, id := range ids(6) {
		h.send(id)
	}
	testkit.Receive(t, busy.began)
	testkit.Receive(t, busy.began)
	cfg.Name = "w2"
	h.work(cfg, succeed)
	for range 4 {
		require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome)
	}
	require.Equal(t, 2, busy.largest)
	busy.turns <- struct{}{}
	busy.turns <- struct{}{}
	h.settled()
}

func TestPacksAreSettledWhenTheirJobsAreClaimed(t *testing.T) {
	t.Parallel()
	h := start(t)
	p := newProbe()
	cfg := config()
	cfg.Concurrency = 8
	h.work(cfg, p.handle)
	jobs := h.send(ids(5)...)
	for range jobs {
		testkit.Receive(t, p.began)
	}
	h.settled()
	require.Empty(t, h.jobs.results, "its jobs still run")
	for range jobs {
		p.turns <- struct{}{}
		h.result()
	}
	p.requireEachOnce(t, jobs)
}

func TestRefusedClaimsAreNotRun(t *testing.T) {
	t.Parallel()
	h := start(t, func(j *jobsService) {
		j.claim = func(req contract.ClaimRequest) (contract.ClaimReply, error) {
			var reply contract.ClaimReply
			for _, c := range req.Claims {
				if c.JobID == "job-1" {
					reply.Granted = append(reply.Granted, grant(c))
				} else {
					reply.Refused = append(reply.Refused, c.JobID)
				}
			}
			// Answers about jobs nobody asked for change nothing.
			reply.Granted = append(reply.Granted, grant(contract.LeaseRef{JobID: "stranger"}))
			reply.Refused = append(reply.Refused, "another")
			return reply, nil
		}
	})
	ran := make(chan string, 10)
	h.work(config(), func(_ context.Context, job worker.Job) (worker.Result, error) {
		ran <- job.ID
		return worker.Result{}, nil
	})
	h.send("job-0", "job-1", "job-2")
	h.send("job-3")
	h.settled()
	require.Equal(t, "job-1", testkit.Receive(t, ran))
	require.Empty(t, ran)
	require.Equal(t, "job-1", h.result().JobID)
}

// A claim that did not fit the answer is asked again, with the same token.
func TestClaimsInNeitherListAreAskedAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	tokens := map[string][]string{}
	h := start(t, func(j *jobsService) {
		j.claim = func(req contract.ClaimRequest) (contract.ClaimReply, error) {
			mu.Lock()
			defer mu.Unlock()
			for _, c := range req.Claims {
				tokens[c.JobID] = append(tokens[c.JobID], c.LeaseToken)
			}
			req.Claims = req.Claims[:1]
			return grantAll(req), nil
		}
	})
	p := newProbe()
	h.work(config(), p.handle)
	jobs := h.send(ids(4)...)
	for range jobs {
		testkit.Receive(t, p.began)
	}
	for range jobs {
		p.turns <- struct{}{}
		h.result()
	}
	h.settled()
	p.requireEachOnce(t, jobs)
	mu.Lock()
	defer mu.Unlock()
	asked := 0
	for _, id := range jobs {
		require.Len(t, slices.Compact(tokens[id]), 1, id)
		asked += len(tokens[id])
	}
	require.Greater(t, asked, len(jobs))
}

func TestOneJobTwiceInAPack(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	taken := map[string]string{}
	h := start(t, func(j *jobsService) {
		j.claim = func(req contract.ClaimRequest) (contract.ClaimReply, error) {
			mu.Lock()
			defer mu.Unlock()
			var reply contract.ClaimReply
			for _, c := range req.Claims {
				if holder := taken[c.JobID]; holder != "" && holder != c.LeaseToken {
					reply.Refused = append(reply.Refused, c.JobID)
					continue
				}
				taken[c.JobID] = c.LeaseToken
				reply.Granted = append(reply.Granted, grant(c))
			}
			return reply, nil
		}
	})
	p := newProbe()
	h.work(config(), p.handle)
	h.send("twin", "twin", "other")
	for range 2 {
		testkit.Receive(t, p.began)
		p.turns <- struct{}{}
	}
	h.settled()
	p.requireEachOnce(t, []string{"twin", "other"})
}

func TestUnreadableMessagesAreDropped(t *testing.T) {
	t.Parallel()
	h := start(t)
	cfg := config()
	cfg.Concurrency = 1
	h.work(cfg, succeed)
	for _, body := range []string{"", "not json", "[]", `"job-1"`, `{"job_ids":null}`, `{"job_ids":[]}`, `{"job_ids":[7]}`, `{"job_ids":"job-1"}`} {
		h.sendRaw([]byte(body))
	}
	h.send("job-1")
	require.Equal(t, "job-1", h.result().JobID, "they cost no slot")
	h.settled()
	require.Len(t, h.jobs.claims, 1)
	h.logged("a run message is unreadable")
}

func TestClaimsAreRepeatedWithTheirToken(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	tries := 0
	h := start(t, func(j *jobsService) {
		j.claim = func(req contract.ClaimRequest) (contract.ClaimReply, error) {
			mu.Lock()
			defer mu.Unlock()
			if tries++; tries < 3 {
				return contract.ClaimReply{}, fault.Unavailablef("Postgres is away.")
			}
			return grantAll(req), nil
		}
	})
	h.work(config(), succeed)
	h.send("job-1")
	require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome)
	first := testkit.Receive(t, h.jobs.claims)
	for range 2 {
		require.Equal(t, first, testkit.Receive(t, h.jobs.claims), "the answer may have been lost: the token stays")
	}
}

// The jobs service is away: a claim is repeated with its token until there is an
// answer, whether nobody is there or somebody without a database. It may have been
// granted before, and then nobody else could run the job.
func TestClaimsWaitForAServiceThatIsAway(t *testing.T) {
	t.Parallel()
	h := alone(t)
	var tries atomic.Int32
	h.jobs.claim = func(req contract.ClaimRequest) (contract.ClaimReply, error) {
		if tries.Add(1) < 6 {
			return contract.ClaimReply{}, fault.Unavailablef("Postgres is away.")
		}
		return grantAll(req), nil
	}
	h.work(config(), succeed)
	h.send("job-1")
	h.logged("could not claim jobs; trying again until the jobs service answers")
	require.Equal(t, 1, h.messages())
	h.jobs.serve(t, h.server)
	require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome)
	h.settled()
	first := testkit.Receive(t, h.jobs.claims)
	for range 5 {
		require.Equal(t, first, testkit.Receive(t, h.jobs.claims))
	}
	require.Empty(t, h.jobs.claims, "the message came once")
}

// What the jobs service cannot do for reasons of its own is not asked for ever: the
// message goes back to the broker and comes again, two seconds later.
func TestMessagesComeAgainWhenClaimsFail(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	h := start(t, func(j *jobsService) {
		j.claim = func(req contract.ClaimRequest) (contract.ClaimReply, error) {
			if tries.Add(1) <= 3 {
				return contract.ClaimReply{}, errors.New("a bug")
			}
			return grantAll(req), nil
		}
	})
	h.work(config(), succeed)
	h.send("job-1")
	h.logged("could not claim jobs; their messages will come again")
	require.Equal(t, 1, h.messages())
	require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome)
	h.settled()
}

// A worker that ends while the jobs service is away gives its messages back.
func TestStopDoesNotWaitForAServiceThatIsAway(t *testing.T) {
	t.Parallel()
	h := alone(t)
	stop := h.work(config(), succeed)
	h.send("job-1")
	h.logged("could not claim jobs; trying again until the jobs service answers")
	stop()
	h.jobs.serve(t, h.server)
	h.work(config(), succeed)
	require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome)
	h.settled()
}

func TestManyJobsRunOnceEach(t *testing.T) {
	t.Parallel()
	const n = 600
	h := start(t)
	cfg := config()
	cfg.Concurrency = 50
	for k := range 2 {
		cfg.Name = fmt.Sprintf("w%d", k)
		h.work(cfg, succeed)
	}
	jobs := ids(n)
	for pack := range slices.Chunk(jobs, 16) {
		h.send(pack...)
	}
	seen := map[string]int{}
	for range n {
		seen[h.result().JobID]++
	}
	h.settled()
	require.Len(t, seen, n)
	require.Empty(t, h.jobs.results)
}

func TestFetchingGoesOnAfterTheBrokerWasAway(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.work(config(), succeed)
	h.send("before")
	require.Equal(t, "before", h.result().JobID)
	h.settled()
	durable := contract.RunConsumer(contract.QueuePlugins, contract.PriorityNormal)
	require.NoError(t, h.js.DeleteConsumer(t.Context(), contract.StreamRuns, durable))
	h.logged("fetching runs was interrupted; trying again")
	for _, c := range contract.Consumers(testkit.Lease) {
		if c.Durable == durable {
			require.NoError(t, provision(h, c))
		}
	}
	h.send("after")
	require.Equal(t, "after", h.result().JobID)
	h.settled()
}

func TestLongRunsAreNotDeliveredAgain(t *testing.T) {
	t.Parallel()
	h := start(t)
	p := newProbe()
	cfg := config()
	cfg.Lease = time.Second
	h.work(cfg, p.handle)
	h.send("slow")
	testkit.Receive(t, p.began)
	// Three heartbeats a second, for longer than the broker waits for a word.
	for range 8 {
		testkit.Receive(t, h.jobs.beats)
	}
	p.turns <- struct{}{}
	h.result()
	h.settled()
	p.requireEachOnce(t, []string{"slow"})
	require.Len(t, h.jobs.claims, 1)
}
