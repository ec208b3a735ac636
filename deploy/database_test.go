package deploy_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// databaseCluster is what of CloudNativePG's type is used here.
type databaseCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		Instances int    `json:"instances"`
		ImageName string `json:"imageName"`
		Bootstrap struct {
			InitDB struct {
				Database    string                      `json:"database"`
				Owner       string                      `json:"owner"`
				Secret      corev1.LocalObjectReference `json:"secret"`
				Encoding    string                      `json:"encoding"`
				PostInitSQL []string                    `json:"postInitSQL"`
			} `json:"initdb"`
		} `json:"bootstrap"`
		Managed struct {
			Roles []struct {
				Name           string                      `json:"name"`
				Login          bool                        `json:"login"`
				PasswordSecret corev1.LocalObjectReference `json:"passwordSecret"`
				InRoles        []string                    `json:"inRoles"`
			} `json:"roles"`
		} `json:"managed"`
		PostgreSQL struct {
			Synchronous struct {
				Method string `json:"method"`
				Number int    `json:"number"`
			} `json:"synchronous"`
			Parameters map[string]string `json:"parameters"`
		} `json:"postgresql"`
		Storage struct {
			Size string `json:"size"`
		} `json:"storage"`
		Resources corev1.ResourceRequirements `json:"resources"`
	} `json:"spec"`
}

// requireCA wants everybody who has a URL of the database to have the certificate
// that the URL names.
func requireCA(t *testing.T, m *manifests) {
	t.Helper()
	found := 0
	for _, w := range m.workloads() {
		for _, c := range w.containers() {
			if _, has := m.environ(&c)["NEXUS_DATABASE_URL"]; !has {
				continue
			}
			found++
			require.True(t, slices.ContainsFunc(c.VolumeMounts, func(mount corev1.VolumeMount) bool {
				return mount.Name == "postgres-ca" && mount.MountPath == "/postgres-ca"
			}), "%s: the certificate of the database's CA is missing", w)
		}
	}
	require.Positive(t, found)
}

// requireOperated wants the database of examples/cloudnativepg to have the roles that
// README.md makes by hand, and each side to let the other through.
func requireOperated(t *testing.T, nexus, database *manifests, ref reference) {
	t.Helper()
	cluster := first[*databaseCluster](database, "postgres")
	initdb, login := cluster.Spec.Bootstrap.InitDB, cluster.Spec.Managed.Roles[0]
	require.Contains(t, ref.readme, "CREATE ROLE "+initdb.Owner+" LOGIN CREATEROLE;")
	require.Contains(t, ref.readme, "CREATE ROLE "+login.Name+" LOGIN IN ROLE "+strings.Join(login.InRoles, ", ")+";")
	roles := []string{"ALTER ROLE " + initdb.Owner + " CREATEROLE"}
	for _, made := range regexp.MustCompile(`(?m)^(CREATE ROLE \w+ NOLOGIN);$`).FindAllStringSubmatch(ref.readme, -1) {
		roles = append(roles, made[1])
	}
	require.Len(t, roles, 1+len(login.InRoles))
	require.Equal(t, roles, initdb.PostInitSQL)
	require.Contains(t, ref.readme, "CREATE DATABASE "+initdb.Database+" OWNER "+initdb.Owner)
	for _, secret := range []string{initdb.Secret.Name, login.PasswordSecret.Name} {
		require.Contains(t, ref.readme, "generic "+secret+" ", "README.md does not tell how to make the Secret %s", secret)
	}
	require.Contains(t, ref.readme, "@"+cluster.Name+"-rw."+cluster.Namespace+".svc:5432/"+initdb.Database+"?")
	_, tag, _ := strings.Cut(cluster.Spec.ImageName, ":")
	require.NotEmpty(t, tag)

	out := first[*networkingv1.NetworkPolicy](nexus, "reach-database").Spec.Egress
	require.Len(t, out, 1)
	require.Len(t, out[0].To, 1)
	require.Equal(t, cluster.Namespace, out[0].To[0].NamespaceSelector.MatchLabels[corev1.LabelMetadataName])
	servers := map[string]string{"cnpg.io/cluster": cluster.Name}
	require.Equal(t, servers, out[0].To[0].PodSelector.MatchLabels)
	door := first[*networkingv1.NetworkPolicy](database, "postgres").Spec
	require.Equal(t, servers, door.PodSelector.MatchLabels)
	for _, rule := range door.Ingress {
		require.NotEmpty(t, rule.From, "everybody is let in")
		require.NotEmpty(t, rule.Ports)
	}
	client := door.Ingress[0].From[0]
	require.Equal(t, first[*corev1.Namespace](nexus, "nexus").Name, client.NamespaceSelector.MatchLabels[corev1.LabelMetadataName])
	for _, w := range nexus.workloads() {
		c, ok := w.program()
		if !ok {
			continue
		}
		_, has := nexus.environ(c)["NEXUS_DATABASE_URL"]
		require.Equal(t, has, labels.SelectorFromSet(client.PodSelector.MatchLabels).Matches(labels.Set(w.pod.Labels)), w.String())
	}
}
