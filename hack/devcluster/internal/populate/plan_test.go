package populate

import (
	"maps"
	"reflect"
	"testing"

	"bulkhead.dev/devcluster/internal/facts"
)

const factsPath = "../../../../e2e/facts/openshift-namespaces.yaml"

func plansFor(t *testing.T, change func(*Options)) []namespacePlan {
	t.Helper()
	options := Options{
		Kubeconfig: "unused", Platform: PlatformOpenShift, Line: facts.Line50, Copies: 1,
		PodsPerWorkload: 2, NetworkCRD: "openshift", Awkward: true, Workers: 1,
	}
	change(&options)
	if err := options.check(); err != nil {
		t.Fatal(err)
	}
	file, err := facts.Load(factsPath)
	if err != nil {
		t.Fatal(err)
	}
	plans, err := makePlan(options, file)
	if err != nil {
		t.Fatal(err)
	}
	return plans
}

func unchanged(*Options) {}

// addresses maps every pod to its address and node.
func addresses(plans []namespacePlan) map[string]podPlan {
	result := map[string]podPlan{}
	for _, plan := range plans {
		for _, workload := range plan.workloads {
			for _, pod := range workload.pods {
				result[plan.name+"/"+pod.name] = pod
			}
		}
	}
	return result
}

func TestEveryPodOfThePodNetworkHasAnAddressOfItsOwnInTheNetworkOfItsNode(t *testing.T) {
	owners := map[string]string{"10.131.255.254": "completed", "10.131.255.253": "held"}
	for _, plan := range plansFor(t, func(o *Options) { o.Copies, o.PodsPerWorkload = 10, 11 }) {
		for _, workload := range plan.workloads {
			for _, pod := range workload.pods {
				name := plan.name + "/" + pod.name
				if workload.HostNetwork {
					if pod.ip != pod.node.address {
						t.Errorf("%s is on the host but has %s", name, pod.ip)
					}
					continue
				}
				if other, taken := owners[pod.ip]; taken {
					t.Errorf("%s and %s share %s", name, other, pod.ip)
				}
				owners[pod.ip] = name
			}
		}
	}
}

func TestPodNamesOfANamespaceAreUnique(t *testing.T) {
	for _, plan := range plansFor(t, func(o *Options) { o.PodsPerWorkload = 12 }) {
		seen := map[string]bool{}
		for _, workload := range plan.workloads {
			for _, pod := range workload.pods {
				if seen[pod.name] {
					t.Errorf("%s: two pods are called %s", plan.name, pod.name)
				}
				seen[pod.name] = true
			}
		}
	}
}

func TestTheSameOptionsGiveTheSamePlan(t *testing.T) {
	if !reflect.DeepEqual(plansFor(t, unchanged), plansFor(t, unchanged)) {
		t.Error("two plans from the same options differ")
	}
}

func TestCopiesAndLimitsMoveNoPod(t *testing.T) {
	all := addresses(plansFor(t, unchanged))
	copied := addresses(plansFor(t, func(o *Options) { o.Copies = 3 }))
	limited := addresses(plansFor(t, func(o *Options) { o.Namespaces = []string{"openshift-dns", "openshift-monitoring"} }))
	for name, pod := range all {
		if copied[name] != pod {
			t.Errorf("%s moves from %v to %v with copies", name, pod, copied[name])
		}
	}
	for name, pod := range limited {
		if all[name] != pod {
			t.Errorf("%s moves from %v to %v with limits", name, all[name], pod)
		}
	}
	if _, there := limited["openshift-dns/"+firstPod(t, "openshift-dns")]; !there || len(limited) >= len(all) {
		t.Error("the limit does not keep just what it names")
	}
}

func firstPod(t *testing.T, namespace string) string {
	t.Helper()
	for _, plan := range plansFor(t, unchanged) {
		if plan.name == namespace {
			return plan.workloads[0].pods[0].name
		}
	}
	t.Fatalf("no namespace %s", namespace)
	return ""
}

func TestAnUnknownNamespaceIsRefused(t *testing.T) {
	file, err := facts.Load(factsPath)
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Platform: PlatformOpenShift, Line: facts.Line50, Copies: 1, PodsPerWorkload: 1, Namespaces: []string{"openshift-dsn"}}
	if _, err := makePlan(options, file); err == nil {
		t.Error("a misspelt namespace must be refused")
	}
}

func TestAPlainKubernetesClusterHasNoSystemNamespaces(t *testing.T) {
	for _, plan := range plansFor(t, func(o *Options) { o.Platform = PlatformKubernetes }) {
		if len(plan.name) > 9 && plan.name[:10] == "openshift-" {
			t.Errorf("%s exists only on OpenShift", plan.name)
		}
	}
}

func TestEveryServiceOfTheFactsSelectsThePodsThatListen(t *testing.T) {
	for _, plan := range plansFor(t, unchanged) {
		all, err := services(plan)
		if err != nil {
			t.Error(err)
		}
		for _, workload := range plan.workloads {
			for _, port := range workload.Ports {
				if port.Service == "" {
					continue
				}
				for key, value := range all[port.Service].Spec.Selector {
					if workload.selectorLabels()[key] != value {
						t.Errorf("%s: service %s does not select %s", plan.name, port.Service, workload.Name)
					}
				}
			}
		}
	}
}

func TestSquattersAreThereOnlyWhenAskedFor(t *testing.T) {
	managers := func(plans []namespacePlan) map[string]int {
		count := map[string]int{}
		for _, plan := range plans {
			for _, owned := range plan.policies {
				count[owned.manager]++
			}
		}
		return count
	}
	with, without := managers(plansFor(t, unchanged)), managers(plansFor(t, func(o *Options) { o.Awkward = false }))
	if with["somebody-else"] != 2 || without["somebody-else"] != 0 {
		t.Errorf("somebody else owns %d policies, and %d when nobody should", with["somebody-else"], without["somebody-else"])
	}
	maps.DeleteFunc(with, func(manager string, _ int) bool { return manager == "somebody-else" })
	if !maps.Equal(with, without) {
		t.Errorf("awkward namespaces change other policies: %v and %v", with, without)
	}
}

func TestTheReleaseFollowsTheLineUnlessItIsNamed(t *testing.T) {
	for _, example := range []struct{ line, release, want string }{
		{facts.Line420, "", "4.20.0"}, {facts.Line50, "", "5.0.0"}, {facts.LineNone, "", "5.0.0"}, {facts.Line50, "5.1.3", "5.1.3"},
	} {
		options := Options{
			Kubeconfig: "k", Platform: PlatformOpenShift, Line: example.line, Release: example.release,
			Copies: 1, PodsPerWorkload: 1, NetworkCRD: "none", Workers: 1,
		}
		if err := options.check(); err != nil || options.Release != example.want {
			t.Errorf("%+v gives %q, %v", example, options.Release, err)
		}
	}
}
