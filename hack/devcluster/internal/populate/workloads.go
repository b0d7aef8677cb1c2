package populate

import (
	"context"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"bulkhead.dev/devcluster/internal/facts"
)

// createWorkload writes the controller by hand, with the status that it would
// have, and then its pods. No controller runs that would do either.
func (c *clients) createWorkload(ctx context.Context, w *workloadPlan) error {
	var owner *metav1.OwnerReference
	var err error
	switch w.Kind {
	case facts.KindDeployment:
		owner, err = c.createDeployment(ctx, w)
	case facts.KindDaemonSet:
		owner, err = c.createDaemonSet(ctx, w)
	case facts.KindStatefulSet:
		owner, err = c.createStatefulSet(ctx, w)
	case facts.KindJob:
		owner, err = c.createJob(ctx, w, nil)
	case facts.KindCronJob:
		owner, err = c.createCronJob(ctx, w)
	case facts.KindPod, facts.KindStaticPod:
	default:
		err = fmt.Errorf("unknown kind %q", w.Kind)
	}
	if err == nil {
		err = c.createPods(ctx, w, owner)
	}
	if err != nil {
		return fmt.Errorf("%s/%s: %w", w.namespace, w.Name, err)
	}
	return nil
}

// selectorLabels are the labels of the pods. A controller cannot do without
// any, so the workloads whose labels nobody knows get one of their own.
func (w *workloadPlan) selectorLabels() map[string]string {
	if len(w.Labels) > 0 {
		return w.Labels
	}
	return map[string]string{"devcluster.bulkhead.dev/workload": w.Name}
}

func (w *workloadPlan) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.namespace, Name: name}
}

func (w *workloadPlan) selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: w.selectorLabels()}
}

// template is the pod without a node.
func (w *workloadPlan) template(extra map[string]string) corev1.PodTemplateSpec {
	labels := maps.Clone(w.selectorLabels())
	maps.Copy(labels, extra)
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: w.podSpec()}
}

func ownedBy(kind, apiVersion string, object metav1.Object) *metav1.OwnerReference {
	return &metav1.OwnerReference{
		APIVersion: apiVersion, Kind: kind, Name: object.GetName(), UID: object.GetUID(),
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
}

func (c *clients) createDeployment(ctx context.Context, w *workloadPlan) (*metav1.OwnerReference, error) {
	count := int32(len(w.pods))
	api := c.kube.AppsV1().Deployments(w.namespace)
	deployment, err := ensure(ctx, c, facts.KindDeployment, api, &appsv1.Deployment{
		ObjectMeta: w.meta(w.Name),
		Spec:       appsv1.DeploymentSpec{Replicas: &count, Selector: w.selector(), Template: w.template(nil)},
	})
	if err != nil {
		return nil, err
	}
	deployment.Status = appsv1.DeploymentStatus{
		ObservedGeneration: deployment.Generation,
		Replicas:           count, UpdatedReplicas: count, ReadyReplicas: count, AvailableReplicas: count,
		Conditions: []appsv1.DeploymentCondition{{
			Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable",
			LastUpdateTime: deployment.CreationTimestamp, LastTransitionTime: deployment.CreationTimestamp,
		}},
	}
	if _, err := api.UpdateStatus(ctx, deployment, metav1.UpdateOptions{FieldManager: manager}); err != nil {
		return nil, err
	}
	return c.createReplicaSet(ctx, w, ownedBy("Deployment", "apps/v1", deployment))
}

func (c *clients) createReplicaSet(ctx context.Context, w *workloadPlan, owner *metav1.OwnerReference) (*metav1.OwnerReference, error) {
	count := int32(len(w.pods))
	hash := w.hashLabel()
	object := &appsv1.ReplicaSet{ObjectMeta: w.meta(w.replicaSetName())}
	object.OwnerReferences = []metav1.OwnerReference{*owner}
	object.Spec = appsv1.ReplicaSetSpec{Replicas: &count, Selector: w.selector(), Template: w.template(hash)}
	maps.Copy(hash, w.selectorLabels())
	object.Labels = hash
	api := c.kube.AppsV1().ReplicaSets(w.namespace)
	set, err := ensure(ctx, c, "ReplicaSet", api, object)
	if err != nil {
		return nil, err
	}
	set.Status = appsv1.ReplicaSetStatus{
		ObservedGeneration: set.Generation,
		Replicas:           count, FullyLabeledReplicas: count, ReadyReplicas: count, AvailableReplicas: count,
	}
	_, err = api.UpdateStatus(ctx, set, metav1.UpdateOptions{FieldManager: manager})
	return ownedBy("ReplicaSet", "apps/v1", set), err
}

func (w *workloadPlan) hashLabel() map[string]string {
	return map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: w.templateHash()}
}

