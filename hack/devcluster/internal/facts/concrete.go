package facts

import (
	"fmt"
	"slices"
	"strings"
)

// ConcreteWorkload is a workload as it can be created.
type ConcreteWorkload struct {
	Name        string
	Kind        string
	HostNetwork bool
	// Labels of the pods; empty where the facts know of none.
	Labels map[string]string
	Ports  []ConcretePort
}

// ConcretePort is a container port and the Service in front of it.
type ConcretePort struct {
	Port
	// Name is what a policy that uses named ports would call it.
	Name string
}

// The kinds of workload that can be created.
const (
	KindDeployment  = "Deployment"
	KindDaemonSet   = "DaemonSet"
	KindStatefulSet = "StatefulSet"
	KindJob         = "Job"
	KindCronJob     = "CronJob"
	KindPod         = "Pod"
	KindStaticPod   = "static Pod"
)

// kinds maps the words of the facts to one kind: where they name two, the
// first is as good as the second.
var kinds = map[string]string{
	KindDeployment: KindDeployment, KindDaemonSet: KindDaemonSet, KindStatefulSet: KindStatefulSet,
	KindJob: KindJob, KindCronJob: KindCronJob, KindPod: KindPod, KindStaticPod: KindStaticPod,
	"Deployment/DaemonSet": KindDeployment,
	"Pod/Job":              KindPod,
}

// Concrete turns the workloads of a namespace into ones that can be created.
// "a|b|c" stands for several workloads with the same ports; a list of label
// values belongs to such alternatives and gives each its own.
func (n Namespace) Concrete() ([]ConcreteWorkload, error) {
	var all []ConcreteWorkload
	for _, workload := range n.Workloads {
		alternatives := strings.Split(workload.Name, "|")
		for index, alternative := range alternatives {
			concrete, err := n.concrete(workload, alternative, index, len(alternatives))
			if err != nil {
				return nil, fmt.Errorf("%s, workload %q: %w", n.Name, workload.Name, err)
			}
			all = append(all, concrete)
		}
	}
	return all, nil
}

func (n Namespace) concrete(workload Workload, alternative string, index, count int) (ConcreteWorkload, error) {
	name, err := objectName(alternative)
	if err != nil {
		return ConcreteWorkload{}, err
	}
	kind, known := kinds[workload.Kind]
	if !known {
		return ConcreteWorkload{}, fmt.Errorf("unknown kind %q", workload.Kind)
	}
	result := ConcreteWorkload{Name: name, Kind: kind, HostNetwork: workload.HostNetwork, Labels: map[string]string{}}
	for key, choices := range workload.PodLabels {
		if choices.Many && len(choices.Values) != count {
			return ConcreteWorkload{}, fmt.Errorf("label %s has %d values for %d names", key, len(choices.Values), count)
		}
		text := choices.Values[0]
		if choices.Many {
			text = choices.Values[index]
		}
		if result.Labels[key], err = labelValue(text, name); err != nil {
			return ConcreteWorkload{}, err
		}
	}
	if result.Ports, err = concretePorts(n.Name, name, workload.Ports); err != nil {
		return ConcreteWorkload{}, err
	}
	n.optIn(workload, result.Labels)
	return result, nil
}

func concretePorts(namespace, workload string, ports []Port) ([]ConcretePort, error) {
	var result []ConcretePort
	for _, port := range ports {
		concrete := NamedPort(namespace, workload, port)
		if port.Service != "" {
			var err error
			if concrete.Service, err = objectName(port.Service); err != nil {
				return nil, err
			}
		}
		same := func(other ConcretePort) bool { return other == concrete }
		if !slices.ContainsFunc(result, same) {
			result = append(result, concrete)
		}
	}
	return result, nil
}

// portNames are the names that shipped policies use instead of numbers; the
// facts know ports by number only.
var portNames = map[string]string{
	"openshift-dns/dns-default/UDP/5353":                             "dns",
	"openshift-dns/dns-default/TCP/5353":                             "dns-tcp",
	"openshift-ingress/router-default/TCP/80":                        "http",
	"openshift-ingress/router-default/TCP/443":                       "https",
	"openshift-ingress/router-default/TCP/1936":                      "metrics",
	"openshift-operator-lifecycle-manager/olm-operator/TCP/8443":     "metrics",
	"openshift-operator-lifecycle-manager/catalog-operator/TCP/8443": "metrics",
	"openshift-kueue-operator/kueue-controller-manager/TCP/8082":     "visibility",
	"openshift-kueue-operator/kueue-controller-manager/TCP/9443":     "webhook-server",
	"openshift-logging/cluster-logging-operator/TCP/8443":            "https-metrics",
}

// NamedPort gives the port the name that policies know it by, or else one that
// follows from its number.
func NamedPort(namespace, workload string, port Port) ConcretePort {
	return ConcretePort{Port: port, Name: portName(namespace, workload, port)}
}

func portName(namespace, workload string, port Port) string {
	number := fmt.Sprintf("%s/%d", port.Protocol, port.Port)
	if name, known := portNames[namespace+"/"+workload+"/"+number]; known {
		return name
	}
	return strings.ToLower(strings.ReplaceAll(number, "/", "-"))
}
