// Package populate fills a cluster with everything that a controller of system
// namespaces would find on an OpenShift installation.
package populate

import (
	"fmt"

	"bulkhead.dev/devcluster/internal/facts"
)

// The platforms that a cluster can look like.
const (
	PlatformOpenShift  = "openshift"
	PlatformKubernetes = "kubernetes"
)

// Options choose what the cluster holds.
type Options struct {
	// Kubeconfig of the cluster, and the facts file that describes OpenShift.
	Kubeconfig, Facts string
	// Platform openshift creates everything; kubernetes leaves out all that
	// only OpenShift has, the system namespaces included.
	Platform string
	// Line is the release line whose shipped policies are created.
	Line string
	// Release is the version that the ClusterVersion reports; empty follows Line.
	Release string
	// Copies is how often each namespace of the facts exists, at least once.
	Copies int
	// PodsPerWorkload is the number of pods of each controller; Jobs and bare
	// pods have one.
	PodsPerWorkload int
	// Namespaces limits the namespaces of the facts; empty means all.
	Namespaces []string
	// NetworkCRD is openshift for the shape that OpenShift ships, or none.
	NetworkCRD string
	// Awkward adds the system namespaces that do not behave, on OpenShift only.
	Awkward bool
	// Workers bounds the requests in flight.
	Workers int
}

// check refuses values that would silently do nothing and fills in what
// follows from the others.
func (o *Options) check() error {
	if o.Kubeconfig == "" {
		return fmt.Errorf("--kubeconfig is required")
	}
	if o.Platform != PlatformOpenShift && o.Platform != PlatformKubernetes {
		return fmt.Errorf("unknown platform %q: choose %s or %s", o.Platform, PlatformOpenShift, PlatformKubernetes)
	}
	if o.NetworkCRD != "openshift" && o.NetworkCRD != "none" {
		return fmt.Errorf("unknown Network CRD %q: choose openshift or none", o.NetworkCRD)
	}
	if o.Copies < 1 || o.PodsPerWorkload < 1 || o.Workers < 1 {
		return fmt.Errorf("copies, pods per workload and workers must be at least 1")
	}
	o.Awkward = o.Awkward && o.Platform == PlatformOpenShift
	if o.Release == "" {
		o.Release = "5.0.0"
		if o.Line == facts.Line420 {
			o.Release = "4.20.0"
		}
	}
	return nil
}
