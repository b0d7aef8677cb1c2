package populate

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead.dev/devcluster/internal/facts"
)

// holdFinalizer keeps what carries it; remove it to let go.
const holdFinalizer = "devcluster.bulkhead.dev/hold"

// createUnfitPods adds a completed pod, whose address may be somebody else's
// by now, and a pending one, which has neither node nor address.
func (c *clients) createUnfitPods(ctx context.Context) error {
	workload := &workloadPlan{namespace: unlistedNamespace, ConcreteWorkload: simpleWorkload("unfit", 8443)}
	workload.Kind = facts.KindPod
	pending := workload.pod(podPlan{name: "pending"}, nil)
	if _, err := ensure(ctx, c, facts.KindPod, c.kube.CoreV1().Pods(unlistedNamespace), pending); err != nil {
		return err
	}
	plan := podPlan{name: "completed", node: clusterNodes()[3], ip: "10.131.255.254"}
	api := c.kube.CoreV1().Pods(unlistedNamespace)
	pod, err := ensure(ctx, c, facts.KindPod, api, workload.pod(plan, nil))
	if err != nil {
		return err
	}
	pod.Status = readyStatus(pod.CreationTimestamp, plan)
	pod.Status.Phase = corev1.PodSucceeded
	pod.Status.ContainerStatuses = nil
	for index := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[index]
		if condition.Type == corev1.PodReady || condition.Type == corev1.ContainersReady {
			condition.Status, condition.Reason = corev1.ConditionFalse, "PodCompleted"
		}
	}
	_, err = api.UpdateStatus(ctx, pod, metav1.UpdateOptions{FieldManager: manager})
	return err
}

// createTerminating leaves a namespace that is being deleted and cannot end: a
// ConfigMap and a running pod in it are held.
func (c *clients) createTerminating(ctx context.Context) error {
	namespaces := c.kube.CoreV1().Namespaces()
	existing, err := namespaces.Get(ctx, terminatingNamespace, metav1.GetOptions{})
	if err == nil && existing.DeletionTimestamp != nil {
		c.count("Namespace", false)
		return nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	plan := simpleNamespace(terminatingNamespace, simpleWorkload("held", 8443))
	if err := c.createNamespace(ctx, plan); err != nil {
		return err
	}
	if _, err := ensure(ctx, c, "ConfigMap", c.kube.CoreV1().ConfigMaps(terminatingNamespace), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{holdFinalizer}},
	}); err != nil {
		return err
	}
	workload := plan.workloads[0]
	workload.Kind = facts.KindPod
	identity := podPlan{name: "held", node: clusterNodes()[3], ip: "10.131.255.253"}
	pod := workload.pod(identity, nil)
	pod.Finalizers = []string{holdFinalizer}
	if err := c.createPod(ctx, pod, identity); err != nil {
		return err
	}
	return namespaces.Delete(ctx, terminatingNamespace, metav1.DeleteOptions{})
}
