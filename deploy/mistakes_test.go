package deploy_test

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// mistake is one that a rule must find, and name, in otherwise correct
// manifests of production.
type mistake struct {
	says string
	rule rule
	make func(*manifests)
}

func mistakes() []mistake {
	return slices.Concat(privilegeMistakes(), runMistakes(), secretMistakes(), networkMistakes(), watchMistakes(), referenceMistakes())
}

// first returns the object of a type and name; a typo here ends the test.
func first[T metav1.Object](m *manifests, name string) T {
	found := each[T](m)
	return found[slices.IndexFunc(found, func(object T) bool { return object.GetName() == name })]
}

func pod(m *manifests, deployment string) *corev1.PodSpec {
	return &first[*appsv1.Deployment](m, deployment).Spec.Template.Spec
}

func container(m *manifests, deployment string) *corev1.Container {
	return &pod(m, deployment).Containers[0]
}

// settings are the values that all containers share.
func settings(m *manifests) map[string]string {
	found := each[*corev1.ConfigMap](m)
	return found[slices.IndexFunc(found, func(c *corev1.ConfigMap) bool { return strings.HasPrefix(c.Name, "nexus-settings-") })].Data
}

// without removes the object of a type and name.
func without[T metav1.Object](m *manifests, name string) {
	m.objects = slices.DeleteFunc(m.objects, func(object metav1.Object) bool {
		_, same := object.(T)
		return same && object.GetName() == name
	})
}

func privilegeMistakes() []mistake {
	on := true
	inPod := func(says string, change func(*corev1.PodSpec)) mistake {
		return mistake{"Deployment jobs: " + says, restricted, func(m *manifests) { change(pod(m, "jobs")) }}
	}
	inContainer := func(says string, change func(*corev1.SecurityContext)) mistake {
		return inPod("container nexus "+says, func(p *corev1.PodSpec) { change(p.Containers[0].SecurityContext) })
	}
	return []mistake{
		inPod("no securityContext", func(p *corev1.PodSpec) { p.SecurityContext = nil }),
		inPod("may run as root", func(p *corev1.PodSpec) { p.SecurityContext.RunAsNonRoot = nil }),
		inPod("no seccomp profile", func(p *corev1.PodSpec) { p.SecurityContext.SeccompProfile = nil }),
		inPod("uses the node's namespaces", func(p *corev1.PodSpec) { p.HostNetwork = true }),
		inPod("enableServiceLinks is not false", func(p *corev1.PodSpec) { p.EnableServiceLinks = nil }),
		inPod("container nexus has no securityContext", func(p *corev1.PodSpec) { p.Containers[0].SecurityContext = nil }),
		inPod("container nexus has no limit of memory", func(p *corev1.PodSpec) { delete(p.Containers[0].Resources.Limits, "memory") }),
		inPod("container keys requests no cpu", func(p *corev1.PodSpec) { delete(p.InitContainers[0].Resources.Requests, "cpu") }),
		inContainer("has a user of its own", func(sc *corev1.SecurityContext) { sc.RunAsUser = new(int64) }),
		inContainer("may gain privileges", func(sc *corev1.SecurityContext) { sc.AllowPrivilegeEscalation = &on }),
		inContainer("may write to its image", func(sc *corev1.SecurityContext) { sc.ReadOnlyRootFilesystem = nil }),
		inContainer("keeps capabilities", func(sc *corev1.SecurityContext) { sc.Capabilities.Add = []corev1.Capability{"NET_ADMIN"} }),
		{"Deployment jobs: has a token", accountsHaveNoPower, func(m *manifests) { pod(m, "jobs").AutomountServiceAccountToken = &on }},
		{"Deployment jobs: has no account of its own", accountsHaveNoPower, func(m *manifests) { pod(m, "jobs").ServiceAccountName = "auth" }},
		{"ServiceAccount jobs hands out its token", accountsHaveNoPower, func(m *manifests) {
			first[*corev1.ServiceAccount](m, "jobs").AutomountServiceAccountToken = nil
		}},
	}
}

