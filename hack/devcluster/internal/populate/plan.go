package populate

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"bulkhead.dev/devcluster/internal/facts"
)

// namespacePlan is a namespace with everything that goes into it.
type namespacePlan struct {
	name      string
	labels    map[string]string
	workloads []workloadPlan
	policies  []ownedPolicy
}

// workloadPlan is a controller, or a set of pods without one.
type workloadPlan struct {
	facts.ConcreteWorkload
	namespace string
	pods      []podPlan
}

// ownedPolicy is a policy with the field manager that owns it.
type ownedPolicy struct {
	manager string
	policy  *networkingv1.NetworkPolicy
}

// upstreamManager owns the policies that OpenShift ships.
const upstreamManager = "upstream-operator"

// makePlan lists every namespace in a fixed order. Names and addresses follow
// from that order alone. The namespaces that are always there come first, and
// limits are applied last, so that neither copies nor limits move an address.
func makePlan(options Options, file *facts.File) ([]namespacePlan, error) {
	placer := newPlacer()
	var plans []namespacePlan
	for _, extra := range extraNamespaces(options) {
		plan, err := placer.place(extra, fixedReplicas)
		if err != nil {
			return nil, err
		}
		plans = append(plans, plan)
	}
	if options.Platform == PlatformKubernetes {
		return plans, nil
	}
	if err := checkNames(options.Namespaces, file); err != nil {
		return nil, err
	}
	for number := 1; number <= options.Copies; number++ {
		for _, namespace := range file.Namespaces {
			plan, err := planOf(namespace, number, options)
			if err != nil {
				return nil, err
			}
			if plan, err = placer.place(plan, options.PodsPerWorkload); err != nil {
				return nil, err
			}
			if len(options.Namespaces) == 0 || slices.Contains(options.Namespaces, namespace.Name) {
				plans = append(plans, plan)
			}
		}
	}
	return plans, nil
}

// copyName is the name of the n-th copy of a namespace.
func copyName(name string, number int) string {
	if number == 1 {
		return name
	}
	return fmt.Sprintf("%s-c%d", name, number)
}

func planOf(namespace facts.Namespace, number int, options Options) (namespacePlan, error) {
	plan := namespacePlan{name: copyName(namespace.Name, number), labels: namespace.Labels}
	workloads, err := namespace.Concrete()
	if err != nil {
		return plan, err
	}
	for _, workload := range workloads {
		plan.workloads = append(plan.workloads, workloadPlan{ConcreteWorkload: workload, namespace: plan.name})
	}
	shipped, err := namespace.PoliciesIn(options.Line)
	if err != nil {
		return plan, err
	}
	for _, short := range shipped {
		policy, err := short.Translate(plan.name)
		if err != nil {
			return plan, err
		}
		plan.policies = append(plan.policies, ownedPolicy{manager: upstreamManager, policy: policy})
	}
	if options.Awkward && plan.name == squattedCataloguedNamespace {
		plan.policies = append(plan.policies, lookAlike(plan.name))
	}
	return plan, nil
}

func checkNames(names []string, file *facts.File) error {
	for _, name := range names {
		known := func(namespace facts.Namespace) bool { return namespace.Name == name }
		if !slices.ContainsFunc(file.Namespaces, known) {
			return fmt.Errorf("the facts have no namespace %q", name)
		}
	}
	return nil
}
