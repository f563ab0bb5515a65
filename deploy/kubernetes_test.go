package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// manifests are the objects of deploy/kubernetes.
type manifests struct {
	secret     corev1.Secret
	migrate    batchv1.Job
	deployment appsv1.Deployment
	service    corev1.Service
	pdb        policyv1.PodDisruptionBudget
	hpa        autoscalingv2.HorizontalPodAutoscaler
	monitor    monitoringv1.PodMonitor
}

// readManifests decodes every file as the object that it says it is. Fields that the object does not have are errors.
func readManifests(t *testing.T) *manifests {
	t.Helper()
	m := &manifests{}
	for file, c := range map[string]struct {
		into any
		kind metav1.TypeMeta
	}{
		"secret.yaml":                         {&m.secret, metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}},
		"migrate.yaml":                        {&m.migrate, metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}},
		"deployment.yaml":                     {&m.deployment, metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}},
		"service.yaml":                        {&m.service, metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}},
		"pdb.yaml":                            {&m.pdb, metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}},
		"autoscale/hpa.yaml":                  {&m.hpa, metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"}},
		"prometheus-operator/podmonitor.yaml": {&m.monitor, metav1.TypeMeta{APIVersion: "monitoring.coreos.com/v1", Kind: "PodMonitor"}},
	} {
		text := read(t, filepath.Join("kubernetes", file))
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(text, &kind); err != nil || kind != c.kind {
			t.Errorf("%s is %+v, want %+v (%v)", file, kind, c.kind, err)
		}
		if err := yaml.UnmarshalStrict(text, c.into); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	return m
}

// read returns a file of this folder.
func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestKubernetes_everyFileIsRead(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"kubernetes/*.yaml", "kubernetes/*/*.yaml"} {
		found, _ := filepath.Glob(pattern)
		files = append(files, found...)
	}
	// adapter-values.yaml has no type of Kubernetes: TestQueries reads it.
	if len(files) != 8 {
		t.Errorf("these files are not all known to the tests: %v", files)
	}
}

func TestKubernetes_selectorsFindTheHosts(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	pod := labels.Set(m.deployment.Spec.Template.Labels)
	for name, selector := range map[string]*metav1.LabelSelector{
		"deployment": m.deployment.Spec.Selector, "pdb": m.pdb.Spec.Selector, "monitor": &m.monitor.Spec.Selector,
		"service": {MatchLabels: m.service.Spec.Selector},
		"spread":  m.deployment.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector,
	} {
		selects, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil || selects.Empty() || !selects.Matches(pod) {
			t.Errorf("%s selects %v, the pods have %v (%v)", name, selects, pod, err)
		}
		if selects.Matches(labels.Set(m.migrate.Spec.Template.Labels)) {
			t.Errorf("%s selects the job too", name)
		}
	}
	target := m.hpa.Spec.ScaleTargetRef
	if target.Kind != m.deployment.Kind || target.Name != m.deployment.Name || target.APIVersion != m.deployment.APIVersion {
		t.Errorf("the autoscaler is for %+v", target)
	}
	if minimum := *m.hpa.Spec.MinReplicas; minimum < 2 || m.hpa.Spec.MaxReplicas < minimum {
		t.Errorf("the autoscaler keeps %d to %d hosts", minimum, m.hpa.Spec.MaxReplicas)
	}
}

