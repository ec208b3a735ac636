package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// document is one rendered object, as JSON.
type document []byte

// manifests are the objects of one overlay.
type manifests struct {
	// environment is the NEXUS_ENVIRONMENT that the overlay stands for.
	environment string
	objects     []metav1.Object
}

// workload is anything that runs pods.
type workload struct {
	kind string
	name string
	pod  *corev1.PodTemplateSpec
	// volumes are the names of the pod's volumes, claim templates included.
	volumes map[string]bool
}

func (w workload) String() string { return w.kind + " " + w.name }

// render builds an overlay, or the kustomization in a folder, as `kubectl kustomize` does. It must not run twice
// at once: kustomize shares its schema between runs.
func render(t *testing.T, overlay string) []document {
	t.Helper()
	if !filepath.IsAbs(overlay) {
		overlay = filepath.Join("k8s/overlays", overlay)
	}
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	require.NoError(t, err)
	var docs []document
	for _, object := range rendered.Resources() {
		doc, err := object.MarshalJSON()
		require.NoError(t, err)
		docs = append(docs, doc)
	}
	return docs
}

// decodeAll makes objects of documents, afresh each time.
func decodeAll(t *testing.T, environment string, docs []document) *manifests {
	t.Helper()
	m := &manifests{environment: environment}
	for _, doc := range docs {
		object, err := decode(doc)
		require.NoError(t, err, "%s", doc)
		m.objects = append(m.objects, object)
	}
	return m
}

// decode makes a typed object of a document and refuses fields that its type
// does not have, in the API server's spelling.
func decode(doc document) (metav1.Object, error) {
	var typed metav1.TypeMeta
	if err := json.Unmarshal(doc, &typed); err != nil {
		return nil, fmt.Errorf("read the type: %w", err)
	}
	object := newObject(typed)
	if object == nil {
		return nil, fmt.Errorf("%s %s: unknown kind", typed.APIVersion, typed.Kind)
	}
	problems, err := strictjson.UnmarshalStrict(doc, object)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, fmt.Errorf("%s: %w", typed.Kind, err)
	}
	return object, nil
}

func newObject(typed metav1.TypeMeta) metav1.Object {
	switch typed.APIVersion + " " + typed.Kind {
	case "v1 Namespace":
		return &corev1.Namespace{}
	case "v1 ConfigMap":
		return &corev1.ConfigMap{}
	case "v1 Secret":
		return &corev1.Secret{}
	case "v1 Service":
		return &corev1.Service{}
	case "v1 ServiceAccount":
		return &corev1.ServiceAccount{}
	case "v1 PersistentVolumeClaim":
		return &corev1.PersistentVolumeClaim{}
	case "apps/v1 Deployment":
		return &appsv1.Deployment{}
	case "apps/v1 StatefulSet":
		return &appsv1.StatefulSet{}
	case "batch/v1 CronJob":
		return &batchv1.CronJob{}
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return &autoscalingv2.HorizontalPodAutoscaler{}
	case "scheduling.k8s.io/v1 PriorityClass":
		return &schedulingv1.PriorityClass{}
	case "networking.k8s.io/v1 Ingress":
		return &networkingv1.Ingress{}
	case "keda.sh/v1alpha1 ScaledObject":
		return &scaledObject{}
	case "postgresql.cnpg.io/v1 Cluster":
		return &databaseCluster{}
	case "keda.sh/v1alpha1 TriggerAuthentication":
		return &triggerAuthentication{}
	case "networking.k8s.io/v1 NetworkPolicy":
		return &networkingv1.NetworkPolicy{}
	case "policy/v1 PodDisruptionBudget":
		return &policyv1.PodDisruptionBudget{}
	default:
		return nil
	}
}

