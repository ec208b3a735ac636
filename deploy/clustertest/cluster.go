package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// settings say where the cluster is.
type settings struct {
	// kubectl is the command that is kubectl for it, load one that loads the image archive
	// whose name follows, postgres an image in place of the overlay's.
	kubectl, load, postgres string
}

const (
	namespace = "nexus"
	// outside is the namespace of the load and of strangers.
	outside   = "nexus-clustertest"
	selfImage = "nexus-clustertest:v1"
	// rolloutWithin bounds one rollout.
	rolloutWithin = 5 * time.Minute
)

// cluster is a Kubernetes cluster with nothing else to do.
type cluster struct {
	kubectl, load []string
	postgres      string
	// out is told what is done.
	out io.Writer
	// root is the checkout, dir a folder for what is made here.
	root, dir string
	// members says that NATS is a cluster of three.
	members bool
}

// testCluster is the whole test.
func testCluster(ctx context.Context, s settings, out io.Writer) error {
	if s.kubectl == "" {
		_, err := fmt.Fprintln(out, "cluster-test: there is no cluster. Set CLUSTER_KUBECTL to the command that is kubectl for one, and CLUSTER_IMPORT "+
			"to a command that loads an image archive into it.")
		return err
	}
	if s.load == "" {
		return errors.New("CLUSTER_IMPORT is not set: want a command that loads the image archive whose name follows it")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	c := &cluster{
		kubectl: strings.Fields(s.kubectl), load: strings.Fields(s.load), postgres: s.postgres, out: out,
		root: root, dir: filepath.Join(root, ".cache", "clustertest"),
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("clear the folder of the test: %w", err)
	}
	if err := os.MkdirAll(c.dir, 0o750); err != nil {
		return fmt.Errorf("make the folder of the test: %w", err)
	}
	if err := c.images(ctx); err != nil {
		return err
	}
	if err := c.up(ctx); err != nil {
		return err
	}
	return c.disturb(ctx)
}

// say prints a line. Whoever reads it may be gone.
func (c *cluster) say(format string, args ...any) { _, _ = fmt.Fprintf(c.out, format+"\n", args...) }

// step says what is done and how long it took.
func (c *cluster) step(what string, do func() error) error {
	begun := time.Now()
	c.say("== %s", what)
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	c.say("-- %s: %s", what, time.Since(begun).Round(time.Second))
	return nil
}

// kube runs kubectl and returns what it printed.
func (c *cluster) kube(ctx context.Context, args ...string) (string, error) {
	return c.feed(ctx, "", args...)
}

// feed is kube with something to read.
func (c *cluster) feed(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.kubectl[0], append(c.kubectl[1:len(c.kubectl):len(c.kubectl)], args...)...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// all runs kubectl for the namespace of nexus, line by line.
func (c *cluster) all(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		if _, err := c.kube(ctx, append([]string{"-n", namespace}, strings.Fields(line)...)...); err != nil {
			return err
		}
	}
	return nil
}

// images builds two versions of nexus and this program, and loads them.
func (c *cluster) images(ctx context.Context) error {
	return c.step("build and load the images", func() error {
		for _, i := range []struct{ module, ref, version, entry, corpus string }{
			{filepath.Join(c.root, "cmd", "nexus"), "nexus:v1", "v1", "/usr/bin/nexus", filepath.Join(c.root, "examples", "corpus")},
			{filepath.Join(c.root, "cmd", "nexus"), "nexus:v2", "v2", "/usr/bin/nexus", filepath.Join(c.root, "examples", "corpus")},
			{filepath.Join(c.root, "deploy", "clustertest"), selfImage, "v1", "/clustertest", ""},
		} {
			program := filepath.Join(c.dir, strings.ReplaceAll(i.ref, ":", "-"))
			if err := build(ctx, i.module, program, i.version); err != nil {
				return err
			}
			if err := archive(program+".tar", i.ref, program, i.entry, i.corpus); err != nil {
				return err
			}
			cmd := exec.CommandContext(ctx, c.load[0], append(c.load[1:len(c.load):len(c.load)], program+".tar")...)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("load %s: %w\n%s", i.ref, err, out)
			}
		}
		return nil
	})
}

// what is deployed, in words.
func (c *cluster) what() string {
	if c.members {
		return "dev overlay with three NATS servers"
	}
	return "dev overlay"
}

// up makes the secrets, applies the dev overlay, and waits.
func (c *cluster) up(ctx context.Context) error {
	return c.step(c.what()+" up", func() error {
		for _, name := range []string{namespace, outside} {
			if _, err := c.kube(ctx, "delete", "namespace", name, "--ignore-not-found", "--timeout=3m"); err != nil {
				return err
			}
			if _, err := c.kube(ctx, "create", "namespace", name); err != nil {
				return err
			}
		}
		if err := c.secrets(ctx); err != nil {
			return err
		}
		if err := c.apply(ctx, "v1"); err != nil {
			return err
		}
		return c.settled(ctx)
	})
}

