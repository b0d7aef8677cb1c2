package facts

import "fmt"

// The release lines whose shipped policies can be created.
const (
	LineNone = "none"
	Line420  = "4.20"
	Line50   = "5.0"
)

// shippedIn420 are the namespaces that get their policies in the 4.20 line.
// The facts count 14 of them on a 4.20.18 cluster but name only
// openshift-gitops, whose policies they do not list. The other thirteen are an
// assumption: the operator lifecycle manager in both generations, storage, and
// operators that OLM installs; everything else in the facts is the default deny
// that came to all namespaces later.
var shippedIn420 = map[string]bool{
	"openshift-catalogd":                   true,
	"openshift-cluster-csi-drivers":        true,
	"openshift-cluster-olm-operator":       true,
	"openshift-cluster-resource-override":  true,
	"openshift-cluster-storage-operator":   true,
	"openshift-gitops":                     true,
	"openshift-kueue-operator":             true,
	"openshift-logging":                    true,
	"openshift-marketplace":                true,
	"openshift-nmstate":                    true,
	"openshift-operator-controller":        true,
	"openshift-operator-lifecycle-manager": true,
	"openshift-operators":                  true,
	"openshift-sriov-network-operator":     true,
}

// PoliciesIn lists the policies that the namespace has in a release line.
func (n Namespace) PoliciesIn(line string) ([]Policy, error) {
	switch line {
	case LineNone:
		return nil, nil
	case Line50:
		return n.UpstreamPolicies, nil
	case Line420:
		if shippedIn420[n.Name] {
			return n.UpstreamPolicies, nil
		}
		return nil, nil
	}
	return nil, fmt.Errorf("unknown release line %q: choose %s, %s or %s", line, Line420, Line50, LineNone)
}
