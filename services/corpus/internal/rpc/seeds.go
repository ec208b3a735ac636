package rpc

import (
	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/seed"
)

// RegisterSeeds has an RPC service answer about seed texts. It must be called
// before the service runs.
func RegisterSeeds(seeds *seed.Seeds, service *bus.RPC) {
	bus.Handle(service, contract.RPCCorpusSeeds, seeds.List)
	bus.Handle(service, contract.RPCCorpusFetchSeed, seeds.Fetch)
}
