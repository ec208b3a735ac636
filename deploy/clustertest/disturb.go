package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// disturbance is one thing that operators and nodes do.
type disturbance struct {
	name, what string
	do         func(context.Context) error
	// quiet ones may fail no request.
	quiet bool
}

func (c *cluster) disturbances() []disturbance {
	return []disturbance{
		{"restart", "restart of all deployments", c.restart, true},
		{"upgrade", "v1 → v2 → v1", c.upgrade, true},
		{"nats", "restart of NATS", c.restartNATS, false},
		{"postgres", "restart of Postgres", c.restartPostgres, false},
		{"kill", "kill -9 of each pod", c.killEach, false},
		{"wipe", "volume of NATS wiped", c.wipeNATS, false},
		{"scale", "workers 1 → 4 → 1", c.scale, true},
	}
}

// disturbancesOfMembers are those of a cluster of three NATS servers.
func (c *cluster) disturbancesOfMembers() []disturbance {
	return []disturbance{
		{"members", "kill -9 of each of three NATS servers", c.killMembers, false},
		{"member-wiped", "volume of one of three wiped", c.wipeMember, false},
		{"rolling", "rolling restart of three NATS servers", c.restartMembers, false},
	}
}

// disturb does all of it under load and prints a table; then it tries what must not
// work.
func (c *cluster) disturb(ctx context.Context) error {
	rows := &table{lines: []string{"| disturbance | seconds | requests | failed | repeats | jobs | lost | not succeeded | retried |", "|---|---:|---:|---:|---:|---:|---:|---:|---:|"}}
	wrong := []error{
		c.each(ctx, c.disturbances(), rows),
		c.step("strangers on the network are refused", func() error { return c.refuses(ctx) }),
		c.step("a rollout that cannot reach its database stops", func() error { return c.stopsRollout(ctx) }),
	}
	c.members = true
	err := c.up(ctx)
	if err == nil {
		err = c.each(ctx, c.disturbancesOfMembers(), rows)
	}
	c.say("\n%s", strings.Join(rows.lines, "\n"))
	return errors.Join(append(wrong, err)...)
}

// table is what is printed in the end.
type table struct{ lines []string }

// each does one disturbance after the other, whatever comes of those before.
func (c *cluster) each(ctx context.Context, all []disturbance, rows *table) error {
	var wrong []error
	for _, d := range all {
		wrong = append(wrong, c.step(d.what, func() error {
			t, err := c.under(ctx, d.name, d.do)
			if err != nil {
				return err
			}
			rows.lines = append(rows.lines, fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | %d |",
				d.what, t.Seconds, t.Requests, t.Failed, t.Repeats, t.Jobs, t.Lost, t.Unsuccessful, t.Retried))
			c.say("   %+v", t)
			return t.judge(d.quiet)
		}))
	}
	return errors.Join(wrong...)
}

// judge says what must not have happened.
func (t tally) judge(quiet bool) error {
	switch {
	case t.Lost+t.Unsuccessful > 0:
		return fmt.Errorf("%d jobs were lost, and %d did not succeed", t.Lost, t.Unsuccessful)
	case quiet && t.Failed > 0:
		return fmt.Errorf("%d requests failed: %v", t.Failed, t.Reasons)
	case t.Jobs == 0:
		return errors.New("there was no load")
	default:
		return nil
	}
}

func (c *cluster) restart(ctx context.Context) error {
	if err := c.all(ctx, "rollout restart deployment"); err != nil {
		return err
	}
	return c.settled(ctx)
}

