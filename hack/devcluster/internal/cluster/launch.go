package cluster

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// The Service network of an OpenShift installation, and what it gives to the
// API server and to DNS.
const (
	serviceRange   = "172.30.0.0/16"
	serviceAddress = "172.30.0.1"
	dnsAddress     = "172.30.0.10"
)

// The names under which the processes of every cluster are recorded.
const (
	etcdName              = "etcd"
	apiServerName         = "kube-apiserver"
	controllerManagerName = "kube-controller-manager"
)

// controlPlane lists the processes in starting order.
func controlPlane(layout Layout, state *State, ports portSet) []*Process {
	processes := []*Process{
		{Name: etcdName, Program: "etcd", Args: etcdArgs(state, ports)},
		{Name: apiServerName, Program: "kube-apiserver", Args: apiServerArgs(layout, state, ports)},
		{Name: controllerManagerName, Program: "kube-controller-manager", Args: controllerManagerArgs(layout, state)},
	}
	if len(state.Nodes) == 0 {
		return processes
	}
	return slices.Concat(networkProcesses(state), processes, nodeClients(layout, state))
}

// portSet holds the ports of one cluster.
type portSet struct {
	etcdClient, etcdPeer, apiServer int
}

// insidePorts are those of a cluster that has a network of its own.
var insidePorts = portSet{etcdClient: 2379, etcdPeer: 2380, apiServer: 6443}

func (p portSet) etcdURL() string      { return fmt.Sprintf("http://127.0.0.1:%d", p.etcdClient) }
func (p portSet) apiServerURL() string { return fmt.Sprintf("https://127.0.0.1:%d", p.apiServer) }

func drawPorts() (portSet, error) {
	ports, err := freePorts(3)
	if err != nil {
		return portSet{}, err
	}
	return portSet{etcdClient: ports[0], etcdPeer: ports[1], apiServer: ports[2]}, nil
}

func etcdArgs(state *State, ports portSet) []string {
	peer := fmt.Sprintf("http://127.0.0.1:%d", ports.etcdPeer)
	return []string{
		"--name=devcluster",
		"--data-dir=" + filepath.Join(state.DataDir, "etcd"),
		"--listen-client-urls=" + ports.etcdURL(),
		"--advertise-client-urls=" + ports.etcdURL(),
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=devcluster=" + peer,
		// The data is thrown away anyway and must not wait for a disk.
		"--unsafe-no-fsync",
		"--quota-backend-bytes=8589934592",
		"--log-level=warn",
	}
}

func apiServerArgs(layout Layout, state *State, ports portSet) []string {
	args := []string{
		"--etcd-servers=" + ports.etcdURL(),
		fmt.Sprintf("--secure-port=%d", ports.apiServer),
		"--client-ca-file=" + layout.pki("ca.crt"),
		"--tls-cert-file=" + layout.pki("apiserver.crt"),
		"--tls-private-key-file=" + layout.pki("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + layout.pki("sa.pub"),
		"--service-account-signing-key-file=" + layout.pki("sa.key"),
		"--service-cluster-ip-range=" + serviceRange,
		"--allow-privileged=true",
		// Lets a graceful end close watches at once instead of waiting for them.
		"--shutdown-watch-termination-grace-period=1s",
		// Whoever reads etcd directly shall be able to read every kind.
		"--storage-media-type=application/json",
	}
	if len(state.Nodes) > 0 {
		args = append(args, apiServerArgsForNodes(layout)...)
	} else {
		args = append(args,
			"--bind-address=127.0.0.1",
			"--advertise-address=127.0.0.1",
			"--authorization-mode=RBAC",
			// An EndpointSlice refuses loopback addresses, so the server cannot
			// publish its own; populate writes a realistic slice instead.
			"--endpoint-reconciler-type=none",
		)
	}
	if state.Audit {
		args = append(args,
			"--audit-policy-file="+layout.auditPolicy(),
			"--audit-log-path="+layout.AuditLog(),
			"--audit-log-mode=blocking",
		)
	}
	return args
}

// auditPolicy records who did what to which object, without the content.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

func controllerManagerArgs(layout Layout, state *State) []string {
	args := []string{
		"--kubeconfig=" + layout.controllerManagerConfig(),
		"--leader-elect=false",
		"--secure-port=0",
		"--service-account-private-key-file=" + layout.pki("sa.key"),
		"--root-ca-file=" + layout.pki("ca.crt"),
		// Populating thousands of namespaces must not wait for the client's
		// own limits.
		"--kube-api-qps=2000",
		"--kube-api-burst=4000",
	}
	if len(state.Nodes) > 0 {
		return append(args, controllerManagerArgsForNodes()...)
	}
	return append(args, "--controllers="+strings.Join(controllers, ","))
}
