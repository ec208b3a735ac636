package deploy_test

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// mistake is one that a rule must find in otherwise correct manifests.
type mistake struct {
	make func(*manifests)
	rule string
	says string
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

// without removes the object of a type and name.
func without[T metav1.Object](m *manifests, name string) {
	m.objects = slices.DeleteFunc(m.objects, func(object metav1.Object) bool {
		_, same := object.(T)
		return same && object.GetName() == name
	})
}

func mistakes() map[string]mistake {
	on := true
	all := map[string]mistake{
		"root": {func(m *manifests) { pod(m, "jobs").SecurityContext.RunAsNonRoot = nil },
			"pods are restricted", "Deployment jobs: may run as root"},
		"no pod securityContext": {func(m *manifests) { pod(m, "jobs").SecurityContext = nil },
			"pods are restricted", "Deployment jobs: no securityContext"},
		"the node's network": {func(m *manifests) { pod(m, "jobs").HostNetwork = true },
			"pods are restricted", "Deployment jobs: uses the node's namespaces"},
		"service links": {func(m *manifests) { pod(m, "jobs").EnableServiceLinks = nil },
			"pods are restricted", "Deployment jobs: enableServiceLinks is not false"},
		"no seccomp profile": {func(m *manifests) { pod(m, "jobs").SecurityContext.SeccompProfile = nil },
			"pods are restricted", "Deployment jobs: no seccomp profile"},
		"no container securityContext": {func(m *manifests) { container(m, "jobs").SecurityContext = nil },
			"pods are restricted", "Deployment jobs: container nexus has no securityContext"},
		"a container's own user": {func(m *manifests) { container(m, "jobs").SecurityContext.RunAsUser = new(int64) },
			"pods are restricted", "Deployment jobs: container nexus has a user of its own"},
		"privileges": {func(m *manifests) { container(m, "jobs").SecurityContext.AllowPrivilegeEscalation = &on },
			"pods are restricted", "Deployment jobs: container nexus may gain privileges"},
		"a writable image": {func(m *manifests) { container(m, "jobs").SecurityContext.ReadOnlyRootFilesystem = nil },
			"pods are restricted", "Deployment jobs: container nexus may write to its image"},
		"capabilities": {func(m *manifests) {
			container(m, "jobs").SecurityContext.Capabilities.Add = []corev1.Capability{"NET_ADMIN"}
		},
			"pods are restricted", "Deployment jobs: container nexus keeps capabilities"},
		"no limit": {func(m *manifests) { delete(container(m, "jobs").Resources.Limits, corev1.ResourceMemory) },
			"pods are restricted", "Deployment jobs: container nexus has no limit of memory"},
		"no request": {func(m *manifests) {
			pod(m, "jobs").InitContainers[0].Resources.Requests[corev1.ResourceCPU] = resource.Quantity{}
		},
			"pods are restricted", "Deployment jobs: container keys requests no cpu"},
		"a service is missing": {func(m *manifests) { without[*appsv1.Deployment](m, "audit") },
			"every service runs", "no Deployment audit that runs it"},
		"a service runs another": {func(m *manifests) { container(m, "audit").Args = []string{"auth"} },
			"every service runs", "no Deployment audit that runs it"},
		"no budget": {func(m *manifests) { without[*policyv1.PodDisruptionBudget](m, "audit") },
			"every service runs", "no PodDisruptionBudget audit"},
		"no migration": {func(m *manifests) { without[*batchv1.Job](m, "migrate") },
			"every service runs", "no Job migrate that runs it"},
		"no NATS": {func(m *manifests) { without[*appsv1.StatefulSet](m, "nats") },
			"every service runs", "no StatefulSet nats that runs it"},
		"an unknown setting": {func(m *manifests) { container(m, "jobs").Env[0].Name = "NEXUS_NATS_KEY_DIR" },
			"settings exist", "Deployment jobs: there is no setting NEXUS_NATS_KEY_DIR"},
		"an unknown setting for all": {func(m *manifests) { each[*corev1.ConfigMap](m)[0].Data["NEXUS_LOGLEVEL"] = "info" },
			"settings exist", "StatefulSet nats: there is no setting NEXUS_LOGLEVEL"},
		"development mode": {func(m *manifests) { each[*corev1.ConfigMap](m)[0].Data["NEXUS_ENVIRONMENT"] = "dev" },
			"the mode is the overlay's", `Job migrate: runs in "dev" mode`},
		"services that migrate": {func(m *manifests) {
			delete(each[*corev1.ConfigMap](m)[0].Data, "NEXUS_SCHEMA_MANAGEMENT_MODE")
		},
			"the mode is the overlay's", "Deployment jobs: may change the schema"},
		"killed early": {func(m *manifests) { *pod(m, "gateway").TerminationGracePeriodSeconds = 34 },
			"there is time to drain", "Deployment gateway: is killed before its 35 s have passed"},
		"jobs outlast the process": {func(m *manifests) { each[*corev1.ConfigMap](m)[0].Data["NEXUS_SHUTDOWN_GRACE_SECONDS"] = "10" },
			"there is time to drain", "Deployment corpus: jobs may take 20 s to end, and the process 10 s"},
		"an invented endpoint": {func(m *manifests) { container(m, "gateway").LivenessProbe.HTTPGet.Path = "/live" },
			"probes ask what is answered", "Deployment gateway: nobody answers /live"},
		"a port without a name": {func(m *manifests) { container(m, "gateway").ReadinessProbe.HTTPGet.Port = intstr.FromString("web") },
			"probes ask what is answered", "Deployment gateway: there is no port web"},
		"a selector of nothing": {func(m *manifests) {
			first[*corev1.Service](m, "gateway").Spec.Selector = map[string]string{"app.kubernetes.io/name": "gatevay"}
		},
			"selectors select something", "Service gateway selects no pod"},
		"a volume that is not there": {func(m *manifests) { container(m, "corpus").VolumeMounts[0].Name = "files" },
			"what is mounted exists", "Deployment corpus: there is no volume files"},
		"a claim that is not there": {func(m *manifests) { without[*corev1.PersistentVolumeClaim](m, "corpus-objects") },
			"what is mounted exists", "Deployment corpus: there is no claim for volume objects"},
		"an image without a version": {func(m *manifests) { container(m, "jobs").Image = "nexus:latest" },
			"images have a version", "Deployment jobs: image nexus:latest has no version"},
		"a token": {func(m *manifests) { pod(m, "jobs").AutomountServiceAccountToken = &on },
			"workloads have accounts without power", "Deployment jobs: has a token"},
		"a shared account": {func(m *manifests) { pod(m, "jobs").ServiceAccountName = "auth" },
			"workloads have accounts without power", "Deployment jobs: has no account of its own"},
	}
	for name, m := range secretMistakes() {
		all[name] = m
	}
	for name, m := range networkMistakes() {
		all[name] = m
	}
	return all
}

func secretMistakes() map[string]mistake {
	const rule = "secrets are references"
	set := func(name, value string) func(*manifests) {
		return func(m *manifests) {
			c := container(m, "auth")
			c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
		}
	}
	return map[string]mistake{
		"a Secret with its value": {func(m *manifests) {
			m.objects = append(m.objects, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "nexus-database"}})
		}, rule, "Secret nexus-database holds its values"},
		"a secret in a setting": {set("NEXUS_BOOTSTRAP_ADMIN_KEY", "hunter2"), rule, "Deployment auth: NEXUS_BOOTSTRAP_ADMIN_KEY holds a secret"},
		"a password in a URL":   {set("NEXUS_NATS_URL", "nats://me:hunter2@nats"), rule, "Deployment auth: NEXUS_NATS_URL holds a secret"},
		"a secret for all": {func(m *manifests) { each[*corev1.ConfigMap](m)[0].Data["NEXUS_DATABASE_URL"] = "postgres://localhost" },
			rule, "ConfigMap " + "nexus-settings: NEXUS_DATABASE_URL holds a secret"},
		"a Secret nobody knows": {func(m *manifests) {
			volumes := pod(m, "auth").Volumes
			volumes[slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Secret != nil })].Secret.SecretName = "nexus-keys-of-nats"
		}, rule, "Deployment auth: README.md does not tell how to make nexus-keys-of-nats"},
	}
}

