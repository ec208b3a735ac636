package deploy_test

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// rule returns one line for everything that is wrong.
type rule func(*manifests, reference) []string

func rules() map[string]rule {
	return map[string]rule{
		"pods are restricted":                   restricted,
		"every service runs":                    everyServiceRuns,
		"settings exist":                        settingsExist,
		"the mode is the overlay's":             modeIsTheOverlays,
		"secrets are references":                secretsAreReferences,
		"each NATS key is one pod's":            keysAreOnePods,
		"there is time to drain":                timeToDrain,
		"probes ask what is answered":           probesAreAnswered,
		"only the gateway is open":              onlyTheGatewayIsOpen,
		"everything is watched":                 everythingIsWatched,
		"selectors select something":            selectorsSelect,
		"what is mounted exists":                mountsExist,
		"images have a version":                 imagesHaveAVersion,
		"workloads have accounts without power": accountsHaveNoPower,
		"scalers decide alone":                  scalersDecide,
		"replicas are spread":                   replicasAreSpread,
		"upgrades leave NATS alone":             upgradesLeaveNATS,
	}
}

// problems collects lines.
type problems []string

func (p *problems) add(ok bool, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Sprintf(format, args...))
	}
}

func yes(b *bool) bool { return b != nil && *b }
func no(b *bool) bool  { return b != nil && !*b }

// restricted is the Pod Security Standard of that name, and a little more.
func restricted(m *manifests, _ reference) []string {
	var p problems
	for _, w := range m.workloads() {
		spec := w.pod.Spec
		p.add(!spec.HostNetwork && !spec.HostPID && !spec.HostIPC, "%s: uses the node's namespaces", w)
		p.add(no(spec.EnableServiceLinks), "%s: enableServiceLinks is not false", w)
		sc := spec.SecurityContext
		if sc == nil {
			p.add(false, "%s: no securityContext", w)
			continue
		}
		p.add(yes(sc.RunAsNonRoot) && sc.RunAsUser != nil && *sc.RunAsUser != 0, "%s: may run as root", w)
		p.add(sc.SeccompProfile != nil && sc.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault, "%s: no seccomp profile", w)
		for _, c := range w.containers() {
			p = append(p, restrictedContainer(w, c)...)
		}
	}
	return p
}

func restrictedContainer(w workload, c corev1.Container) []string {
	var p problems
	for _, what := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, limit := c.Resources.Requests[what], c.Resources.Limits[what]
		p.add(request.Sign() > 0, "%s: container %s requests no %s", w, c.Name, what)
		p.add(limit.Cmp(request) >= 0 && limit.Sign() > 0, "%s: container %s has no limit of %s", w, c.Name, what)
	}
	sc := c.SecurityContext
	if sc == nil {
		p.add(false, "%s: container %s has no securityContext", w, c.Name)
		return p
	}
	p.add(sc.RunAsUser == nil && sc.RunAsNonRoot == nil, "%s: container %s has a user of its own", w, c.Name)
	p.add(!yes(sc.Privileged) && no(sc.AllowPrivilegeEscalation), "%s: container %s may gain privileges", w, c.Name)
	p.add(yes(sc.ReadOnlyRootFilesystem), "%s: container %s may write to its image", w, c.Name)
	p.add(sc.Capabilities != nil && len(sc.Capabilities.Add) == 0 && slices.Equal(sc.Capabilities.Drop, []corev1.Capability{"ALL"}),
		"%s: container %s keeps capabilities", w, c.Name)
	return p
}

// everyServiceRuns wants a Deployment and a disruption budget for each service,
// the NATS servers, one migration and what repairs.
func everyServiceRuns(m *manifests, ref reference) []string {
	var p problems
	runs := map[string]string{}
	for _, w := range m.workloads() {
		if c, ok := w.program(); ok {
			runs[w.String()] = strings.Join(c.Args, " ")
		}
	}
	budgets := names[*policyv1.PodDisruptionBudget](m)
	for _, service := range ref.services {
		p.add(runs["Deployment "+service] == service, "no Deployment %s that runs it", service)
		p.add(budgets[service], "no PodDisruptionBudget %s", service)
	}
	p.add(runs["StatefulSet nats"] == "nats", "no StatefulSet nats that runs it")
	p.add(budgets["nats"], "no PodDisruptionBudget nats")
	p.add(runs["Deployment migrate"] == "migrate up --keep", "no Deployment migrate that runs it")
	p.add(runs["CronJob rebuild-broker"] == "rebuild-broker", "no CronJob rebuild-broker that runs it")
	p.add(runs["CronJob audit-verify"] == "audit verify", "no CronJob audit-verify that runs it")
	others := len(runs) - len(ref.services) - 4
	for run, args := range runs {
		if strings.HasPrefix(run, "Deployment worker-") && strings.HasPrefix(args, "worker --queues ") {
			others--
		}
	}
	p.add(others == 0, "something else runs nexus: %v", runs)
	return p
}

