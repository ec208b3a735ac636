package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
)

// flood publishes n messages of an owner.
func (w *world) flood(owner string, n int) {
	w.t.Helper()
	futures := make([]jetstream.PubAckFuture, n)
	for i := range n {
		var err error
		futures[i], err = w.js.PublishAsync("nexus.submit."+owner+".analyze", fmt.Appendf(nil, `{"payload":{"n":%d}}`, i))
		require.NoError(w.t, err)
	}
	for _, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			require.NoError(w.t, err)
		}
	}
}

// Whatever owners publish who are over their limits, another owner's message is
// recorded at once; they are told of what is refused, and nothing vanishes.
func TestAFloodDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	w, _ := start(t, withDoor)
	const limit, waiting = 60, 500
	// The first alone is more than a consumer may have pending.
	noisy := []int{7_000, 1_000, 1_000}
	over := 0
	w.caller(contract.VerifyReply{Owner: "calm", Role: "operator"})
	for i, n := range noisy {
		w.caller(contract.VerifyReply{Owner: fmt.Sprintf("noisy-%d", i), Role: "operator", RateLimitPerMinute: limit})
		over += n - limit - waiting
	}
	rejections := make(chan contract.Event, 10*over)
	w.follow(contract.StreamEvents, contract.RejectionPattern("*"), func(m jetstream.Msg) {
		events, err := contract.DecodeEvents(m.Data())
		require.NoError(t, err)
		rejections <- events[0]
	})
	for i, n := range noisy {
		w.flood(fmt.Sprintf("noisy-%d", i), n)
	}
	for i := range 3 {
		began := time.Now()
		w.knock("nexus.submit.calm.analyze", `{"idempotency_key":"calm"}`)
		for s := testkit.Receive(t, w.recorded); s.CreatedBy != "calm"; s = testkit.Receive(t, w.recorded) {
		}
		t.Log(i, time.Since(began))
		require.Less(t, time.Since(began), 30*time.Second, "behind all that others have published it takes minutes")
	}
	refused := map[string]int{}
	for range over {
		e := testkit.Receive(t, rejections)
		var why contract.Rejection
		require.NoError(t, json.Unmarshal(e.Data, &why))
		require.Equal(t, "rate_limited", why.Code)
		require.Positive(t, why.RetryAfterSeconds)
		refused[why.Owner]++
	}
	for i, n := range noisy {
		require.Equal(t, n-limit-waiting, refused[fmt.Sprintf("noisy-%d", i)], "owner %d", i)
	}
	dead, err := w.js.Stream(t.Context(), contract.StreamDead)
	require.NoError(t, err)
	require.EqualValues(t, over, dead.CachedInfo().State.Msgs, "what is refused is kept")
	testkit.Eventually(t, func() bool { return w.waiting() == uint64(len(noisy)*waiting) }, "what is a little over the limit waits")
	require.Empty(t, rejections)
}

// More owners than are read at once take turns.
func TestManyOwnersTakeTurns(t *testing.T) {
	t.Parallel()
	w, _ := start(t, withDoor)
	const owners = 150
	for i := range owners {
		w.caller(contract.VerifyReply{Owner: fmt.Sprintf("o%d", i), Role: "operator", RateLimitPerMinute: 1})
	}
	for i := range owners {
		// The second of each waits, so that every owner has messages all the time.
		w.knock(fmt.Sprintf("nexus.submit.o%d.analyze", i), `{}`)
		w.knock(fmt.Sprintf("nexus.submit.o%d.analyze", i), `{}`)
	}
	seen := map[string]bool{}
	for len(seen) < owners {
		seen[testkit.Receive(t, w.recorded).CreatedBy] = true
	}
}

// An error that nobody can wait for ends in a dead letter and a word to the owner;
// one of something that is away does not, however often it comes.
func TestDoorGivesUpOnErrorsThatDoNotPass(t *testing.T) {
	t.Parallel()
	w, _ := start(t, withDoor)
	rejected, dead := w.events(contract.AreaSubmit), w.graveyard()
	w.answer(contract.RPCAuthOwner, refuses(errors.New("a fault of ours")))
	owner := ownerOf(identity.Operator)
	w.knock("nexus.submit."+owner+".analyze", `{}`)
	// Five tries and the pauses between them take longer than tests mostly wait.
	var letter deadLetter
	require.Eventually(t, func() bool {
		select {
		case letter = <-dead:
			return true
		default:
			return false
		}
	}, time.Minute, 50*time.Millisecond)
	require.Equal(t, "internal: Something went wrong on our side; the request id leads to the log.", letter.reason)
	var why contract.Rejection
	require.NoError(t, json.Unmarshal(testkit.Receive(t, rejected).Data, &why))
	require.Equal(t, []string{owner, "internal"}, []string{why.Owner, why.Code})
	w.settled()
	require.Len(t, w.requests(contract.RPCAuthOwner), 5)

	w.answer(contract.RPCAuthOwner, refuses(fault.Unavailablef("Postgres is away.")))
	w.knock("nexus.submit."+owner+".analyze", `{}`)
	testkit.Eventually(t, func() bool { return len(w.requests(contract.RPCAuthOwner)) >= 8 }, "it was not tried again")
	require.EqualValues(t, 1, w.waiting())
	require.Empty(t, dead)
	w.answer(contract.RPCAuthOwner, w.owner)
	testkit.Receive(t, w.recorded)
	w.settled()
}
