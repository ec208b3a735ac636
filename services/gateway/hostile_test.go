package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
)

// Text that HTML would escape costs nobody anything.
func TestAngleBracketsAreNotInflated(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	g.role(identity.Operator).submit(http.StatusOK, `{"job_type":"ingest_batch","payload":{"a":"`+strings.Repeat("<", 200<<10)+`"}}`)
	require.Contains(t, string(testkit.Receive(t, w.recorded).Payload), "<<<<")
}

// A payload nested so deep that no decoder takes it inside a command is refused
// at the door, where it can take nobody with it.
func TestDeeplyNestedPayloadIsRefused(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Operator)
	c.send(http.MethodPost, submitURL, `{"job_type":"ingest_batch","payload":{"a":`+strings.Repeat("[", 9997)+strings.Repeat("]", 9997)+`}}`).
		fails(http.StatusUnprocessableEntity, "validation_error")
	c.submit(http.StatusOK, `{"job_type":"ingest_batch","payload":{"a":`+strings.Repeat("[", 99)+strings.Repeat("]", 99)+`}}`)
	testkit.Receive(t, w.recorded)
}

// Names in another case reach the decoder past the schema.
func TestExecutionModeInAnotherCase(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	g.role(identity.Operator).send(http.MethodPost, submitURL, `{"job_type":"ingest_batch","execution_mode":"async","Execution_Mode":"later"}`).
		fails(http.StatusUnprocessableEntity, "validation_error")
	require.Empty(t, w.recorded)
}

func TestRequestIDOfABodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	r := g.role(identity.Operator).send(http.MethodPost, submitURL, strings.Repeat("x", 1<<20+1), requestID, "mine")
	require.Equal(t, "mine", r.header.Get(requestID))
}

// Nothing that was answered 503 because NATS is away runs later.
func TestNothingIsKeptOfAnUnavailableSubmit(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	c := g.role(identity.Operator)
	c.submit(http.StatusOK, `{"job_type":"analyze"}`)
	testkit.Receive(t, w.recorded)
	g.wire.breaks()
	testkit.Eventually(t, func() bool { return !g.nc.IsConnected() }, "the connection did not break")
	c.send(http.MethodPost, submitURL, `{"job_type":"analyze"}`).fails(http.StatusServiceUnavailable, "unavailable")
	g.wire.mends()
	testkit.Eventually(t, g.nc.IsConnected, "the connection did not come back")
	c.submit(http.StatusOK, `{"job_type":"ingest_batch"}`)
	require.Equal(t, "ingest_batch", testkit.Receive(t, w.recorded).JobType, "the next job is the next one asked for")
}

// A message as large as the broker takes has no room for the headers of a dead
// letter; it is cut, not delivered for ever.
func TestDoorKeepsTheLargestMessage(t *testing.T) {
	t.Parallel()
	w, _ := start(t, withDoor)
	dead := w.graveyard()
	w.knock("nexus.submit."+ownerOf(identity.Operator)+".analyze", strings.Repeat("x", 1<<20-100))
	testkit.Receive(t, dead)
	w.settled()
}

func TestDoorTakesOneObjectAndNothingElse(t *testing.T) {
	t.Parallel()
	w, _ := start(t, withDoor)
	dead := w.graveyard()
	for _, body := range []string{`{}}`, `{}]`, `{}]]{"a":`, `{} {}`, `null`, `[]`, `"{}"`, ``} {
		w.knock("nexus.submit."+ownerOf(identity.Operator)+".analyze", body)
		testkit.Receive(t, dead)
	}
	require.Empty(t, w.recorded)
}