// secrets makes them as README.md tells.
func (c *cluster) secrets(ctx context.Context) error {
	keys := filepath.Join(c.dir, "keys")
	made, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	nats := exec.CommandContext(made, filepath.Join(c.dir, "nexus-v1"), "nats")
	nats.Env = append(os.Environ(), "NEXUS_NATS_KEYS_DIR="+keys, "NEXUS_DATA_DIR="+filepath.Join(c.dir, "data"), "NEXUS_NATS_LISTEN=127.0.0.1:-1")
	out, err := nats.CombinedOutput()
	if made.Err() == nil {
		return fmt.Errorf("make the keys of NATS: %w\n%s", err, out)
	}
	const database = "--from-literal=NEXUS_DATABASE_URL=postgres://postgres:clustertest@postgres:5432/nexus?sslmode=disable"
	return c.all(ctx,
		"create secret generic nexus-nats-keys --from-file="+keys,
		"create secret generic nexus-postgres --from-literal=POSTGRES_PASSWORD=clustertest",
		"create secret generic nexus-database "+database,
		"create secret generic nexus-database-owner "+database,
	)
}

// apply applies the dev overlay with workers, in one version of nexus.
func (c *cluster) apply(ctx context.Context, version string) error {
	components := "../../../deploy/k8s/components/workers"
	if c.members {
		components += ", ../../../deploy/k8s/components/nats-cluster"
	}
	text := `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: nexus
resources: [../../../deploy/k8s/overlays/dev]
components: [` + components + `]
images:
  - { name: nexus, newTag: ` + version + ` }
  - { name: nexus-nats, newName: nexus, newTag: v1 }
`
	if image := c.postgres; image != "" {
		repository, tag, _ := strings.Cut(image, ":")
		text += fmt.Sprintf("  - { name: postgres, newName: %s, newTag: %q }\n", repository, tag)
	}
	// The load submits noop jobs.
	text += `configMapGenerator:
  - name: nexus-settings
    behavior: merge
    literals: [NEXUS_BENCH_JOBS_ENABLED=true, NEXUS_LOG_LEVEL=info]
`
	dir := filepath.Join(c.dir, "overlay")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make the overlay: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("make the overlay: %w", err)
	}
	_, err := c.kube(ctx, "apply", "-k", dir)
	return err
}

// settled waits until everything runs as it should.
func (c *cluster) settled(ctx context.Context) error {
	names, err := c.kube(ctx, "-n", namespace, "get", "statefulsets,deployments", "-o", "name")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(names) {
		if _, err := c.kube(ctx, "-n", namespace, "rollout", "status", name, "--timeout="+rolloutWithin.String()); err != nil {
			return err
		}
	}
	return nil
}

// pod starts a pod of this program outside.
func (c *cluster) pod(ctx context.Context, name string, args ...string) error {
	list, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("encode arguments: %w", err)
	}
	_, err = c.feed(ctx, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":%q},"spec":{"restartPolicy":"Never","automountServiceAccountToken":false,
		"containers":[{"name":"clustertest","image":%q,"args":%s,"resources":{"requests":{"cpu":"50m","memory":"64Mi"}},"volumeMounts":[{"name":"tmp","mountPath":"/tmp"}]}],
		"securityContext":{"runAsUser":%d,"runAsGroup":%d,"fsGroup":%d},"volumes":[{"name":"tmp","emptyDir":{}}]}}`, name, outside, selfImage, list, nobody, nobody, nobody),
		"apply", "-f", "-")
	return err
}

// result is what a pod printed, once it has ended well.
func (c *cluster) result(ctx context.Context, name string) (string, error) {
	end := time.Now().Add(rolloutWithin)
	for {
		phase, err := c.kube(ctx, "-n", outside, "get", "pod", name, "-o", "jsonpath={.status.phase}")
		if err != nil {
			return "", err
		}
		if phase == "Succeeded" {
			break
		}
		if phase == "Failed" || time.Now().After(end) {
			said, err := c.kube(ctx, "-n", outside, "logs", name)
			return "", errors.Join(fmt.Errorf("pod %s is %s: %s", name, phase, said), err)
		}
		if err := rest(ctx); err != nil {
			return "", err
		}
	}
	said, err := c.kube(ctx, "-n", outside, "logs", name)
	if err != nil {
		return "", err
	}
	_, err = c.kube(ctx, "-n", outside, "delete", "pod", name)
	return said, err
}

// under disturbs the cluster while there is load, and counts.
func (c *cluster) under(ctx context.Context, name string, disturb func(context.Context) error) (tally, error) {
	var t tally
	if err := c.pod(ctx, name, "load", "http://gateway.nexus.svc.cluster.local"); err != nil {
		return t, err
	}
	if _, err := c.kube(ctx, "-n", outside, "wait", "pod", name, "--for=condition=Ready", "--timeout=1m"); err != nil {
		return t, err
	}
	if err := disturb(ctx); err != nil {
		return t, err
	}
	if _, err := c.kube(ctx, "-n", outside, "exec", name, "--", "/clustertest", "stop"); err != nil {
		return t, err
	}
	said, err := c.result(ctx, name)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal([]byte(said), &t); err != nil {
		return t, fmt.Errorf("read the tally %q: %w", said, err)
	}
	return t, nil
}
