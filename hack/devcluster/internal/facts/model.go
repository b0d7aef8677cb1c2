// Package facts reads the namespace facts and turns their short notation into
// concrete Kubernetes objects.
package facts

import (
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

// File is the part of the facts file that a cluster is made from.
type File struct {
	Namespaces []Namespace `json:"namespaces"`
}

// Namespace is one namespace of OpenShift.
type Namespace struct {
	Name             string            `json:"name"`
	Labels           map[string]string `json:"labels"`
	Workloads        []Workload        `json:"workloads"`
	UpstreamPolicies []Policy          `json:"upstream_policies"`
}

// Workload is a set of like pods. Names and label values may hold notation;
// see Concrete.
type Workload struct {
	Name        string               `json:"name"`
	Kind        string               `json:"kind"`
	HostNetwork bool                 `json:"host_network"`
	PodLabels   map[string]OneOrMany `json:"pod_labels"`
	Ports       []Port               `json:"ports"`
	Egress      []string             `json:"egress"`
}

// Port is a port that the pods of a workload listen on, with the Service in
// front of it if there is one.
type Port struct {
	Port        int32  `json:"port"`
	Protocol    string `json:"protocol"`
	Service     string `json:"service"`
	ServicePort int32  `json:"service_port"`
}

// Policy is a NetworkPolicy that OpenShift ships, in short notation.
type Policy struct {
	Name    string    `json:"name"`
	Selects Selects   `json:"selects"`
	Ingress Direction `json:"ingress"`
	Egress  Direction `json:"egress"`
}

// Selects is a pod selector: the word all-pods, or values per label.
type Selects struct {
	AllPods bool
	Labels  map[string]OneOrMany
}

// Direction is a word (none, untouched, any) or a list of rules.
type Direction struct {
	Word  string
	Rules []Rule
}

// Rule is one rule in short notation.
type Rule struct {
	Peers []string `json:"peers"`
	Ports []string `json:"ports"`
}

// OneOrMany is a label value, or several of which each pod has one.
type OneOrMany struct {
	Values []string
	// Many tells a list with one entry from a single value.
	Many bool
}

// UnmarshalJSON accepts a string or a list of strings.
func (o *OneOrMany) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		o.Values = []string{one}
		return nil
	}
	o.Many = true
	return json.Unmarshal(data, &o.Values)
}

// UnmarshalJSON accepts the word all-pods or a map of labels.
func (s *Selects) UnmarshalJSON(data []byte) error {
	var word string
	if json.Unmarshal(data, &word) != nil {
		return json.Unmarshal(data, &s.Labels)
	}
	if word != "all-pods" {
		return fmt.Errorf("unknown pod selector %q", word)
	}
	s.AllPods = true
	return nil
}

// UnmarshalJSON accepts a word or a list of rules.
func (d *Direction) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &d.Word) == nil {
		return nil
	}
	return json.Unmarshal(data, &d.Rules)
}

// Load reads a facts file.
func Load(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file := &File{}
	if err := yaml.Unmarshal(data, file); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(file.Namespaces) == 0 {
		return nil, fmt.Errorf("%s names no namespaces", path)
	}
	return file, nil
}
