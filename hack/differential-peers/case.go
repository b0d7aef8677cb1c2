package main

import (
	"github.com/mattfenwick/cyclonus/pkg/matcher"
	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Case is one cluster and what somebody says about connections in it. README.md describes the fields.
type Case struct {
	Name       string                       `json:"name"`
	By         string                       `json:"by"`
	Namespaces map[string]map[string]string `json:"namespaces"`
	Pods       []Pod                        `json:"pods"`
	Policies   []Policy                     `json:"policies"`
	Outside    []string                     `json:"outside"`
	Ports      []Port                       `json:"ports,omitempty"`
	Answers    []Answer                     `json:"answers,omitempty"`
}

// Pod is a pod on the pod network.
type Pod struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels"`
	Address   string            `json:"address"`
	Ports     []NamedPort       `json:"ports"`
}

// NamedPort is a container port.
type NamedPort struct {
	Name     string      `json:"name"`
	Protocol v1.Protocol `json:"protocol"`
	Port     int         `json:"port"`
}

// Policy is a NetworkPolicy.
type Policy struct {
	Namespace string                         `json:"namespace"`
	Name      string                         `json:"name"`
	Spec      networkingv1.NetworkPolicySpec `json:"spec"`
}

// Port is a destination port that is asked about.
type Port struct {
	Protocol v1.Protocol `json:"protocol"`
	Port     int         `json:"port"`
}

// Answer says whether one end reaches another. Ends are numbered: pods first, then addresses outside.
type Answer struct {
	From     int         `json:"from"`
	To       int         `json:"to"`
	Protocol v1.Protocol `json:"protocol"`
	Port     int         `json:"port"`
	Allowed  bool        `json:"allowed"`
}

// answers asks cyclonus about every pair of ends, one of them a pod, on every port.
func answers(one *Case) []Answer {
	rules := matcher.BuildNetworkPolicies(false, objects(one.Policies))
	var all []Answer
	ends := len(one.Pods) + len(one.Outside)
	for from := range ends {
		for to := range ends {
			if from == to || (from >= len(one.Pods) && to >= len(one.Pods)) {
				continue
			}
			for _, port := range one.Ports {
				traffic := &matcher.Traffic{
					Source:           one.peer(from),
					Destination:      one.peer(to),
					ResolvedPort:     port.Port,
					ResolvedPortName: one.portName(to, port),
					Protocol:         port.Protocol,
				}
				allowed := rules.IsTrafficAllowed(traffic).IsAllowed()
				all = append(all, Answer{from, to, port.Protocol, port.Port, allowed})
			}
		}
	}
	return all
}

func objects(policies []Policy) []*networkingv1.NetworkPolicy {
	var all []*networkingv1.NetworkPolicy
	for _, policy := range policies {
		object := &networkingv1.NetworkPolicy{Spec: policy.Spec}
		object.Namespace, object.Name = policy.Namespace, policy.Name
		all = append(all, object)
	}
	return all
}

func (c *Case) peer(end int) *matcher.TrafficPeer {
	if end >= len(c.Pods) {
		return &matcher.TrafficPeer{IP: c.Outside[end-len(c.Pods)]}
	}
	pod := c.Pods[end]
	return &matcher.TrafficPeer{
		IP: pod.Address,
		Internal: &matcher.InternalPeer{
			PodLabels:       pod.Labels,
			NamespaceLabels: c.Namespaces[pod.Namespace],
			Namespace:       pod.Namespace,
		},
	}
}

func (c *Case) portName(end int, port Port) string {
	if end >= len(c.Pods) {
		return ""
	}
	for _, declared := range c.Pods[end].Ports {
		if declared.Port == port.Port && declared.Protocol == port.Protocol {
			return declared.Name
		}
	}
	return ""
}
