package populate

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"bulkhead.dev/devcluster/internal/facts"
)

// The names of the namespaces that do not behave.
const (
	unlistedNamespace    = "openshift-unlisted"
	terminatingNamespace = "openshift-terminating"
	squattedNamespace    = "openshift-squatted"
	// squattedCataloguedNamespace is one of the facts, without policies of its
	// own, in which somebody took the name of ours.
	squattedCataloguedNamespace = "openshift-cluster-samples-operator"
)

// extraNamespaces are those that the facts do not know.
func extraNamespaces(options Options) []namespacePlan {
	plans := []namespacePlan{
		simpleNamespace("default", simpleWorkload("hello", 8080)),
		simpleNamespace("kube-system", simpleWorkload("node-agent", 9100)),
		tenantA(),
		simpleNamespace("tenant-b", simpleWorkload("client"), simpleWorkload("api", 8080, 9090)),
	}
	if !options.Awkward {
		return plans
	}
	squatted := simpleNamespace(squattedNamespace, simpleWorkload("server", 8443))
	squatted.policies = []ownedPolicy{lookAlike(squattedNamespace)}
	return append(plans, simpleNamespace(unlistedNamespace, simpleWorkload("mystery", 8443)), squatted)
}

func simpleNamespace(name string, workloads ...facts.ConcreteWorkload) namespacePlan {
	plan := namespacePlan{name: name}
	for _, workload := range workloads {
		plan.workloads = append(plan.workloads, workloadPlan{ConcreteWorkload: workload, namespace: name})
	}
	return plan
}

// simpleWorkload is a Deployment whose Service, if it listens at all, has its
// name and the ports of its pods.
func simpleWorkload(name string, ports ...int32) facts.ConcreteWorkload {
	workload := facts.ConcreteWorkload{Name: name, Kind: facts.KindDeployment, Labels: map[string]string{"app": name}}
	for _, number := range ports {
		port := facts.Port{Port: number, Protocol: "TCP", Service: name, ServicePort: number}
		workload.Ports = append(workload.Ports, facts.NamedPort(name, name, port))
	}
	return workload
}

// tenantA isolates itself: only its web pods may reach its database.
func tenantA() namespacePlan {
	plan := simpleNamespace("tenant-a", simpleWorkload("web", 8080), simpleWorkload("db", 5432))
	ingressOnly := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	plan.policies = []ownedPolicy{
		{manager: "tenant-a-team", policy: policy("tenant-a", "deny-by-default", networkingv1.NetworkPolicySpec{PolicyTypes: ingressOnly})},
		{manager: "tenant-a-team", policy: policy("tenant-a", "web-to-db", networkingv1.NetworkPolicySpec{
			PodSelector: *matchApp("db"),
			PolicyTypes: ingressOnly,
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From:  []networkingv1.NetworkPolicyPeer{{PodSelector: matchApp("web")}},
				Ports: []networkingv1.NetworkPolicyPort{tcp(5432)},
			}},
		})},
	}
	return plan
}

// lookAlike has the name of our allow-all policy and a label that claims it,
// but another owner, and it isolates where ours opens.
func lookAlike(namespace string) ownedPolicy {
	object := policy(namespace, "bulkhead-allow-all", networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{{
			From: []networkingv1.NetworkPolicyPeer{{
				NamespaceSelector: &metav1.LabelSelector{
					MatchLabels: map[string]string{corev1.LabelMetadataName: "openshift-monitoring"},
				},
			}},
			Ports: []networkingv1.NetworkPolicyPort{tcp(60000)},
		}},
	})
	object.Labels = map[string]string{"app.kubernetes.io/managed-by": "bulkhead-operator"}
	return ownedPolicy{manager: "somebody-else", policy: object}
}

func policy(namespace, name string, spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       spec,
	}
}

func matchApp(value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": value}}
}

func tcp(port int32) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To(intstr.FromInt32(port))}
}