func runMistakes() []mistake {
	return []mistake{
		{"no Deployment audit that runs it", everyServiceRuns, func(m *manifests) { without[*appsv1.Deployment](m, "audit") }},
		{"no Deployment auth that runs it", everyServiceRuns, func(m *manifests) { container(m, "auth").Args = []string{"audit"} }},
		{"no PodDisruptionBudget audit", everyServiceRuns, func(m *manifests) { without[*policyv1.PodDisruptionBudget](m, "audit") }},
		{"no Job migrate that runs it", everyServiceRuns, func(m *manifests) { without[*batchv1.Job](m, "migrate") }},
		{"no StatefulSet nats that runs it", everyServiceRuns, func(m *manifests) { without[*appsv1.StatefulSet](m, "nats") }},
		{"Deployment jobs: there is no setting NEXUS_NATS_KEY_DIR", settingsExist, func(m *manifests) { container(m, "jobs").Env[0].Name = "NEXUS_NATS_KEY_DIR" }},
		{"Job migrate: there is no setting NEXUS_LOGLEVEL", settingsExist, func(m *manifests) { settings(m)["NEXUS_LOGLEVEL"] = "info" }},
		{"Deployment jobs: there is no ConfigMap settings", settingsExist, func(m *manifests) { container(m, "jobs").EnvFrom[0].ConfigMapRef.Name = "settings" }},
		{`Job migrate: runs in "dev" mode`, modeIsTheOverlays, func(m *manifests) { settings(m)["NEXUS_ENVIRONMENT"] = "dev" }},
		{"Deployment jobs: may change the schema", modeIsTheOverlays, func(m *manifests) { delete(settings(m), "NEXUS_SCHEMA_MANAGEMENT_MODE") }},
		{"Deployment gateway: is killed before its 30 s have passed", timeToDrain, func(m *manifests) { *pod(m, "gateway").TerminationGracePeriodSeconds = 29 }},
		{"Deployment gateway: clients are given 10 s to leave, of 10 s to drain", timeToDrain, func(m *manifests) { settings(m)["NEXUS_SHUTDOWN_GRACE_SECONDS"] = "10" }},
		{"Deployment corpus: jobs may take 20 s to end, and the process 10 s", timeToDrain, func(m *manifests) { settings(m)["NEXUS_SHUTDOWN_GRACE_SECONDS"] = "10" }},
		{"Deployment jobs: image nexus:latest has no version", imagesHaveAVersion, func(m *manifests) { container(m, "jobs").Image = "nexus:latest" }},
		{"Deployment jobs: image nexus has no version", imagesHaveAVersion, func(m *manifests) { container(m, "jobs").Image = "nexus" }},
	}
}

func secretMistakes() []mistake {
	set := func(name, value string) func(*manifests) {
		return func(m *manifests) {
			c := container(m, "auth")
			c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
		}
	}
	natsKeys := func(m *manifests) *corev1.SecretVolumeSource {
		volumes := pod(m, "auth").Volumes
		return volumes[slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Secret != nil })].Secret
	}
	return []mistake{
		{"Secret nexus-database holds its values", secretsAreReferences, func(m *manifests) {
			m.objects = append(m.objects, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "nexus-database"}})
		}},
		{"Deployment auth: NEXUS_BOOTSTRAP_ADMIN_KEY holds a secret", secretsAreReferences, set("NEXUS_BOOTSTRAP_ADMIN_KEY", "hunter2")},
		{"Deployment auth: NEXUS_NATS_URL holds a secret", secretsAreReferences, set("NEXUS_NATS_URL", "nats://me:hunter2@nats")},
		{"NEXUS_DATABASE_URL in a ConfigMap is a secret", secretsAreReferences, func(m *manifests) { settings(m)["NEXUS_DATABASE_URL"] = "postgres://localhost" }},
		{"NEXUS_NATS_URL in a ConfigMap is a secret", secretsAreReferences, func(m *manifests) { settings(m)["NEXUS_NATS_URL"] = "nats://me:hunter2@nats" }},
		{"Deployment auth: README.md does not tell how to make nexus-keys-of-nats", secretsAreReferences, func(m *manifests) {
			natsKeys(m).SecretName = "nexus-keys-of-nats"
		}},
		{"Deployment auth: mounts every NATS key", keysAreOnePods, func(m *manifests) { natsKeys(m).Items = nil }},
		{"nobody has NATS key issuer.nk", keysAreOnePods, func(m *manifests) { natsKeys(m).Items = natsKeys(m).Items[1:] }},
		{"Deployment auth: the server does not know NATS key issuers.nk", keysAreOnePods, func(m *manifests) { natsKeys(m).Items[0].Key = "issuers.nk" }},
		{"Deployment auth: NATS key issuer.nk becomes issuers.nk", keysAreOnePods, func(m *manifests) { natsKeys(m).Items[0].Path = "issuers.nk" }},
		{"Deployment audit: has NATS key user-audit.nk of Deployment auth", keysAreOnePods, func(m *manifests) { natsKeys(m).Items[0].Key = "user-audit.nk" }},
	}
}

