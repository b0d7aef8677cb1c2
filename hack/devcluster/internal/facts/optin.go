package facts

import "slices"

// optInPrefix begins the labels by which the pods of the storage namespaces
// opt in to shipped policies. The facts list them with the policies only, so
// they are derived here from what each workload listens on and dials.
const optInPrefix = "openshift.storage.network-policy."

// beyondTheCluster are the egress targets that only the label for all egress opens.
var beyondTheCluster = []string{"cloud-api", "external", "external-secret-stores", "any"}

// optIn adds the storage opt-in labels that the policies of the namespace select.
func (n Namespace) optIn(workload Workload, labels map[string]string) {
	for _, policy := range n.UpstreamPolicies {
		value, selected := policy.Selects.Labels[optInPrefix+policy.optInKey()]
		if selected && policy.serves(workload) {
			labels[optInPrefix+policy.optInKey()] = value.Values[0]
		}
	}
}

func (p Policy) optInKey() string {
	for key := range p.Selects.Labels {
		if len(key) > len(optInPrefix) && key[:len(optInPrefix)] == optInPrefix {
			return key[len(optInPrefix):]
		}
	}
	return ""
}

// serves reports whether the workload needs what the opt-in policy allows.
func (p Policy) serves(workload Workload) bool {
	switch p.optInKey() {
	case "api-server":
		return slices.Contains(workload.Egress, "kube-apiserver")
	case "dns":
		return slices.Contains(workload.Egress, "dns")
	case "all-egress":
		return slices.ContainsFunc(workload.Egress, func(target string) bool {
			return slices.Contains(beyondTheCluster, target)
		})
	default:
		return p.admitsAPortOf(workload)
	}
}

func (p Policy) admitsAPortOf(workload Workload) bool {
	for _, rule := range p.Ingress.Rules {
		for _, text := range rule.Ports {
			parsed, err := parsePort(text)
			if err != nil || parsed.Port == nil {
				continue
			}
			first := parsed.Port.IntVal
			last := first
			if parsed.EndPort != nil {
				last = *parsed.EndPort
			}
			for _, port := range workload.Ports {
				if port.Port >= first && port.Port <= last {
					return true
				}
			}
		}
	}
	return false
}
