package populate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"bulkhead.dev/devcluster/internal/facts"
)

// image is never pulled: there is no kubelet.
const image = "registry.invalid/devcluster:none"

// podSpec passes the strictest Pod Security level unless the pod needs the host.
func (w *workloadPlan) podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		HostNetwork:                  w.HostNetwork,
		AutomountServiceAccountToken: ptr.To(false),
		// Without a kubelet nobody would confirm a graceful end, and deleted
		// pods would stay for ever.
		TerminationGracePeriodSeconds: ptr.To[int64](0),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   ptr.To(true),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name:  "main",
			Image: image,
			Ports: containerPorts(w.Ports),
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}
}

// containerPorts lists each port once, however many Services lead to it.
func containerPorts(ports []facts.ConcretePort) []corev1.ContainerPort {
	var result []corev1.ContainerPort
	for _, port := range ports {
		container := corev1.ContainerPort{Name: port.Name, ContainerPort: port.Port.Port, Protocol: corev1.Protocol(port.Protocol)}
		if !slices.Contains(result, container) {
			result = append(result, container)
		}
	}
	return result
}

func (c *clients) createPods(ctx context.Context, w *workloadPlan, owner *metav1.OwnerReference) error {
	for _, plan := range w.pods {
		if err := c.createPod(ctx, w.pod(plan, owner), plan); err != nil {
			return err
		}
	}
	return nil
}

func (w *workloadPlan) pod(plan podPlan, owner *metav1.OwnerReference) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: w.meta(plan.name), Spec: w.podSpec()}
	pod.Spec.NodeName = plan.node.name
	pod.Labels = maps.Clone(w.Labels)
	if owner != nil {
		pod.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	switch w.Kind {
	case facts.KindDeployment:
		pod.Labels = w.template(w.hashLabel()).Labels
	case facts.KindDaemonSet, facts.KindStatefulSet:
		pod.Labels = w.template(nil).Labels
	case facts.KindJob, facts.KindCronJob:
		pod.Labels["batch.kubernetes.io/job-name"] = w.Name
		pod.Labels["job-name"] = w.Name
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	case facts.KindStaticPod:
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: w.templateHash()}
	}
	return pod
}

// createPod writes the pod and the status that its kubelet would report.
func (c *clients) createPod(ctx context.Context, object *corev1.Pod, plan podPlan) error {
	api := c.kube.CoreV1().Pods(object.Namespace)
	pod, err := ensure(ctx, c, facts.KindPod, api, object)
	if err != nil {
		return fmt.Errorf("pod %s: %w", object.Name, err)
	}
	if pod.Status.PodIP == plan.ip && pod.Status.Phase == corev1.PodRunning {
		return nil
	}
	pod.Status = readyStatus(pod.CreationTimestamp, plan)
	if _, err := api.UpdateStatus(ctx, pod, metav1.UpdateOptions{FieldManager: manager}); err != nil {
		return fmt.Errorf("status of pod %s: %w", object.Name, err)
	}
	return nil
}

// readyStatus uses the creation time throughout, so that writing it again
// changes nothing.
func readyStatus(since metav1.Time, plan podPlan) corev1.PodStatus {
	status := corev1.PodStatus{
		Phase:     corev1.PodRunning,
		HostIP:    plan.node.address,
		HostIPs:   []corev1.HostIP{{IP: plan.node.address}},
		PodIP:     plan.ip,
		PodIPs:    []corev1.PodIP{{IP: plan.ip}},
		StartTime: &since,
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", Image: image, ImageID: image, Ready: true, Started: ptr.To(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: since}},
		}},
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: since,
		})
	}
	return status
}
