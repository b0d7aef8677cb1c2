package facts

import (
	"os"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const factsPath = "../../../../e2e/facts/openshift-namespaces.yaml"

func load(t *testing.T) *File {
	t.Helper()
	file, err := Load(factsPath)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func named(t *testing.T, file *File, name string) Namespace {
	t.Helper()
	for _, namespace := range file.Namespaces {
		if namespace.Name == name {
			return namespace
		}
	}
	t.Fatalf("the facts have no namespace %s", name)
	return Namespace{}
}

func TestEveryPolicyAndWorkloadOfTheFactsTranslates(t *testing.T) {
	for _, namespace := range load(t).Namespaces {
		if _, err := namespace.Concrete(); err != nil {
			t.Error(err)
		}
		names := map[string]bool{}
		for _, policy := range namespace.UpstreamPolicies {
			translated, err := policy.Translate(namespace.Name)
			if err != nil {
				t.Error(err)
				continue
			}
			if names[translated.Name] {
				t.Errorf("%s: two policies are called %s", namespace.Name, translated.Name)
			}
			names[translated.Name] = true
		}
	}
}

func TestWorkloadNamesOfANamespaceAreUnique(t *testing.T) {
	for _, namespace := range load(t).Namespaces {
		workloads, err := namespace.Concrete()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, workload := range workloads {
			if seen[workload.Name] {
				t.Errorf("%s: two workloads are called %s", namespace.Name, workload.Name)
			}
			seen[workload.Name] = true
		}
	}
}

func TestEveryNamedPortOfAPolicyExistsOnAPodThatItMustMean(t *testing.T) {
	file := load(t)
	names := map[string]bool{}
	for _, namespace := range file.Namespaces {
		workloads, err := namespace.Concrete()
		if err != nil {
			t.Fatal(err)
		}
		for _, workload := range workloads {
			for _, port := range workload.Ports {
				names[port.Protocol+"/"+port.Name] = true
			}
		}
	}
	for _, namespace := range file.Namespaces {
		for _, policy := range namespace.UpstreamPolicies {
			for _, rule := range append(policy.Ingress.Rules, policy.Egress.Rules...) {
				for _, port := range rule.Ports {
					if parsed, err := parsePort(port); err == nil && parsed.Port.StrVal != "" && !names[port] {
						t.Errorf("%s, %s: no container port is called %s", namespace.Name, policy.Name, port)
					}
				}
			}
		}
	}
}

func TestThe420LineNamesFourteenNamespacesThatTheFactsKnow(t *testing.T) {
	file := load(t)
	if len(shippedIn420) != 14 {
		t.Errorf("%d namespaces instead of 14", len(shippedIn420))
	}
	for name := range shippedIn420 {
		policies, err := named(t, file, name).PoliciesIn(Line420)
		if err != nil {
			t.Fatal(err)
		}
		if len(policies) == 0 && name != "openshift-gitops" {
			t.Errorf("the facts list no policies for %s", name)
		}
	}
	if policies, _ := named(t, file, "openshift-dns").PoliciesIn(Line420); policies != nil {
		t.Error("openshift-dns has no policies in 4.20")
	}
	if _, err := named(t, file, "openshift-dns").PoliciesIn("6.0"); err == nil {
		t.Error("an unknown line must be refused")
	}
}

func TestAlternativesBecomeWorkloadsOfTheirOwn(t *testing.T) {
	workloads, err := named(t, load(t), "openshift-etcd").Concrete()
	if err != nil {
		t.Fatal(err)
	}
	for _, workload := range workloads {
		if workload.Name == "tnf-job" && workload.Labels["app"] == "tnf-job" {
			return
		}
	}
	t.Errorf("no workload tnf-job with its label in %+v", workloads)
}

func TestPlaceholdersAreFilledTheSameInNamesLabelsAndServices(t *testing.T) {
	file := load(t)
	router, err := named(t, file, "openshift-ingress").Concrete()
	if err != nil {
		t.Fatal(err)
	}
	label := "ingresscontroller.operator.openshift.io/deployment-ingresscontroller"
	if router[0].Name != "router-default" || router[0].Labels[label] != "default" || router[0].Ports[0].Service != "router-internal-default" {
		t.Errorf("unexpected router: %+v", router[0])
	}
	infra, err := named(t, file, "openshift-kni-infra").Concrete()
	if err != nil {
		t.Fatal(err)
	}
	if infra[1].Labels["app"] != "kni-infra-haproxy" {
		t.Errorf("the star is not replaced by the workload: %+v", infra[1])
	}
}

func TestStoragePodsCarryTheOptInLabelsOfWhatTheyNeed(t *testing.T) {
	workloads, err := named(t, load(t), "openshift-cluster-csi-drivers").Concrete()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]map[string]string{}
	for _, workload := range workloads {
		labels[workload.Name] = workload.Labels
	}
	if labels["aws-ebs-csi-driver-controller"][optInPrefix+"metrics-range"] != "allow" {
		t.Error("a controller with metrics on 9201 must opt in to the metrics range")
	}
	if _, wrong := labels["aws-ebs-csi-driver-controller"][optInPrefix+"operator-metrics-range"]; wrong {
		t.Error("a controller without operator metrics must not opt in to them")
	}
	if labels["aws-ebs-csi-driver-operator"][optInPrefix+"all-egress"] != "allow" {
		t.Error("an operator that talks to the cloud must opt in to all egress")
	}
}

func TestNamesAreMadeValidOrRefused(t *testing.T) {
	for text, want := range map[string]string{
		"ingress-canary allow policy":                   "ingress-canary-allow-policy",
		"<catalog>-grpc-server (one per CatalogSource)": "redhat-operators-grpc-server",
		"allow-operator-egress-api-6443(-olm)":          "allow-operator-egress-api-6443",
		"version-<release>":                             "version-5-0-0",
	} {
		if got, err := objectName(text); err != nil || got != want {
			t.Errorf("%q gives %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"<nobody-knows>", "a_b", "", "x|y"} {
		if got, err := objectName(text); err == nil {
			t.Errorf("%q must be refused, gives %q", text, got)
		}
	}
}

func TestDirectionsKeepTheirMeaning(t *testing.T) {
	selects := Selects{AllPods: true}
	translate := func(ingress, egress Direction) *networkingv1.NetworkPolicy {
		t.Helper()
		policy, err := Policy{Name: "p", Selects: selects, Ingress: ingress, Egress: egress}.Translate("n")
		if err != nil {
			t.Fatal(err)
		}
		return policy
	}
	deny := translate(Direction{Word: "none"}, Direction{Word: "untouched"})
	if len(deny.Spec.Ingress) != 0 || len(deny.Spec.PolicyTypes) != 1 || deny.Spec.PolicyTypes[0] != "Ingress" {
		t.Errorf("none/untouched: %+v", deny.Spec)
	}
	open := translate(Direction{Word: "untouched"}, Direction{Word: "any"})
	if len(open.Spec.Egress) != 1 || open.Spec.Egress[0].To != nil || open.Spec.PolicyTypes[0] != "Egress" {
		t.Errorf("untouched/any: %+v", open.Spec)
	}
	for _, wrong := range [][2]Direction{
		{{Word: "untouched"}, {Word: "untouched"}}, {{Word: "some"}, {Word: "any"}}, {{}, {Word: "any"}},
	} {
		if _, err := (Policy{Name: "p", Selects: selects, Ingress: wrong[0], Egress: wrong[1]}).Translate("n"); err == nil {
			t.Errorf("%+v must be refused", wrong)
		}
	}
}

func TestPeersAreReadExactly(t *testing.T) {
	peers, err := parsePeers([]string{"ns(kubernetes.io/metadata.name=x)+pods(a=1,b=)", "every-namespace", "own-ns-pods", "cidr(::/0)"})
	if err != nil {
		t.Fatal(err)
	}
	both := peers[0]
	if both.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "x" || both.PodSelector.MatchLabels["a"] != "1" {
		t.Errorf("namespace and pods together: %+v", both)
	}
	if value, found := both.PodSelector.MatchLabels["b"]; !found || value != "" {
		t.Error("an empty label value must be kept")
	}
	if peers[1].NamespaceSelector == nil || peers[1].PodSelector != nil || peers[2].PodSelector == nil || peers[2].NamespaceSelector != nil {
		t.Errorf("every-namespace or own-ns-pods: %+v", peers[1:3])
	}
	if peers[3].IPBlock == nil || peers[3].IPBlock.CIDR != "::/0" {
		t.Errorf("address block: %+v", peers[3])
	}
	if nobody, err := parsePeers([]string{"anyone"}); err != nil || nobody != nil {
		t.Errorf("anyone must give no peers: %v, %v", nobody, err)
	}
}

func TestUnknownPeersAreRefused(t *testing.T) {
	for _, texts := range [][]string{
		{}, {"anyone", "own-ns-pods"}, {"somebody"}, {"ns()"}, {"ns(a)"}, {"ns(a=1)+ns(b=2)"},
		{"cidr(10.0.0.0)"}, {"cidr(10.0.0.0/8)+pods(a=1)"}, {"ns(a=1) + pods(b=2)"},
	} {
		if peers, err := parsePeers(texts); err == nil {
			t.Errorf("%q must be refused, gives %+v", texts, peers)
		}
	}
}

func TestPortsAreReadExactly(t *testing.T) {
	ports, err := parsePorts([]string{"TCP/8443", "UDP/1-65535", "TCP/metrics"})
	if err != nil {
		t.Fatal(err)
	}
	if ports[0].Port.IntVal != 8443 || ports[0].EndPort != nil || *ports[0].Protocol != "TCP" {
		t.Errorf("single port: %+v", ports[0])
	}
	if ports[1].Port.IntVal != 1 || *ports[1].EndPort != 65535 || *ports[1].Protocol != "UDP" {
		t.Errorf("range: %+v", ports[1])
	}
	if ports[2].Port.StrVal != "metrics" {
		t.Errorf("named port: %+v", ports[2])
	}
	if every, err := parsePorts([]string{"all"}); err != nil || every != nil {
		t.Errorf("all must give no ports: %v, %v", every, err)
	}
	for _, wrong := range [][]string{{}, {"all", "TCP/1"}, {"8443"}, {"TCP/0"}, {"TCP/65536"}, {"TCP/9-8"}, {"ICMP/1"}, {"tcp/80"}} {
		if ports, err := parsePorts(wrong); err == nil {
			t.Errorf("%q must be refused, gives %+v", wrong, ports)
		}
	}
}

func TestSelectorsKeepSingleValuesListsAndPresenceApart(t *testing.T) {
	selector, err := Selects{Labels: map[string]OneOrMany{
		"one":   {Values: []string{"<catalog>"}},
		"many":  {Values: []string{"a", "b"}, Many: true},
		"there": {Values: []string{"Exists"}},
	}}.selector()
	if err != nil {
		t.Fatal(err)
	}
	if got := metav1.FormatLabelSelector(&selector); got != "many in (a,b),one=redhat-operators,there" {
		t.Errorf("selector is %q", got)
	}
	if _, err := (Selects{}).selector(); err == nil {
		t.Error("a selector without a word must be refused")
	}
}

func TestAnUnknownWordInTheFileIsRefused(t *testing.T) {
	path := t.TempDir() + "/facts.yaml"
	content := strings.NewReplacer("WORD", "some-pods").Replace("namespaces: [{name: a, upstream_policies: [{name: p, selects: WORD, ingress: none, egress: none}]}]")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Error("an unknown pod selector word must be refused")
	}
}
