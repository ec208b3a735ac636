package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nexus.internal/bench/internal/figure"
	"nexus.internal/bench/internal/private"
	"nexus.internal/bench/internal/suite"
)

// measureAgainst measures two nexus in turn that differ in some settings, each with
// servers of its own. Who comes first changes from round to round.
func (m *measurement) measureAgainst(ctx context.Context) error {
	m.other = figure.NewSheet()
	one, stopOne, err := m.startNexus(ctx, m.opts.settings, m.sheet)
	if err != nil {
		return err
	}
	other, stopOther, err := m.startNexus(ctx, slices.Concat(m.opts.settings, m.opts.against), m.other)
	if err != nil {
		return errors.Join(err, stopOne())
	}
	systems := []func(context.Context) error{one.Round, other.Round}
	for i := range m.opts.rounds {
		fmt.Fprintf(m.progress, "round %d of %d\n", i+1, m.opts.rounds)
		for _, measure := range systems {
			if err := measure(ctx); err != nil {
				return errors.Join(err, stopOther(), stopOne())
			}
		}
		slices.Reverse(systems)
	}
	return errors.Join(m.other.Err(), stopOther(), stopOne())
}

func (m *measurement) startNexus(ctx context.Context, settings []string, sheet *figure.Sheet) (n *suite.Nexus, stop func() error, err error) {
	server, err := private.Start(ctx, private.Options{Binary: m.programs.nexus, Dir: m.opts.dir, Settings: settings})
	if err != nil {
		return nil, nil, err
	}
	n, err = suite.NewNexus(ctx, server, m.payloads, m.opts.lengths(), sheet, m.progress)
	if err != nil {
		return nil, nil, errors.Join(err, server.Stop(ctx))
	}
	if m.run.Postgres, m.run.NATS, err = n.Versions(ctx); err != nil {
		return nil, nil, errors.Join(err, n.Close(), server.Stop(ctx))
	}
	return n, func() error { return errors.Join(n.Close(), server.Stop(ctx)) }, nil
}