func settingsExist(m *manifests, ref reference) []string {
	var p problems
	maps := names[*corev1.ConfigMap](m)
	for _, w := range m.workloads() {
		for _, c := range w.containers() {
			for _, from := range c.EnvFrom {
				if from.ConfigMapRef != nil {
					p.add(maps[from.ConfigMapRef.Name], "%s: there is no ConfigMap %s", w, from.ConfigMapRef.Name)
				}
			}
			for name := range m.environ(&c) {
				_, known := ref.settings[name]
				p.add(known || !strings.HasPrefix(name, "NEXUS_"), "%s: there is no setting %s", w, name)
			}
		}
	}
	return p
}

func modeIsTheOverlays(m *manifests, _ reference) []string {
	var p problems
	for _, w := range m.workloads() {
		c, ok := w.program()
		if !ok {
			continue
		}
		environ := m.environ(c)
		// NATS is the same in each.
		p.add(w.name == "nats" || environ["NEXUS_ENVIRONMENT"] == m.environment, "%s: runs in %q mode", w, environ["NEXUS_ENVIRONMENT"])
		p.add(environ["NEXUS_SCHEMA_MANAGEMENT_MODE"] == "migrate_only", "%s: may change the schema", w)
	}
	return p
}

// secretsAreReferences allows no secret's value, and no reference to one that
// README.md does not tell how to make.
func secretsAreReferences(m *manifests, ref reference) []string {
	var p problems
	for _, secret := range each[*corev1.Secret](m) {
		p.add(false, "Secret %s holds its values", secret.Name)
	}
	for _, shared := range each[*corev1.ConfigMap](m) {
		for name, value := range shared.Data {
			p.add(!isSecret(name) && !holdsPassword(value), "%s in a ConfigMap is a secret", name)
		}
	}
	documented := func(w workload, text string) {
		p.add(strings.Contains(ref.readme, text), "%s: README.md does not tell how to make %s", w, text)
	}
	for _, w := range m.workloads() {
		for _, volume := range w.pod.Spec.Volumes {
			if volume.Secret != nil {
				documented(w, volume.Secret.SecretName)
			}
		}
		for _, c := range w.containers() {
			for _, variable := range c.Env {
				p.add(variable.Value == "" || !isSecret(variable.Name) && !holdsPassword(variable.Value), "%s: %s holds a secret", w, variable.Name)
				if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
					documented(w, from.SecretKeyRef.Name)
					documented(w, from.SecretKeyRef.Key)
				}
			}
		}
	}
	return p
}

// speaksAs names the pods that speak for another: those that repair as whoever creates
// the streams, workers as the service whose queue they serve.
func speaksAs(w workload) string {
	if w.name == "rebuild-broker" {
		return "migrate"
	}
	return strings.TrimPrefix(w.name, "worker-")
}

// keysAreOnePods wants every key of the NATS server in the pods of exactly one other
// part, which needs it to speak for itself.
func keysAreOnePods(m *manifests, _ reference) []string {
	var p problems
	owner, server := map[string]workload{}, map[string]bool{}
	for _, w := range m.workloads() {
		for _, volume := range w.pod.Spec.Volumes {
			if volume.Secret == nil || volume.Secret.SecretName != "nexus-nats-keys" {
				continue
			}
			p.add(len(volume.Secret.Items) > 0, "%s: mounts every NATS key", w)
			for _, item := range volume.Secret.Items {
				p.add(item.Key == item.Path, "%s: NATS key %s becomes %s", w, item.Key, item.Path)
				if w.name == "nats" {
					server[item.Key] = true
					continue
				}
				other, taken := owner[item.Key]
				p.add(!taken || speaksAs(other) == speaksAs(w), "%s: has NATS key %s of %s", w, item.Key, other)
				owner[item.Key] = w
			}
		}
	}
	for key, w := range owner {
		p.add(server[key], "%s: the server does not know NATS key %s", w, key)
	}
	for key := range server {
		_, used := owner[key]
		p.add(used, "nobody has NATS key %s", key)
	}
	return p
}

// isSecret knows names whose values are secrets.
func isSecret(name string) bool {
	// It is the name of a file.
	return name != "NEXUS_NATS_TLS_KEY" && regexp.MustCompile(`(_KEY|PASSWORD|SECRET|TOKEN|DATABASE_URL)$`).MatchString(name)
}

func holdsPassword(value string) bool {
	address, err := url.Parse(value)
	if err != nil {
		return false
	}
	_, set := address.User.Password()
	return set
}