func TestKubernetes_probesAndMetricsAreServed(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	host := m.deployment.Spec.Template.Spec.Containers[0]
	port := host.Ports[0]
	listen := env(host, "PUPWASM_LISTEN").Value
	if !strings.HasSuffix(listen, ":9464") || port.ContainerPort != 9464 {
		t.Errorf("the host listens on %q, and its port is %d", listen, port.ContainerPort)
	}
	for path, probe := range map[string]*corev1.Probe{
		"/healthz": host.LivenessProbe, "/readyz": host.ReadinessProbe,
	} {
		if probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != port.Name {
			t.Errorf("the probe of %s asks %+v", path, probe.HTTPGet)
		}
	}
	annotations := m.deployment.Spec.Template.Annotations
	if annotations["prometheus.io/port"] != "9464" || annotations["prometheus.io/path"] != "/metrics" {
		t.Errorf("the annotations are %v", annotations)
	}
	if at := m.monitor.Spec.PodMetricsEndpoints[0]; at.Port == nil || *at.Port != port.Name || at.Path != "/metrics" {
		t.Errorf("the monitor asks %+v", at)
	}
	if at := m.service.Spec.Ports[0]; at.TargetPort.StrVal != port.Name {
		t.Errorf("the service leads to %+v", at)
	}
	// A batch has 30 seconds, the release of the segments 5, and traces 5.
	if grace := *m.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds; grace < 45 {
		t.Errorf("a host has %d seconds to end", grace)
	}
}

// env is a variable of a container.
func env(c corev1.Container, name string) corev1.EnvVar {
	at := slices.IndexFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name })
	if at < 0 {
		return corev1.EnvVar{}
	}
	return c.Env[at]
}

// TestKubernetes_podsHaveNoRights looks at what the restricted Pod Security Standard asks for, and more.
func TestKubernetes_podsHaveNoRights(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	for name, pod := range map[string]corev1.PodSpec{
		"deployment": m.deployment.Spec.Template.Spec, "migrate": m.migrate.Spec.Template.Spec,
	} {
		security := pod.SecurityContext
		if !*security.RunAsNonRoot || *security.RunAsUser == 0 || security.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
			pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || pod.HostNetwork || pod.HostPID {
			t.Errorf("%s: %+v", name, pod)
		}
		for _, c := range pod.Containers {
			own := c.SecurityContext
			if *own.AllowPrivilegeEscalation || !*own.ReadOnlyRootFilesystem || len(own.Capabilities.Add) > 0 ||
				!slices.Equal(own.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("%s: %+v", name, own)
			}
			limit, request := c.Resources.Limits.Memory(), c.Resources.Requests.Memory()
			if limit.IsZero() || request.Cmp(*limit) > 0 || c.Resources.Requests.Cpu().IsZero() {
				t.Errorf("%s: %+v", name, c.Resources)
			}
			if strings.HasSuffix(c.Image, ":latest") || !strings.Contains(c.Image, ":") {
				t.Errorf("%s has the image %s: name a version", name, c.Image)
			}
		}
	}
	host := m.deployment.Spec.Template.Spec.Containers[0]
	soft, err := resource.ParseQuantity(strings.TrimSuffix(env(host, "GOMEMLIMIT").Value, "B"))
	if err != nil || soft.Cmp(*host.Resources.Limits.Memory()) >= 0 {
		t.Errorf("GOMEMLIMIT is %s, the limit %s (%v)", &soft, host.Resources.Limits.Memory(), err)
	}
}

// TestKubernetes_rolesAreThoseOfTheFile compares the secret, what uses it, and deploy/postgres/roles.sql.
func TestKubernetes_rolesAreThoseOfTheFile(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	roles := string(read(t, "postgres/roles.sql"))
	for key, c := range map[string]struct {
		role string
		pod  corev1.PodSpec
	}{
		"host-url":     {"pupwasm_host", m.deployment.Spec.Template.Spec},
		"migrator-url": {"pupwasm_migrator", m.migrate.Spec.Template.Spec},
	} {
		if !strings.HasPrefix(m.secret.StringData[key], "postgres://"+c.role+":PASSWORD@") || !strings.Contains(roles, c.role) {
			t.Errorf("%s is %s", key, m.secret.StringData[key])
		}
		ref := env(c.pod.Containers[0], "PUPWASM_DATABASE_URL").ValueFrom.SecretKeyRef
		if ref.Name != m.secret.Name || ref.Key != key {
			t.Errorf("%s takes %+v", c.role, ref)
		}
	}
	host := m.deployment.Spec.Template.Spec.Containers[0]
	if env(host, "PUPWASM_MIGRATE").Value != "false" || env(host, "PUPWASM_ISOLATION").Value != "role" {
		t.Error("hosts need more rights than their role has")
	}
}
