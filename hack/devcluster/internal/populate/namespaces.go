package populate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// createNamespace brings the default account along: pods need it, and waiting
// for the controller that makes it would take longer.
func (c *clients) createNamespace(ctx context.Context, plan namespacePlan) error {
	if _, err := ensure(ctx, c, "Namespace", c.kube.CoreV1().Namespaces(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: plan.name, Labels: plan.labels},
	}); err != nil {
		return fmt.Errorf("namespace %s: %w", plan.name, err)
	}
	_, err := ensure(ctx, c, "ServiceAccount", c.kube.CoreV1().ServiceAccounts(plan.name), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
	})
	return err
}

// applyPolicy writes a policy the way operators do: server-side, by force, so
// that a second run restores it.
func (c *clients) applyPolicy(ctx context.Context, owned ownedPolicy) error {
	data, err := json.Marshal(owned.policy)
	if err != nil {
		return err
	}
	code := 0
	err = c.kube.NetworkingV1().RESTClient().Patch(types.ApplyPatchType).
		Namespace(owned.policy.Namespace).Resource("networkpolicies").Name(owned.policy.Name).
		Param("fieldManager", owned.manager).Param("force", "true").
		Body(data).Do(ctx).StatusCode(&code).Error()
	if err != nil {
		return fmt.Errorf("policy %s/%s: %w", owned.policy.Namespace, owned.policy.Name, err)
	}
	c.count("NetworkPolicy", code == http.StatusCreated)
	return nil
}