func (c *clients) createDaemonSet(ctx context.Context, w *workloadPlan) (*metav1.OwnerReference, error) {
	count := int32(len(w.pods))
	api := c.kube.AppsV1().DaemonSets(w.namespace)
	set, err := ensure(ctx, c, facts.KindDaemonSet, api, &appsv1.DaemonSet{
		ObjectMeta: w.meta(w.Name),
		Spec:       appsv1.DaemonSetSpec{Selector: w.selector(), Template: w.template(nil)},
	})
	if err != nil {
		return nil, err
	}
	set.Status = appsv1.DaemonSetStatus{
		ObservedGeneration: set.Generation, DesiredNumberScheduled: count, CurrentNumberScheduled: count,
		UpdatedNumberScheduled: count, NumberReady: count, NumberAvailable: count,
	}
	_, err = api.UpdateStatus(ctx, set, metav1.UpdateOptions{FieldManager: manager})
	return ownedBy(facts.KindDaemonSet, "apps/v1", set), err
}

func (c *clients) createStatefulSet(ctx context.Context, w *workloadPlan) (*metav1.OwnerReference, error) {
	count := int32(len(w.pods))
	api := c.kube.AppsV1().StatefulSets(w.namespace)
	set, err := ensure(ctx, c, facts.KindStatefulSet, api, &appsv1.StatefulSet{
		ObjectMeta: w.meta(w.Name),
		Spec:       appsv1.StatefulSetSpec{Replicas: &count, Selector: w.selector(), Template: w.template(nil), ServiceName: w.Name},
	})
	if err != nil {
		return nil, err
	}
	set.Status = appsv1.StatefulSetStatus{
		ObservedGeneration: set.Generation,
		Replicas:           count, ReadyReplicas: count, CurrentReplicas: count, UpdatedReplicas: count, AvailableReplicas: count,
	}
	_, err = api.UpdateStatus(ctx, set, metav1.UpdateOptions{FieldManager: manager})
	return ownedBy(facts.KindStatefulSet, "apps/v1", set), err
}

func (w *workloadPlan) jobSpec() batchv1.JobSpec {
	template := w.template(nil)
	template.Labels = w.Labels
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return batchv1.JobSpec{Template: template}
}

func (c *clients) createJob(ctx context.Context, w *workloadPlan, owner *metav1.OwnerReference) (*metav1.OwnerReference, error) {
	object := &batchv1.Job{ObjectMeta: w.meta(w.Name), Spec: w.jobSpec()}
	if owner != nil {
		object.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	api := c.kube.BatchV1().Jobs(w.namespace)
	job, err := ensure(ctx, c, facts.KindJob, api, object)
	if err != nil {
		return nil, err
	}
	count := int32(len(w.pods))
	job.Status = batchv1.JobStatus{Active: count, Ready: &count, StartTime: &job.CreationTimestamp}
	_, err = api.UpdateStatus(ctx, job, metav1.UpdateOptions{FieldManager: manager})
	return ownedBy(facts.KindJob, "batch/v1", job), err
}

// createCronJob shows the moment at which its one Job runs.
func (c *clients) createCronJob(ctx context.Context, w *workloadPlan) (*metav1.OwnerReference, error) {
	cron, err := ensure(ctx, c, facts.KindCronJob, c.kube.BatchV1().CronJobs(w.namespace), &batchv1.CronJob{
		ObjectMeta: w.meta(w.Name),
		Spec:       batchv1.CronJobSpec{Schedule: "0 0 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: w.jobSpec()}},
	})
	if err != nil {
		return nil, err
	}
	return c.createJob(ctx, w, ownedBy(facts.KindCronJob, "batch/v1", cron))
}