func (c *cluster) upgrade(ctx context.Context) error {
	for _, version := range []string{"v2", "v1"} {
		if err := c.apply(ctx, version); err != nil {
			return err
		}
		if err := c.settled(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) restartNATS(ctx context.Context) error {
	if err := c.all(ctx, "delete pod nats-0"); err != nil {
		return err
	}
	return c.settled(ctx)
}

func (c *cluster) restartPostgres(ctx context.Context) error {
	if err := c.all(ctx, "delete pod postgres-0"); err != nil {
		return err
	}
	return c.settled(ctx)
}

// killEach kills every pod, one after the other.
func (c *cluster) killEach(ctx context.Context) error {
	pods, err := c.kube(ctx, "-n", namespace, "get", "pods", "-o", "name")
	if err != nil {
		return err
	}
	for _, pod := range strings.Fields(pods) {
		if err := c.all(ctx, "delete "+pod+" --grace-period=0 --force"); err != nil {
			return err
		}
		if err := c.settled(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wipeNATS gives NATS an empty volume.
func (c *cluster) wipeNATS(ctx context.Context) error {
	err := c.all(ctx, "scale statefulset nats --replicas=0", "wait --for=delete pod/nats-0 --timeout=2m", "delete pvc data-nats-0", "scale statefulset nats --replicas=1")
	if err != nil {
		return err
	}
	return c.settled(ctx)
}

// killMembers kills each server of the cluster, the next one when the last is ready.
func (c *cluster) killMembers(ctx context.Context) error {
	for _, pod := range []string{"nats-0", "nats-1", "nats-2"} {
		if err := c.all(ctx, "delete pod "+pod+" --grace-period=0 --force"); err != nil {
			return err
		}
		if err := c.settled(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wipeMember gives one server of the cluster an empty volume.
func (c *cluster) wipeMember(ctx context.Context) error {
	err := c.all(ctx, "delete pvc data-nats-1 --wait=false", "delete pod nats-1")
	if err != nil {
		return err
	}
	return c.settled(ctx)
}

func (c *cluster) restartMembers(ctx context.Context) error {
	if err := c.all(ctx, "rollout restart statefulset nats"); err != nil {
		return err
	}
	return c.settled(ctx)
}

func (c *cluster) scale(ctx context.Context) error {
	for _, n := range []string{"4", "1"} {
		if err := c.all(ctx, "scale deployment worker-plugins --replicas="+n); err != nil {
			return err
		}
		if err := c.settled(ctx); err != nil {
			return err
		}
	}
	return nil
}

// refuses tries to reach from outside what only nexus may reach, and the gateway, which
// everybody may.
func (c *cluster) refuses(ctx context.Context) error {
	const gateway = "gateway.nexus.svc.cluster.local:80"
	address, err := c.kube(ctx, "-n", namespace, "get", "pods", "-l", "app.kubernetes.io/name=jobs", "-o", "jsonpath={.items[0].status.podIP}")
	if err != nil {
		return err
	}
	err = c.pod(ctx, "stranger", "probe", gateway, "nats.nexus.svc.cluster.local:4222", "postgres.nexus.svc.cluster.local:5432", address+":9090")
	if err != nil {
		return err
	}
	said, err := c.result(ctx, "stranger")
	if err != nil {
		return err
	}
	if reached := strings.Fields(said); !slices.Equal(reached, []string{gateway}) {
		return fmt.Errorf("a stranger reaches %v: want the gateway alone", reached)
	}
	return nil
}

// stopsRollout gives auth a database that is not there: the pods that work must stay.
func (c *cluster) stopsRollout(ctx context.Context) error {
	if err := c.all(ctx, "set env deployment/auth NEXUS_DATABASE_URL=postgres://nobody@127.0.0.1:1/x"); err != nil {
		return err
	}
	if _, err := c.kube(ctx, "-n", namespace, "rollout", "status", "deployment/auth", "--timeout=40s"); err == nil {
		return errors.New("the rollout succeeded")
	}
	available, err := c.kube(ctx, "-n", namespace, "get", "deployment", "auth", "-o", "jsonpath={.status.availableReplicas}")
	if err != nil {
		return err
	}
	if available != "1" {
		return fmt.Errorf("%q pods of auth are available: want the one that worked", available)
	}
	if err := c.all(ctx, "rollout undo deployment/auth"); err != nil {
		return err
	}
	return c.settled(ctx)
}
