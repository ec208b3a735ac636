package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// requireCluster wants members that find each other before they are ready, and as
// many replicas as there are.
func requireCluster(t *testing.T, m *manifests) {
	t.Helper()
	set := first[*appsv1.StatefulSet](m, "nats")
	routes := first[*corev1.Service](m, set.Spec.ServiceName)
	require.True(t, routes.Spec.PublishNotReadyAddresses)
	require.Equal(t, "None", routes.Spec.ClusterIP)
	require.Equal(t, appsv1.ParallelPodManagement, set.Spec.PodManagementPolicy)
	require.NotEmpty(t, set.Spec.Template.Spec.TopologySpreadConstraints)
	var want []string
	for i := range *set.Spec.Replicas {
		want = append(want, fmt.Sprintf("nats-%d.%s:6222", i, routes.Name))
	}
	for _, w := range m.workloads() {
		if c, ok := w.program(); ok {
			require.Equal(t, fmt.Sprint(len(want)), m.environ(c)["NEXUS_STREAMS_REPLICAS"], w.String())
			if w.name == "nats" {
				require.Equal(t, strings.Join(want, ","), m.environ(c)["NEXUS_NATS_CLUSTER_ROUTES"])
			}
		}
	}
}

// with is the kustomization of somebody who adds components to an overlay.
func with(t *testing.T, overlay string, components ...string) string {
	t.Helper()
	here, err := os.Getwd()
	require.NoError(t, err)
	here, err = filepath.EvalSymlinks(here)
	require.NoError(t, err)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	k8s, err := filepath.Rel(dir, filepath.Join(here, "k8s"))
	require.NoError(t, err)
	text := fmt.Sprintf("images: [{ name: nexus, newTag: release }]\nresources: [%s/overlays/%s]\ncomponents:\n", k8s, overlay)
	for _, c := range components {
		text += fmt.Sprintf("  - %s/components/%s\n", k8s, c)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
	return dir
}

// requireLag wants the scaler to name a consumer that Nexus makes, where NATS shows it.
func requireLag(t *testing.T, m *manifests) {
	t.Helper()
	trigger := first[*scaledObject](m, "worker-plugins").Spec.Triggers[0]
	require.Equal(t, "nats-jetstream", trigger.Type)
	subjects, accounts := readFile(t, "../libs/contract/subjects.go"), readFile(t, "../libs/embed/embednats/topology.go")
	require.Contains(t, subjects, fmt.Sprintf(`StreamRuns     = %q`, trigger.Metadata["stream"]))
	require.Contains(t, subjects, `return "run-" + queue + "-" + priority`)
	require.Equal(t, "run-plugins-normal", trigger.Metadata["consumer"])
	require.Contains(t, accounts, fmt.Sprintf(`AccountNexus = %q`, trigger.Metadata["account"]))
	c := &first[*appsv1.StatefulSet](m, "nats").Spec.Template.Spec.Containers[0]
	require.True(t, strings.HasSuffix(m.environ(c)["NEXUS_NATS_MONITOR_LISTEN"], ":"+strconv.Itoa(monitorPort)))
	require.True(t, strings.HasSuffix(trigger.Metadata["natsServerMonitoringEndpoint"], ":"+strconv.Itoa(monitorPort)))
}

// requireTLS wants clients to have the authority, and only the server its key.
func requireTLS(t *testing.T, m *manifests) {
	t.Helper()
	for _, w := range m.workloads() {
		c, ok := w.program()
		if !ok {
			continue
		}
		if w.name == "audit-verify" {
			// It needs the database alone.
			continue
		}
		require.NotEmpty(t, m.environ(c)["NEXUS_NATS_TLS_CA"], w.String())
		require.Equal(t, w.name == "nats", m.environ(c)["NEXUS_NATS_TLS_KEY"] != "", w.String())
		for _, volume := range w.pod.Spec.Volumes {
			if volume.Secret != nil && volume.Secret.SecretName == "nexus-nats-tls" && w.name != "nats" {
				require.Equal(t, []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}, volume.Secret.Items, w.String())
			}
		}
	}
	require.Empty(t, strings.Join(mountsExist(m, reference{}), "\n"))
}
