package scenario

import (
	"context"
	"fmt"

	"nexus.internal/chaos/internal/cluster"
)

// Scenario is one way to break a Nexus.
type Scenario struct {
	Name string
	// Short scenarios are part of every change's checks.
	Short bool
	// BrokerLost and Orderly say what may be asked of it; see history.Run.
	BrokerLost, Orderly bool
	// BenchWorkers are the no-op jobs that the first jobs process runs at once,
	// beside the second's.
	BenchWorkers int
	// proxied are the processes that reach NATS through a proxy.
	proxied []string
	// disturb breaks things while clients are at work, and has mended them all
	// when it returns.
	disturb func(ctx context.Context, s *stage) error
}

// All lists the scenarios.
func All() []Scenario {
	return []Scenario{
		{Name: "kill-services", Short: true, disturb: killServices},
		{Name: "nats-store-deleted", Short: true, BrokerLost: true, disturb: deleteStore},
		{Name: "kill-nats", Short: true, disturb: killNATS},
		{Name: "kill-postgres", Short: true, disturb: killPostgres},
		{Name: "frozen-worker", Short: true, BenchWorkers: 20, disturb: freezeWorkers},
		{Name: "rolling-restart", Short: true, Orderly: true, BenchWorkers: 20, disturb: restartInTurn},
		{Name: "nats-store-rolled-back", BrokerLost: true, disturb: rollBackStore},
		{Name: "postgres-bounce", disturb: bouncePostgres},
		{Name: "acks-lost", BenchWorkers: 20, proxied: []string{cluster.JobsWorker, cluster.Corpus}, disturb: loseAcks},
		{Name: "no-workers", disturb: stopWorkers},
	}
}

// Named finds a scenario.
func Named(name string) (Scenario, error) {
	for _, s := range All() {
		if s.Name == name {
			return s, nil
		}
	}
	return Scenario{}, fmt.Errorf("there is no scenario %q", name)
}
