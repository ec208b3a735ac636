package admission

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"nexus.internal/libs/contract"
)

// Name implements run.Component.
func (a *Admission) Name() string { return "admission" }

// Run implements run.Component: it forgets what has changed as soon as it hears
// of it. After a lost connection it forgets everything, since it may have missed
// a change.
func (a *Admission) Run(ctx context.Context, ready func()) error {
	for _, subject := range []string{contract.KeyEvents, contract.FeatureEvents} {
		sub, err := a.nc.Subscribe(subject, func(*nats.Msg) { a.forget() })
		if err != nil {
			return fmt.Errorf("listen for changes of access: %w", err)
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	if err := a.nc.Flush(); err != nil {
		return fmt.Errorf("listen for changes of access: %w", err)
	}
	lost := a.nc.StatusChanged(nats.RECONNECTING, nats.CONNECTED)
	defer a.nc.RemoveStatusListener(lost)
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-lost:
			a.forget()
		}
	}
}

// forget drops everything remembered about keys and features. Changes are rare
// and asking again is cheap, so nothing is gained by dropping less.
func (a *Admission) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard++
	clear(a.known)
	clear(a.refused)
	a.features, a.featuresUntil = nil, a.now()
}