func networkMistakes() []mistake {
	policy := func(m *manifests, name string) *networkingv1.NetworkPolicySpec {
		return &first[*networkingv1.NetworkPolicy](m, name).Spec
	}
	return []mistake{
		{"no NetworkPolicy closes everything", onlyTheGatewayIsOpen, func(m *manifests) { without[*networkingv1.NetworkPolicy](m, "default-deny") }},
		{"NetworkPolicy nats lets outsiders in", onlyTheGatewayIsOpen, func(m *manifests) { policy(m, "nats").Ingress[0].From = nil }},
		{"NetworkPolicy nats lets outsiders in", onlyTheGatewayIsOpen, func(m *manifests) {
			policy(m, "nats").Ingress[0].From[0].NamespaceSelector = &metav1.LabelSelector{}
		}},
		{"NetworkPolicy gateway opens every pod or every port", onlyTheGatewayIsOpen, func(m *manifests) { policy(m, "gateway").Ingress[0].Ports = nil }},
		{"NetworkPolicy reach-database lets pods reach every port", onlyTheGatewayIsOpen, func(m *manifests) { policy(m, "reach-database").Egress[0].Ports = nil }},
		{"Service nats is of type NodePort", onlyTheGatewayIsOpen, func(m *manifests) { first[*corev1.Service](m, "nats").Spec.Type = "NodePort" }},
	}
}

func watchMistakes() []mistake {
	scrape := func(m *manifests) *networkingv1.NetworkPolicyIngressRule {
		return &first[*networkingv1.NetworkPolicy](m, "scrape").Spec.Ingress[0]
	}
	template := func(m *manifests) *corev1.PodTemplateSpec { return &first[*appsv1.Deployment](m, "jobs").Spec.Template }
	return []mistake{
		{"NetworkPolicy scrape lets outsiders in", onlyTheGatewayIsOpen, func(m *manifests) { scrape(m).From = nil }},
		{"NetworkPolicy scrape lets outsiders in", onlyTheGatewayIsOpen, func(m *manifests) { scrape(m).From[0].NamespaceSelector = &metav1.LabelSelector{} }},
		{"NetworkPolicy scrape lets outsiders in", onlyTheGatewayIsOpen, func(m *manifests) { *scrape(m).Ports[0].Port = intstr.FromInt32(8080) }},
		{"no NetworkPolicy scrape", everythingIsWatched, func(m *manifests) { without[*networkingv1.NetworkPolicy](m, "scrape") }},
		{"Deployment jobs: is not probed", everythingIsWatched, func(m *manifests) { container(m, "jobs").ReadinessProbe = nil }},
		{"Deployment jobs: is not scraped where it answers", everythingIsWatched, func(m *manifests) { template(m).Annotations["prometheus.io/path"] = "/metric" }},
		{"Deployment jobs: has no port ops to scrape", everythingIsWatched, func(m *manifests) { template(m).Annotations["prometheus.io/port"] = "9091" }},
		{"Deployment jobs: does not answer on its port ops", everythingIsWatched, func(m *manifests) {
			c := container(m, "jobs")
			c.Env = append(c.Env, corev1.EnvVar{Name: "NEXUS_OPS_ADDR", Value: "off"})
		}},
		{"Deployment jobs: no NetworkPolicy lets Prometheus in", everythingIsWatched, func(m *manifests) { delete(template(m).Labels, "nexus.internal/scraped") }},
	}
}

func referenceMistakes() []mistake {
	misspelt := map[string]string{"app.kubernetes.io/name": "gatevay"}
	return []mistake{
		{"Deployment gateway: nobody answers /live", probesAreAnswered, func(m *manifests) { container(m, "gateway").LivenessProbe.HTTPGet.Path = "/live" }},
		{"Deployment gateway: there is no port web", probesAreAnswered, func(m *manifests) { container(m, "gateway").ReadinessProbe.HTTPGet.Port = intstr.FromString("web") }},
		{"Service gateway selects no pod", selectorsSelect, func(m *manifests) { first[*corev1.Service](m, "gateway").Spec.Selector = misspelt }},
		{"PodDisruptionBudget gateway selects no pod", selectorsSelect, func(m *manifests) {
			first[*policyv1.PodDisruptionBudget](m, "gateway").Spec.Selector.MatchLabels = misspelt
		}},
		{"a peer of NetworkPolicy reach-nats selects no pod", selectorsSelect, func(m *manifests) {
			first[*networkingv1.NetworkPolicy](m, "reach-nats").Spec.Egress[0].To[0].PodSelector.MatchLabels = misspelt
		}},
		{"Deployment corpus: there is no volume files", mountsExist, func(m *manifests) { container(m, "corpus").VolumeMounts[0].Name = "files" }},
		{"Deployment corpus: there is no claim for volume objects", mountsExist, func(m *manifests) {
			without[*corev1.PersistentVolumeClaim](m, "corpus-objects")
		}},
		{"Deployment corpus: mounts a folder of the node", mountsExist, func(m *manifests) {
			pod(m, "corpus").Volumes[0].HostPath = &corev1.HostPathVolumeSource{Path: "/"}
		}},
	}
}
