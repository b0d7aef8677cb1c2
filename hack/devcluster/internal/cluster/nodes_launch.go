package cluster

import (
	"path/filepath"
	"strconv"

	"bulkhead.dev/devcluster/internal/fabric"
)

// nodeClients are what a control plane needs besides once pods really run.
func nodeClients(layout Layout, state *State) []*Process {
	return []*Process{
		{Name: "kube-scheduler", Program: filepath.Join(state.Bundle, "bin/kube-scheduler"), Args: []string{
			"--kubeconfig=" + layout.pki("kube-scheduler.kubeconfig"),
			"--leader-elect=false",
			"--secure-port=0",
			"--kube-api-qps=500",
			"--kube-api-burst=1000",
		}},
		{Name: "cilium-operator", Program: filepath.Join(state.Bundle, "bin/cilium-operator"), Args: []string{
			"--k8s-kubeconfig-path=" + layout.pki("cilium-operator.kubeconfig"),
			"--identity-allocation-mode=crd",
			"--ipam=kubernetes",
			"--enable-ipv6=false",
			// The agents are processes here, so their pods must not be missed.
			"--set-cilium-node-taints=false",
			"--remove-cilium-node-taints=false",
			"--set-cilium-is-up-condition=false",
			"--unmanaged-pod-watcher-interval=0",
		}},
	}
}

func apiServerArgsForNodes(layout Layout) []string {
	return []string{
		"--bind-address=0.0.0.0",
		"--advertise-address=" + fabric.Gateway,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-certificate-authority=" + layout.pki("ca.crt"),
		"--kubelet-client-certificate=" + layout.pki("kubelet-client.crt"),
		"--kubelet-client-key=" + layout.pki("kubelet-client.key"),
		// Webhooks and aggregated servers are called by the address of their
		// pod, as OpenShift does it.
		"--enable-aggregator-routing=true",
		"--requestheader-client-ca-file=" + layout.pki("ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + layout.pki("front-proxy.crt"),
		"--proxy-client-key-file=" + layout.pki("front-proxy.key"),
	}
}

func controllerManagerArgsForNodes() []string {
	return []string{
		"--controllers=*",
		"--allocate-node-cidrs=true",
		"--cluster-cidr=" + fabric.PodNetwork,
		"--node-cidr-mask-size=" + strconv.Itoa(fabric.PodMaskSize),
		"--service-cluster-ip-range=" + serviceRange,
	}
}
