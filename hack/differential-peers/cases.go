package main

import (
	"fmt"

	"github.com/mattfenwick/cyclonus/pkg/connectivity/probe"
	"github.com/mattfenwick/cyclonus/pkg/generator"
	"github.com/mattfenwick/cyclonus/pkg/matcher"
	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// state is a simulated cluster while the actions of a test case are applied to it.
type state struct {
	resources *probe.Resources
	policies  []*networkingv1.NetworkPolicy
}

func newState(namespaces []string) *state {
	resources := &probe.Resources{Namespaces: map[string]map[string]string{}}
	protocols := []v1.Protocol{v1.ProtocolTCP, v1.ProtocolUDP, v1.ProtocolSCTP}
	for _, namespace := range namespaces {
		labels := map[string]string{"ns": namespace, "kubernetes.io/metadata.name": namespace}
		resources.Namespaces[namespace] = labels
		for _, name := range []string{"a", "b", "c"} {
			pod := probe.NewDefaultPod(namespace, name, []int{80, 81}, protocols, false, "registry.example")
			pod.IP = fmt.Sprintf("192.168.1.%d", 10+len(resources.Pods))
			resources.Pods = append(resources.Pods, pod)
		}
	}
	return &state{resources: resources}
}

// generatedCases plays every test case that cyclonus generates and notes what it simulates after each step.
func generatedCases() ([]*Case, error) {
	namespaces := []string{"x", "y", "z"}
	podIP := "192.168.1.18"
	var all []*Case
	for at, testCase := range generator.NewTestCaseGenerator(true, podIP, namespaces, nil, nil).GenerateTestCases() {
		now := newState(namespaces)
		for step, testStep := range testCase.Steps {
			for _, action := range testStep.Actions {
				if err := now.apply(action); err != nil {
					return nil, fmt.Errorf("case %d (%s), step %d: %w", at+1, testCase.Description, step+1, err)
				}
			}
			name := fmt.Sprintf("cyclonus %d.%d: %s", at+1, step+1, testCase.Description)
			all = append(all, now.observed(name, testStep.Probe))
		}
	}
	return all, nil
}

func (s *state) observed(name string, config *generator.ProbeConfig) *Case {
	one := &Case{Name: name, By: "cyclonus", Namespaces: map[string]map[string]string{}, Outside: []string{}}
	for namespace, labels := range s.resources.Namespaces {
		one.Namespaces[namespace] = labels
	}
	index := map[string]int{}
	for _, pod := range s.resources.Pods {
		index[pod.PodString().String()] = len(one.Pods)
		ports := []NamedPort{}
		for _, container := range pod.Containers {
			ports = append(ports, NamedPort{container.PortName, container.Protocol, container.Port})
		}
		one.Pods = append(one.Pods, Pod{pod.Namespace, pod.Name, pod.Labels, pod.IP, ports})
	}
	for _, policy := range s.policies {
		one.Policies = append(one.Policies, Policy{policy.Namespace, policy.Name, policy.Spec})
	}
	rules := matcher.BuildNetworkPolicies(true, s.policies)
	jobs := (&probe.JobBuilder{}).GetJobsForProbeConfig(s.resources, config)
	for _, job := range jobs.Valid {
		from, to := index[job.FromKey], index[job.ToKey]
		allowed := rules.IsTrafficAllowed(job.Traffic()).IsAllowed()
		one.Answers = append(one.Answers, Answer{from, to, job.Protocol, job.ResolvedPort, allowed})
	}
	return one
}

func (s *state) apply(action *generator.Action) error {
	var err error
	switch {
	case action.CreatePolicy != nil:
		s.policies = append(s.policies, action.CreatePolicy.Policy)
	case action.UpdatePolicy != nil:
		updated := action.UpdatePolicy.Policy
		s.remove(updated.Namespace, updated.Name)
		s.policies = append(s.policies, updated)
	case action.DeletePolicy != nil:
		s.remove(action.DeletePolicy.Namespace, action.DeletePolicy.Name)
	case action.CreateNamespace != nil:
		it := action.CreateNamespace
		s.resources, err = s.resources.CreateNamespace(it.Namespace, named(it.Namespace, it.Labels))
	case action.SetNamespaceLabels != nil:
		it := action.SetNamespaceLabels
		s.resources, err = s.resources.UpdateNamespaceLabels(it.Namespace, named(it.Namespace, it.Labels))
	case action.DeleteNamespace != nil:
		s.resources, err = s.resources.DeleteNamespace(action.DeleteNamespace.Namespace)
	case action.ReadNetworkPolicies != nil:
		// Nothing outside the simulation writes policies.
	case action.CreatePod != nil:
		it := action.CreatePod
		s.resources, err = s.resources.CreatePod(it.Namespace, it.Pod, it.Labels)
		if err == nil {
			s.addressOf(it.Namespace, it.Pod)
		}
	case action.SetPodLabels != nil:
		it := action.SetPodLabels
		s.resources, err = s.resources.SetPodLabels(it.Namespace, it.Pod, it.Labels)
	case action.DeletePod != nil:
		s.resources, err = s.resources.DeletePod(action.DeletePod.Namespace, action.DeletePod.Pod)
	default:
		err = fmt.Errorf("an action that is not known")
	}
	return err
}

// named adds the label that the API server sets on every namespace.
func named(namespace string, labels map[string]string) map[string]string {
	all := map[string]string{"kubernetes.io/metadata.name": namespace}
	for key, value := range labels {
		all[key] = value
	}
	return all
}

func (s *state) addressOf(namespace, name string) {
	for at, pod := range s.resources.Pods {
		if pod.Namespace == namespace && pod.Name == name {
			pod.IP = fmt.Sprintf("192.168.1.%d", 100+at)
		}
	}
}

func (s *state) remove(namespace, name string) {
	var kept []*networkingv1.NetworkPolicy
	for _, policy := range s.policies {
		if policy.Namespace != namespace || policy.Name != name {
			kept = append(kept, policy)
		}
	}
	s.policies = kept
}