func networkMistakes() map[string]mistake {
	const rule = "only the gateway is open"
	return map[string]mistake{
		"nothing is closed": {func(m *manifests) { without[*networkingv1.NetworkPolicy](m, "default-deny") },
			rule, "no NetworkPolicy closes everything"},
		"NATS is open": {func(m *manifests) { first[*networkingv1.NetworkPolicy](m, "nats").Spec.Ingress[0].From = nil },
			rule, "NetworkPolicy nats lets outsiders in"},
		"NATS is open to a neighbour": {func(m *manifests) {
			first[*networkingv1.NetworkPolicy](m, "nats").Spec.Ingress[0].From[0].NamespaceSelector = &metav1.LabelSelector{}
		}, rule, "NetworkPolicy nats lets outsiders in"},
		"every port": {func(m *manifests) { first[*networkingv1.NetworkPolicy](m, "gateway").Spec.Ingress[0].Ports = nil },
			rule, "NetworkPolicy gateway opens every pod or every port"},
		"the way out is open": {func(m *manifests) { first[*networkingv1.NetworkPolicy](m, "reach-database").Spec.Egress[0].Ports = nil },
			rule, "NetworkPolicy reach-database lets pods reach every port"},
		"a door beside the gateway": {func(m *manifests) { first[*corev1.Service](m, "nats").Spec.Type = corev1.ServiceTypeNodePort },
			rule, "Service nats is of type NodePort"},
	}
}
