package fault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/fault"
)

func TestConstructors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err    *fault.Error
		kind   fault.Kind
		code   string
		detail string
	}{
		"new without a code": {fault.New(fault.RateLimited, "", "Too fast."), fault.RateLimited, "rate_limited", "Too fast."},
		"new with a code":    {fault.New(fault.Unauthenticated, "expired", "Log in again."), fault.Unauthenticated, "expired", "Log in again."},
		"invalid":            {fault.Invalidf("bad_cursor", "No page %d.", 7), fault.Invalid, "bad_cursor", "No page 7."},
		"unprocessable":      {fault.Unprocessablef("limit is %d", -1), fault.Unprocessable, "validation_error", "limit is -1"},
		"not found":          {fault.NotFoundf("No job %s.", "x"), fault.NotFound, "not_found", "No job x."},
		"conflict":           {fault.Conflictf("Used %q.", "k"), fault.Conflict, "conflict", `Used "k".`},
		"forbidden":          {fault.Forbiddenf("Needs %s.", "admin"), fault.Forbidden, "forbidden", "Needs admin."},
		"unavailable":        {fault.Unavailablef("Wait %ds.", 3), fault.Unavailable, "unavailable", "Wait 3s."},
		"wrapped":            {fault.Wrap(fault.TooLarge, io.ErrShortBuffer, "Ask for less."), fault.TooLarge, "too_large", "Ask for less."},
	} {
		require.Equal(t, tc.kind, tc.err.Kind, name)
		require.Equal(t, tc.code, tc.err.Code, name)
		require.Equal(t, tc.detail, tc.err.Detail, name)
		require.Equal(t, tc.kind, fault.KindOf(fmt.Errorf("outer: %w", tc.err)), name)
	}
}

func TestCauseIsForTheLogOnly(t *testing.T) {
	t.Parallel()
	cause := fmt.Errorf("dial 10.0.0.7: %w", io.EOF)
	err := fault.Wrap(fault.Unavailable, cause, "The store is away.")
	require.EqualError(t, err, "The store is away.: dial 10.0.0.7: EOF")
	require.ErrorIs(t, err, io.EOF)
	require.EqualError(t, fault.NotFoundf("Gone."), "Gone.")
	require.NoError(t, errors.Unwrap(fault.NotFoundf("Gone.")))

	body, encErr := json.Marshal(err)
	require.NoError(t, encErr)
	require.JSONEq(t, `{"kind":"unavailable","code":"unavailable","detail":"The store is away."}`, string(body))
	public := fault.Public(fmt.Errorf("read the page: %w", err))
	require.EqualError(t, public, "The store is away.")
	require.NotErrorIs(t, public, io.EOF)
}

func TestKindOfStrangersIsInternal(t *testing.T) {
	t.Parallel()
	require.Equal(t, fault.Internal, fault.KindOf(io.EOF))
	require.Equal(t, fault.Internal, fault.KindOf(nil))
	require.Equal(t, fault.Conflict, fault.KindOf(errors.Join(io.EOF, fault.Conflictf("x"))))
}

func TestPublicTellsNothingOfStrangers(t *testing.T) {
	t.Parallel()
	public := fault.Public(errors.New(`pq: password "hunter2" refused`))
	require.Equal(t, fault.Internal, public.Kind)
	require.Equal(t, "internal", public.Code)
	require.NotContains(t, public.Error(), "hunter2")
	require.NotEmpty(t, public.Detail)
}

func TestPublicKeepsTheFields(t *testing.T) {
	t.Parallel()
	err := fault.Unprocessablef("Two things are wrong.")
	err.Fields = []fault.Field{{Location: "body.mode", Message: "unknown"}, {Location: "query.limit", Message: "too large"}}
	public := fault.Public(err)
	require.Equal(t, err.Fields, public.Fields)
	body, encErr := json.Marshal(public)
	require.NoError(t, encErr)
	var back fault.Error
	require.NoError(t, json.Unmarshal(body, &back))
	require.Equal(t, *public, back, "a fault crosses the wire whole")
}

func TestATextKeepsKindAndDetail(t *testing.T) {
	t.Parallel()
	for _, err := range []*fault.Error{
		fault.NotFoundf("Document not found"), fault.Conflictf("In conflict: markers"), fault.Unprocessablef("bad"),
		fault.New(fault.TooLarge, "", "Too much"),
	} {
		text := fault.Text(fmt.Errorf("read: %w", err))
		require.Equal(t, string(err.Kind)+": "+err.Detail, text)
		parsed, ok := fault.Parse(text)
		require.True(t, ok)
		require.Equal(t, err, parsed)
	}
	for _, text := range []string{"", "not_found", "not_found: ", "internal: secret", "the handler panicked: boom", ": x"} {
		_, ok := fault.Parse(text)
		require.False(t, ok, text)
	}
}
