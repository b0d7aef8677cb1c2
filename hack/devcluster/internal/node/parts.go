package node

import (
	"fmt"
	"strings"

	"bulkhead.dev/devcluster/internal/fabric"
)

// part is a program that the node keeps running.
type part struct {
	name string
	path string
	args []string
	// after is a file without which the part would only fail.
	after string
	// health answers once the part works: a URL on the node's loopback, or a socket.
	health string
}

// The names by which a part can be restarted.
const (
	Containerd = "containerd"
	Kubelet    = "kubelet"
	Agent      = "agent"
)

const runtimeSocket = "/run/containerd/containerd.sock"

// PartNames lists them.
func PartNames() []string { return []string{Containerd, Kubelet, Agent} }

// parts are started all at once, except where one would only fail.
func parts(config *Config) []part {
	return []part{
		{name: Containerd, path: "/usr/bin/containerd", args: []string{"--config=/etc/containerd/config.toml"}, health: runtimeSocket},
		{name: Agent, path: "/proc/self/exe", args: append([]string{AgentCommand, bundleInside + "/bin/cilium-agent"}, agentArgs(config)...), health: "http://127.0.0.1:9879/healthz"},
		{name: Kubelet, path: bundleInside + "/bin/kubelet", args: kubeletArgs(config), after: runtimeSocket, health: "http://127.0.0.1:10248/healthz"},
	}
}

func kubeletArgs(config *Config) []string {
	return []string{
		"--config=/etc/kubelet.yaml",
		"--kubeconfig=/run/" + credentials + "/kubelet.kubeconfig",
		"--hostname-override=" + config.Name,
		"--node-ip=" + config.Address,
		"--root-dir=/var/lib/kubelet",
	}
}

// agentArgs choose the plainest network that enforces policies in the kernel:
// pods are routed by their own addresses, Services are resolved by programs on
// the node, and nothing is hidden behind another address.
func agentArgs(config *Config) []string {
	return []string{
		"--k8s-kubeconfig-path=/run/" + credentials + "/agent.kubeconfig",
		"--k8s-client-qps=100", "--k8s-client-burst=200",
		"--lib-dir=" + agentLibrary,
		"--state-dir=/run/cilium",
		"--bpf-root=" + bpfFS,
		"--cgroup-root=" + cgroupRoot + "/unified",
		"--enable-ipv6=false",
		"--ipam=kubernetes",
		"--identity-allocation-mode=crd",
		"--routing-mode=native",
		"--ipv4-native-routing-cidr=" + fabric.PodNetwork,
		"--auto-direct-node-routes=true",
		"--enable-ipv4-masquerade=false",
		"--devices=eth0", "--direct-routing-device=eth0",
		"--kube-proxy-replacement=true",
		"--enable-l7-proxy=false",
		"--enable-health-checking=false",
		"--enable-endpoint-health-checking=false",
		"--enable-hubble=true",
		"--hubble-socket-path=/run/cilium/hubble.sock",
		"--hubble-event-buffer-capacity=65535",
		// One event per connection and direction, not one per packet.
		"--monitor-aggregation=medium",
		"--write-cni-conf-when-ready=",
		// A test cluster has no use for half a million entries.
		"--preallocate-bpf-maps=false",
		"--bpf-ct-global-tcp-max=65536", "--bpf-ct-global-any-max=32768",
		"--bpf-nat-global-max=65536", "--bpf-neigh-global-max=65536",
	}
}

// environment gives every part the same search path: the compiler that the
// bundle wraps comes before the machine's own.
func environment(config *Config) []string {
	return []string{
		"PATH=" + strings.Join([]string{bundleInside + "/path", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}, ":"),
		"HOME=/root",
		"K8S_NODE_NAME=" + config.Name,
		fmt.Sprintf("NO_PROXY=%s,%s", fabric.Gateway, fabric.PodNetwork),
	}
}
