package platform

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/embedpg"
	"nexus.internal/libs/pg"
	"nexus.internal/migrations"
)

func TestThePrivateServerTakesAllConnectionsOfThePools(t *testing.T) {
	t.Parallel()
	services := len(migrations.Schemas())
	require.Equal(t, embedpg.DefaultMaxConnections, connectionsFor(pg.Config{PoolSize: 1}))
	require.Equal(t, embedpg.DefaultMaxConnections, connectionsFor(pg.Config{PoolSize: 5, MaxOverflow: 10}))
	require.Equal(t, services*90+spareConnections, connectionsFor(pg.Config{PoolSize: 50, MaxOverflow: 40}))
}
