package contract_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
)

// The id is part of the contract: gateways make it and workers check it.
func TestShadowJobID(t *testing.T) {
	t.Parallel()
	const job = "0190a0a0-0000-7000-8000-000000000001"
	id := contract.ShadowJobID(job)
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
	require.Equal(t, id, contract.ShadowJobID(job))
	require.NotEqual(t, id, contract.ShadowJobID(id))
}