// each lists the objects of one type.
func each[T metav1.Object](m *manifests) []T {
	var found []T
	for _, object := range m.objects {
		if typed, ok := object.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

// names is the set of names of the objects of one type.
func names[T metav1.Object](m *manifests) map[string]bool {
	found := map[string]bool{}
	for _, object := range each[T](m) {
		found[object.GetName()] = true
	}
	return found
}

func (m *manifests) workloads() []workload {
	var found []workload
	add := func(kind, name string, pod *corev1.PodTemplateSpec, claims ...corev1.PersistentVolumeClaim) {
		volumes := map[string]bool{}
		for _, volume := range pod.Spec.Volumes {
			volumes[volume.Name] = true
		}
		for _, claim := range claims {
			volumes[claim.Name] = true
		}
		found = append(found, workload{kind, name, pod, volumes})
	}
	for _, d := range each[*appsv1.Deployment](m) {
		add("Deployment", d.Name, &d.Spec.Template)
	}
	for _, s := range each[*appsv1.StatefulSet](m) {
		add("StatefulSet", s.Name, &s.Spec.Template, s.Spec.VolumeClaimTemplates...)
	}
	for _, j := range each[*batchv1.CronJob](m) {
		add("CronJob", j.Name, &j.Spec.JobTemplate.Spec.Template)
	}
	return found
}

// containers lists those of a pod, the ones that run first included.
func (w workload) containers() []corev1.Container {
	return append(append([]corev1.Container(nil), w.pod.Spec.InitContainers...), w.pod.Spec.Containers...)
}

// program is the container that runs nexus, if the workload has one.
func (w workload) program() (*corev1.Container, bool) {
	for i := range w.pod.Spec.Containers {
		if w.pod.Spec.Containers[i].Name == "nexus" {
			return &w.pod.Spec.Containers[i], true
		}
	}
	return nil, false
}

// environ is what a container finds in its environment. What comes from a
// Secret has no value.
func (m *manifests) environ(c *corev1.Container) map[string]string {
	environ := map[string]string{}
	for _, from := range c.EnvFrom {
		for _, shared := range each[*corev1.ConfigMap](m) {
			if from.ConfigMapRef != nil && from.ConfigMapRef.Name == shared.Name {
				for name, value := range shared.Data {
					environ[from.Prefix+name] = value
				}
			}
		}
	}
	for _, variable := range c.Env {
		environ[variable.Name] = variable.Value
	}
	return environ
}

func TestOverlays(t *testing.T) {
	t.Parallel()
	ref := readReference(t)
	// One after the other, and nowhere else: see render.
	dev, prod, scaled := render(t, "dev"), render(t, "prod"), render(t, "example")
	clustered, secured, lagging := render(t, "prod-cluster"), render(t, with(t, "prod-cluster", "nats-tls")), render(t, with(t, "prod", "workers", "keda-nats"))
	operated, kept := render(t, with(t, "prod", "cloudnativepg", "postgres-ca")), render(t, "../examples/cloudnativepg")
	t.Run("dev follows the rules", func(t *testing.T) {
		t.Parallel()
		requireRules(t, decodeAll(t, "dev", dev), ref)
	})
	t.Run("prod follows the rules", func(t *testing.T) {
		t.Parallel()
		requireRules(t, decodeAll(t, "prod", prod), ref)
	})
	t.Run("example follows the rules", func(t *testing.T) {
		t.Parallel()
		requireRules(t, decodeAll(t, "prod", scaled), ref)
	})
	t.Run("dev starts on a small node", func(t *testing.T) {
		t.Parallel()
		sum := decodeAll(t, "dev", dev).requested()
		require.LessOrEqual(t, sum.MilliValue(), int64(900), "a node of two CPUs runs more than Nexus")
	})
	t.Run("prod-cluster follows the rules", func(t *testing.T) {
		t.Parallel()
		m := decodeAll(t, "prod", clustered)
		requireRules(t, m, ref)
		requireCluster(t, m)
	})
	t.Run("scaling by the lag of a consumer", func(t *testing.T) {
		t.Parallel()
		m := decodeAll(t, "prod", lagging)
		requireRules(t, m, ref)
		requireLag(t, m)
	})
	t.Run("a Postgres that an operator keeps", func(t *testing.T) {
		t.Parallel()
		m := decodeAll(t, "prod", operated)
		requireRules(t, m, ref)
		requireCA(t, decodeAll(t, "prod", scaled))
		requireOperated(t, m, decodeAll(t, "", kept), ref)
	})
	t.Run("TLS to NATS", func(t *testing.T) {
		t.Parallel()
		requireTLS(t, decodeAll(t, "prod", secured))
	})
	for _, mistake := range mistakes() {
		t.Run("found: "+mistake.says, func(t *testing.T) {
			t.Parallel()
			m := decodeAll(t, "prod", prod)
			require.NotContains(t, mistake.rule(m, ref), mistake.says)
			mistake.make(m)
			require.Contains(t, mistake.rule(m, ref), mistake.says)
		})
	}
}

// requested is how much of a CPU all pods of the workloads request.
func (m *manifests) requested() resource.Quantity {
	var sum resource.Quantity
	for _, w := range m.workloads() {
		for _, c := range w.containers() {
			sum.Add(c.Resources.Requests[corev1.ResourceCPU])
		}
	}
	return sum
}

func requireRules(t *testing.T, m *manifests, ref reference) {
	t.Helper()
	for name, rule := range rules() {
		require.Empty(t, strings.Join(rule(m, ref), "\n"), name)
	}
}

func TestFieldsThatDoNotExistAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ doc, says string }{
		"misspelt": {
			`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{"containers":[{"name":"nexus","readynessProbe":{}}]}}}}`,
			`Deployment: unknown field "spec.template.spec.containers[0].readynessProbe"`,
		},
		"in another case": {
			`{"apiVersion":"v1","kind":"Service","spec":{"clusterip":"None"}}`,
			`Service: unknown field "spec.clusterip"`,
		},
		"twice": {
			`{"apiVersion":"v1","kind":"Service","spec":{"clusterIP":"None","clusterIP":""}}`,
			`Service: duplicate field "spec.clusterIP"`,
		},
		"of another type": {
			`{"apiVersion":"apps/v1","kind":"StatefulSet","spec":{"replicas":"one"}}`,
			`StatefulSet: json: cannot unmarshal string into Go struct field`,
		},
		"of a kind that is not used here": {
			`{"apiVersion":"v1","kind":"Pod"}`,
			`v1 Pod: unknown kind`,
		},
		"of no kind": {`{"spec":{}}`, `unknown kind`},
		"in no JSON": {`{"apiVersion":`, `read the type`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(document(tc.doc))
			require.ErrorContains(t, err, tc.says)
		})
	}
}
