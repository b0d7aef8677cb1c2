package facts

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Translate gives the NetworkPolicy that the notation stands for. It fails on
// every word that it does not know.
func (p Policy) Translate(namespace string) (*networkingv1.NetworkPolicy, error) {
	policy, err := p.translate(namespace)
	if err != nil {
		return nil, fmt.Errorf("%s, policy %q: %w", namespace, p.Name, err)
	}
	return policy, nil
}

func (p Policy) translate(namespace string) (*networkingv1.NetworkPolicy, error) {
	name, err := objectName(p.Name)
	if err != nil {
		return nil, err
	}
	policy := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
	}
	if policy.Spec.PodSelector, err = p.Selects.selector(); err != nil {
		return nil, err
	}
	ingress, limitsIngress, err := p.Ingress.rules()
	if err != nil {
		return nil, fmt.Errorf("ingress: %w", err)
	}
	egress, limitsEgress, err := p.Egress.rules()
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	if limitsIngress {
		policy.Spec.PolicyTypes = append(policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
	}
	if limitsEgress {
		policy.Spec.PolicyTypes = append(policy.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
	if len(policy.Spec.PolicyTypes) == 0 {
		return nil, fmt.Errorf("touches neither direction")
	}
	for _, r := range ingress {
		policy.Spec.Ingress = append(policy.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: r.peers, Ports: r.ports})
	}
	for _, r := range egress {
		policy.Spec.Egress = append(policy.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: r.peers, Ports: r.ports})
	}
	return policy, nil
}

// selector reads a single value as equality, a list as a choice, and the word
// Exists as mere presence.
func (s Selects) selector() (metav1.LabelSelector, error) {
	selector := metav1.LabelSelector{}
	if s.AllPods {
		return selector, nil
	}
	if len(s.Labels) == 0 {
		return selector, fmt.Errorf("selects nothing: say all-pods if every pod is meant")
	}
	keys := make([]string, 0, len(s.Labels))
	for key := range s.Labels {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		choices := s.Labels[key]
		switch {
		case choices.Many:
			selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{
				Key: key, Operator: metav1.LabelSelectorOpIn, Values: choices.Values,
			})
		case choices.Values[0] == "Exists":
			selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{
				Key: key, Operator: metav1.LabelSelectorOpExists,
			})
		default:
			value, err := fill(choices.Values[0])
			if err != nil {
				return selector, err
			}
			metav1.AddLabelToSelector(&selector, key, value)
		}
	}
	return selector, nil
}

// rule is an ingress or egress rule; both have the same parts.
type rule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

// rules reports whether the direction is limited at all, and to what.
func (d Direction) rules() (rules []rule, limited bool, err error) {
	switch {
	case d.Word == "untouched":
		return nil, false, nil
	case d.Word == "none":
		return nil, true, nil
	case d.Word == "any":
		return []rule{{}}, true, nil
	case d.Word != "" || len(d.Rules) == 0:
		return nil, false, fmt.Errorf("unknown direction %q", d.Word)
	}
	for _, short := range d.Rules {
		peers, err := parsePeers(short.Peers)
		if err != nil {
			return nil, false, err
		}
		ports, err := parsePorts(short.Ports)
		if err != nil {
			return nil, false, err
		}
		rules = append(rules, rule{peers: peers, ports: ports})
	}
	return rules, true, nil
}

// parsePeers gives no peers for `anyone`, which the API reads as everybody.
func parsePeers(texts []string) ([]networkingv1.NetworkPolicyPeer, error) {
	if len(texts) == 1 && texts[0] == "anyone" {
		return nil, nil
	}
	if len(texts) == 0 || slices.Contains(texts, "anyone") {
		return nil, fmt.Errorf("peers %q: `anyone` must stand alone, and an empty list says nothing", texts)
	}
	peers := make([]networkingv1.NetworkPolicyPeer, 0, len(texts))
	for _, text := range texts {
		peer, err := parsePeer(text)
		if err != nil {
			return nil, err
		}
		peers = append(peers, peer)
	}
	return peers, nil
}

var peerTerm = regexp.MustCompile(`^(ns|pods|cidr)\(([^()]+)\)$`)

func parsePeer(text string) (networkingv1.NetworkPolicyPeer, error) {
	peer := networkingv1.NetworkPolicyPeer{}
	switch text {
	case "every-namespace":
		peer.NamespaceSelector = &metav1.LabelSelector{}
		return peer, nil
	case "own-ns-pods":
		peer.PodSelector = &metav1.LabelSelector{}
		return peer, nil
	}
	for _, term := range strings.Split(text, "+") {
		match := peerTerm.FindStringSubmatch(term)
		if match == nil {
			return peer, fmt.Errorf("unknown peer %q", text)
		}
		if err := addTerm(&peer, match[1], match[2]); err != nil {
			return peer, fmt.Errorf("peer %q: %w", text, err)
		}
	}
	if peer.IPBlock != nil && (peer.NamespaceSelector != nil || peer.PodSelector != nil) {
		return peer, fmt.Errorf("peer %q mixes addresses and selectors", text)
	}
	return peer, nil
}

func addTerm(peer *networkingv1.NetworkPolicyPeer, word, argument string) error {
	if word == "cidr" {
		if problems := validation.IsValidCIDR(nil, argument); len(problems) > 0 {
			return problems.ToAggregate()
		}
		peer.IPBlock = &networkingv1.IPBlock{CIDR: argument}
		return nil
	}
	selector := &metav1.LabelSelector{}
	for _, pair := range strings.Split(argument, ",") {
		key, value, found := strings.Cut(pair, "=")
		if !found {
			return fmt.Errorf("%q is not key=value", pair)
		}
		metav1.AddLabelToSelector(selector, key, value)
	}
	target := &peer.PodSelector
	if word == "ns" {
		target = &peer.NamespaceSelector
	}
	if *target != nil {
		return fmt.Errorf("%s() appears twice", word)
	}
	*target = selector
	return nil
}

// parsePorts gives no ports for `all`, which the API reads as every port.
func parsePorts(texts []string) ([]networkingv1.NetworkPolicyPort, error) {
	if len(texts) == 1 && texts[0] == "all" {
		return nil, nil
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("an empty list of ports says nothing: say all if every port is meant")
	}
	ports := make([]networkingv1.NetworkPolicyPort, 0, len(texts))
	for _, text := range texts {
		port, err := parsePort(text)
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

var portNotation = regexp.MustCompile(`^(TCP|UDP|SCTP)/(?:(\d+)(?:-(\d+))?|([a-z][a-z0-9-]*))$`)

func parsePort(text string) (networkingv1.NetworkPolicyPort, error) {
	match := portNotation.FindStringSubmatch(text)
	if match == nil {
		return networkingv1.NetworkPolicyPort{}, fmt.Errorf("unknown port %q", text)
	}
	protocol := corev1.Protocol(match[1])
	if match[4] != "" {
		named := intstr.FromString(match[4])
		return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &named}, nil
	}
	first, err := portNumber(match[2])
	if err != nil {
		return networkingv1.NetworkPolicyPort{}, err
	}
	number := intstr.FromInt32(first)
	port := networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &number}
	if match[3] != "" {
		last, err := portNumber(match[3])
		if err != nil || last < first {
			return port, fmt.Errorf("port range %q is not one", text)
		}
		port.EndPort = &last
	}
	return port, nil
}

func portNumber(digits string) (int32, error) {
	number, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || number < 1 || number > 65535 {
		return 0, fmt.Errorf("%s is not a port", digits)
	}
	return int32(number), nil
}