// timeToDrain wants a pod to be killed later than the program gives up by
// itself, and running jobs to be given back before that.
func timeToDrain(m *manifests, ref reference) []string {
	var p problems
	for _, w := range m.workloads() {
		c, ok := w.program()
		if !ok {
			continue
		}
		environ := m.environ(c)
		grace, worker := seconds(environ, ref, "NEXUS_SHUTDOWN_GRACE_SECONDS"), seconds(environ, ref, "NEXUS_WORKER_GRACE_SECONDS")
		p.add(worker <= grace, "%s: jobs may take %d s to end, and the process %d s", w, worker, grace)
		if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
			grace += c.Lifecycle.PreStop.Sleep.Seconds
		}
		leave := max(0, seconds(environ, ref, "NEXUS_HTTP_NOT_READY_SECONDS")) + max(0, seconds(environ, ref, "NEXUS_HTTP_CLOSING_SECONDS"))
		p.add(leave < grace, "%s: clients are given %d s to leave, of %d s to drain", w, leave, grace)
		given := w.pod.Spec.TerminationGracePeriodSeconds
		p.add(given != nil && *given >= grace, "%s: is killed before its %d s have passed", w, grace)
	}
	return p
}

// seconds is the value of a whole-numbered setting, or its default; -1 for
// anything else.
func seconds(environ map[string]string, ref reference, name string) int64 {
	value, set := environ[name]
	if !set {
		value = ref.settings[name]
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func probesAreAnswered(m *manifests, ref reference) []string {
	var p problems
	for _, w := range m.workloads() {
		for _, c := range w.containers() {
			ports := map[string]bool{}
			for _, port := range c.Ports {
				ports[port.Name] = true
			}
			for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
				if probe == nil {
					continue
				}
				if get := probe.HTTPGet; get != nil {
					p.add(ref.paths[get.Path], "%s: nobody answers %s", w, get.Path)
					p.add(ports[get.Port.String()], "%s: there is no port %s", w, get.Port.String())
				}
				if socket := probe.TCPSocket; socket != nil {
					p.add(ports[socket.Port.String()], "%s: there is no port %s", w, socket.Port.String())
				}
			}
		}
	}
	return p
}

// onlyTheGatewayIsOpen wants everything closed except what is opened to pods
// of this namespace, and the gateway.
func onlyTheGatewayIsOpen(m *manifests, _ reference) []string {
	var p problems
	closed := false
	for _, policy := range each[*networkingv1.NetworkPolicy](m) {
		spec := policy.Spec
		everyone := len(spec.PodSelector.MatchLabels)+len(spec.PodSelector.MatchExpressions) == 0
		closed = closed || everyone && len(spec.Ingress)+len(spec.Egress) == 0 && len(spec.PolicyTypes) == 2
		for _, in := range spec.Ingress {
			local := len(in.From) > 0
			for _, peer := range in.From {
				local = local && peer.PodSelector != nil && peer.NamespaceSelector == nil && peer.IPBlock == nil
			}
			p.add(local || policy.Name == "gateway" || scrapesOnly(in), "NetworkPolicy %s lets outsiders in", policy.Name)
			p.add(!everyone && len(in.Ports) > 0, "NetworkPolicy %s opens every pod or every port", policy.Name)
		}
		for _, out := range spec.Egress {
			p.add(len(out.Ports) > 0, "NetworkPolicy %s lets pods reach every port", policy.Name)
		}
	}
	p.add(closed, "no NetworkPolicy closes everything")
	for _, service := range each[*corev1.Service](m) {
		p.add(service.Spec.Type == "" || service.Name == "gateway", "Service %s is of type %s", service.Name, service.Spec.Type)
	}
	return p
}

// scrapesOnly says that an opening is for namespaces which somebody has labelled, to
// the port of operations or the monitoring pages of NATS alone.
func scrapesOnly(in networkingv1.NetworkPolicyIngressRule) bool {
	for _, peer := range in.From {
		if peer.NamespaceSelector == nil || peer.NamespaceSelector.MatchLabels["nexus.internal/scrapes"] != "true" || peer.IPBlock != nil {
			return false
		}
	}
	return len(in.From) > 0 && len(in.Ports) == 1 && slices.Contains([]int{opsPort, monitorPort}, in.Ports[0].Port.IntValue())
}

const (
	// opsPort is where processes answer probes and scrapes.
	opsPort = 9090
	// monitorPort is where NATS shows its consumers to a scaler.
	monitorPort = 8222
)

// everythingIsWatched wants each service probed and scraped where it answers, and
// Prometheus let in there.
func everythingIsWatched(m *manifests, ref reference) []string {
	var p problems
	for _, w := range m.workloads() {
		c, ok := w.program()
		if w.kind == "CronJob" {
			continue
		}
		if !ok {
			continue
		}
		p.add(c.StartupProbe != nil && c.LivenessProbe != nil && c.ReadinessProbe != nil, "%s: is not probed", w)
		notes := w.pod.Annotations
		p.add(notes["prometheus.io/scrape"] == "true" && ref.paths[notes["prometheus.io/path"]], "%s: is not scraped where it answers", w)
		port := slices.IndexFunc(c.Ports, func(port corev1.ContainerPort) bool { return port.Name == "ops" })
		p.add(port >= 0 && c.Ports[port].ContainerPort == opsPort && notes["prometheus.io/port"] == strconv.Itoa(opsPort), "%s: has no port ops to scrape", w)
		p.add(strings.HasSuffix(m.environ(c)["NEXUS_OPS_ADDR"], ":"+strconv.Itoa(opsPort)), "%s: does not answer on its port ops", w)
		p.add(w.pod.Labels["nexus.internal/scraped"] == "true", "%s: no NetworkPolicy lets Prometheus in", w)
	}
	p.add(names[*networkingv1.NetworkPolicy](m)["scrape"], "no NetworkPolicy scrape")
	return p
}

// selectorsSelect wants every selector to match the labels of some pod.
func selectorsSelect(m *manifests, _ reference) []string {
	var p problems
	pods := m.workloads()
	check := func(what, name string, selector *metav1.LabelSelector) {
		compiled, err := metav1.LabelSelectorAsSelector(selector)
		found := err == nil && slices.ContainsFunc(pods, func(w workload) bool { return compiled.Matches(labels.Set(w.pod.Labels)) })
		p.add(found, "%s %s selects no pod", what, name)
	}
	for _, s := range each[*corev1.Service](m) {
		check("Service", s.Name, &metav1.LabelSelector{MatchLabels: s.Spec.Selector})
	}
	for _, b := range each[*policyv1.PodDisruptionBudget](m) {
		check("PodDisruptionBudget", b.Name, b.Spec.Selector)
	}
	for _, d := range each[*appsv1.Deployment](m) {
		check("Deployment", d.Name, d.Spec.Selector)
	}
	for _, s := range each[*appsv1.StatefulSet](m) {
		check("StatefulSet", s.Name, s.Spec.Selector)
	}
	for _, policy := range each[*networkingv1.NetworkPolicy](m) {
		check("NetworkPolicy", policy.Name, &policy.Spec.PodSelector)
		var peers []networkingv1.NetworkPolicyPeer
		for _, in := range policy.Spec.Ingress {
			peers = append(peers, in.From...)
		}
		for _, out := range policy.Spec.Egress {
			peers = append(peers, out.To...)
		}
		for _, peer := range peers {
			// Pods of another namespace are not made here.
			if peer.PodSelector != nil && peer.NamespaceSelector == nil {
				check("a peer of NetworkPolicy", policy.Name, peer.PodSelector)
			}
		}
	}
	return p
}

func mountsExist(m *manifests, _ reference) []string {
	var p problems
	claims := names[*corev1.PersistentVolumeClaim](m)
	for _, w := range m.workloads() {
		for _, volume := range w.pod.Spec.Volumes {
			p.add(volume.HostPath == nil, "%s: mounts a folder of the node", w)
			claim := volume.PersistentVolumeClaim
			p.add(claim == nil || claims[claim.ClaimName], "%s: there is no claim for volume %s", w, volume.Name)
		}
		for _, c := range w.containers() {
			for _, mount := range c.VolumeMounts {
				p.add(w.volumes[mount.Name], "%s: there is no volume %s", w, mount.Name)
			}
		}
	}
	return p
}

func imagesHaveAVersion(m *manifests, _ reference) []string {
	var p problems
	for _, w := range m.workloads() {
		for _, c := range w.containers() {
			_, tag, tagged := strings.Cut(c.Image, ":")
			p.add(tagged && tag != "latest", "%s: image %s has no version", w, c.Image)
		}
	}
	return p
}

func accountsHaveNoPower(m *manifests, _ reference) []string {
	var p problems
	accounts := names[*corev1.ServiceAccount](m)
	for _, account := range each[*corev1.ServiceAccount](m) {
		p.add(no(account.AutomountServiceAccountToken), "ServiceAccount %s hands out its token", account.Name)
	}
	for _, w := range m.workloads() {
		account := w.pod.Spec.ServiceAccountName
		p.add(accounts[account] && (account == w.name || w.kind == "CronJob" && account == "repair"), "%s: has no account of its own", w)
		p.add(no(w.pod.Spec.AutomountServiceAccountToken), "%s: has a token", w)
	}
	return p
}
