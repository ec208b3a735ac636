package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
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

// withTLS is the kustomization of somebody who wants both.
func withTLS(t *testing.T) string {
	t.Helper()
	here, err := os.Getwd()
	require.NoError(t, err)
	here, err = filepath.EvalSymlinks(here)
	require.NoError(t, err)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	k8s, err := filepath.Rel(dir, filepath.Join(here, "k8s"))
	require.NoError(t, err)
	text := fmt.Sprintf("resources: [%[1]s/overlays/prod-cluster]\ncomponents: [%[1]s/components/nats-tls]\n", k8s)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
	return dir
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
