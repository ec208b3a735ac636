package deploy_test

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scaledObject is what of KEDA's type is used here.
type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		MinReplicaCount int `json:"minReplicaCount"`
		MaxReplicaCount int `json:"maxReplicaCount"`
		PollingInterval int `json:"pollingInterval"`
		CooldownPeriod  int `json:"cooldownPeriod"`
		Triggers        []struct {
			Type              string            `json:"type"`
			Metadata          map[string]string `json:"metadata"`
			AuthenticationRef struct {
				Name string `json:"name"`
			} `json:"authenticationRef"`
		} `json:"triggers"`
	} `json:"spec"`
}

// triggerAuthentication is what of KEDA's type is used here.
type triggerAuthentication struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		SecretTargetRef []struct {
			Parameter string `json:"parameter"`
			Name      string `json:"name"`
			Key       string `json:"key"`
		} `json:"secretTargetRef"`
	} `json:"spec"`
}

// scalersDecide wants each scaler to have a Deployment of its own, whose replicas
// nobody else sets: each apply would set them back.
func scalersDecide(m *manifests, _ reference) []string {
	var p problems
	scaled := map[string]string{}
	scale := func(scaler, target string) {
		other, taken := scaled[target]
		p.add(!taken, "%s scales Deployment %s, and so does %s", scaler, target, other)
		scaled[target] = scaler
	}
	for _, h := range each[*autoscalingv2.HorizontalPodAutoscaler](m) {
		scale("HorizontalPodAutoscaler "+h.Name, h.Spec.ScaleTargetRef.Name)
	}
	secrets := map[string]bool{}
	for _, a := range each[*triggerAuthentication](m) {
		secrets[a.Name] = true
	}
	for _, s := range each[*scaledObject](m) {
		scale("ScaledObject "+s.Name, s.Spec.ScaleTargetRef.Name)
		for _, trigger := range s.Spec.Triggers {
			auth := trigger.AuthenticationRef.Name
			p.add(auth == "" || secrets[auth], "ScaledObject %s: there is no TriggerAuthentication %s", s.Name, auth)
		}
	}
	found := map[string]bool{}
	for _, d := range each[*appsv1.Deployment](m) {
		found[d.Name] = true
		p.add(scaled[d.Name] == "" || d.Spec.Replicas == nil, "Deployment %s: has a number of replicas beside %s", d.Name, scaled[d.Name])
	}
	for target, scaler := range scaled {
		p.add(found[target], "%s", fmt.Sprintf("%s: there is no Deployment %s", scaler, target))
	}
	return p
}

// replicasAreSpread wants Deployments of several pods spread over nodes, and never all
// away at once.
func replicasAreSpread(m *manifests, _ reference) []string {
	var p problems
	for _, d := range each[*appsv1.Deployment](m) {
		recreated := d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType
		p.add(!recreated || d.Spec.Strategy.RollingUpdate == nil, "Deployment %s: is recreated and updated bit by bit at once", d.Name)
		if d.Spec.Replicas == nil || *d.Spec.Replicas < 2 {
			continue
		}
		p.add(len(d.Spec.Template.Spec.TopologySpreadConstraints) > 0, "Deployment %s: all its pods may be on one node", d.Name)
		update := d.Spec.Strategy.RollingUpdate
		p.add(update != nil && update.MaxUnavailable.IntValue() == 0, "Deployment %s: an update may replace pods that work by ones that do not", d.Name)
	}
	return p
}

// upgradesLeaveNATS wants NATS to run an image that no change of nexus's touches.
func upgradesLeaveNATS(m *manifests, _ reference) []string {
	var p problems
	images := map[string]string{}
	for _, w := range m.workloads() {
		if c, ok := w.program(); ok {
			images[w.name] = c.Image
		}
	}
	p.add(images["nats"] != images["jobs"], "an upgrade of jobs to another image than %s restarts NATS", images["jobs"])
	for _, s := range each[*appsv1.StatefulSet](m) {
		if s.Name != "nats" {
			continue
		}
		for _, from := range s.Spec.Template.Spec.Containers[0].EnvFrom {
			p.add(from.ConfigMapRef == nil || !strings.HasPrefix(from.ConfigMapRef.Name, "nexus-settings"), "a change of the settings restarts NATS")
		}
	}
	return p
}
