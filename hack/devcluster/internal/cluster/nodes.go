package cluster

import (
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"bulkhead.dev/devcluster/internal/fabric"
	"bulkhead.dev/devcluster/internal/images"
	"bulkhead.dev/devcluster/internal/node"
)

// Node is one real node: a process tree of its own, with what others need to
// know about it.
type Node struct {
	Process
	Address          string `json:"address"`
	PodCIDR          string `json:"podCIDR"`
	HubbleSocket     string `json:"hubbleSocket"`
	ContainerdSocket string `json:"containerdSocket"`
	ControlSocket    string `json:"controlSocket"`
	// Cgroup is below every hierarchy of the machine's control groups.
	Cgroup string `json:"cgroup"`

	Config node.Config `json:"config"`
}

// node finds a node by name, or gives nil.
func (s *State) node(name string) *Node {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// planNodes decides where everything of the nodes goes.
func planNodes(layout Layout, dataDir string, options Options) []*Node {
	var nodes []*Node
	for number := 1; number <= options.Nodes; number++ {
		place := fabric.NodeAt(number)
		config := node.Config{
			Node:         place,
			Bundle:       options.Bundle,
			Compiled:     filepath.Join(filepath.Dir(options.Bundle), "compiled"),
			Snapshotter:  options.snapshotter,
			Disk:         layout.path("nodes/" + place.Name),
			Run:          filepath.Join(dataDir, place.Name),
			Logs:         layout.path("logs"),
			Cgroup:       filepath.Join(filepath.Base(dataDir), place.Name),
			ClusterDNS:   dnsAddress,
			SandboxImage: pauseImage,
		}
		nodes = append(nodes, &Node{
			Process:          Process{Name: place.Name, Program: "node", Args: []string{"--config=" + nodeConfigFile(&config)}},
			Address:          place.Address,
			PodCIDR:          place.PodCIDR,
			HubbleSocket:     config.HubbleSocket(),
			ContainerdSocket: config.ContainerdSocket(),
			ControlSocket:    config.ControlSocket(),
			Cgroup:           config.Cgroup,
			Config:           config,
		})
	}
	return nodes
}

// nodeConfigFile lies beside the node's /run, which is emptied at every start.
func nodeConfigFile(config *node.Config) string { return config.Run + ".json" }

// writeNodeCredentials issues what nodes, and the clients that come with them,
// authenticate with. Inside the cluster the server has its real address.
func writeNodeCredentials(layout Layout, state *State, ca *authority) error {
	server := fmt.Sprintf("https://%s:%d", fabric.Gateway, insidePorts.apiServer)
	for user, file := range map[string]string{
		"system:kube-scheduler": layout.pki("kube-scheduler.kubeconfig"),
		"cilium-operator":       layout.pki("cilium-operator.kubeconfig"),
	} {
		if err := ca.writeKubeconfig(file, server, user, mastersGroup); err != nil {
			return err
		}
	}
	for name, subject := range map[string]pkix.Name{
		"kubelet-client": {CommonName: "kube-apiserver-kubelet-client", Organization: []string{mastersGroup}},
		"front-proxy":    {CommonName: "front-proxy-client"},
	} {
		if err := ca.writePair(layout.pki(name), subject, nil, nil); err != nil {
			return err
		}
	}
	for _, n := range state.Nodes {
		folder := layout.nodePKI(n.Name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		user := "system:node:" + n.Name
		err := errors.Join(
			os.WriteFile(filepath.Join(folder, "ca.crt"), ca.pem, 0o600),
			ca.writePair(filepath.Join(folder, "kubelet"), pkix.Name{CommonName: user, Organization: []string{"system:nodes"}},
				[]string{n.Name}, []net.IP{net.ParseIP(n.Address)}),
			ca.writeKubeconfig(filepath.Join(folder, "kubelet.kubeconfig"), server, user, "system:nodes"),
			ca.writeKubeconfig(filepath.Join(folder, "agent.kubeconfig"), server, "cilium-agent", mastersGroup),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// bringUpNodes starts the nodes that do not run and waits until pods can be
// scheduled on all of them and resolve names.
func bringUpNodes(layout Layout, state *State, deadline time.Time) error {
	client, err := typedClient(layout)
	if err != nil {
		return err
	}
	if err := registerNodes(client, state); err != nil {
		return err
	}
	var started []*Node
	began := time.Now()
	for _, n := range state.Nodes {
		if n.alive() {
			continue
		}
		if err := prepareNode(layout, n); err != nil {
			return err
		}
		if err := launch(layout, state, &n.Process); err != nil {
			return err
		}
		started = append(started, n)
	}
	if err := loadOwnImages(layout, state, started, deadline); err != nil {
		return err
	}
	if err := applyAddons(layout); err != nil {
		return err
	}
	return waitForNodes(layout, state, readiness{client: client, state: state, started: started, began: began}, deadline)
}

// prepareNode gives a node a /run as empty as after a boot, and no control
// groups of the time before: kubelet would search them for containers.
func prepareNode(layout Layout, n *Node) error {
	config := &n.Config
	if err := node.RemoveCgroups(n.Cgroup); err != nil {
		return err
	}
	if err := os.RemoveAll(config.Run); err != nil {
		return err
	}
	for _, folder := range []string{config.Run, config.Disk, config.Logs, config.Compiled, config.Run + "-root"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if err := os.CopyFS(config.Credentials(), os.DirFS(layout.nodePKI(n.Name))); err != nil {
		return err
	}
	return config.Save(nodeConfigFile(config))
}

// removeNodes removes what the kernel does not remove together with a node's
// processes.
func (s *State) removeNodes(layout Layout) error {
	if len(s.Nodes) == 0 {
		return nil
	}
	if err := node.RemoveCgroups(filepath.Base(s.DataDir)); err != nil {
		return err
	}
	leftovers, err := filepath.Glob(layout.path(".trial-*"))
	if err != nil {
		return err
	}
	for _, folder := range append(leftovers, layout.path("nodes")) {
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	return nil
}

// RestartPart restarts one program of a node.
func RestartPart(layout Layout, name, part string, order node.RestartOrder) error {
	n, err := findNode(layout, name)
	if err != nil {
		return err
	}
	return node.Restart(n.ControlSocket, part, order)
}

// Denied is how many packets the network plugin of all nodes has dropped because of
// a policy.
func Denied(layout Layout) (uint64, error) {
	state, err := loadWithNodes(layout)
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, n := range state.Nodes {
		count, err := node.Denied(n.ControlSocket)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", n.Name, err)
		}
		sum += count
	}
	return sum, nil
}

func findNode(layout Layout, name string) (*Node, error) {
	state, err := loadWithNodes(layout)
	if err != nil {
		return nil, err
	}
	n := state.node(name)
	if n == nil {
		return nil, fmt.Errorf("this cluster has no node %q", name)
	}
	if !n.alive() {
		return nil, fmt.Errorf("%s does not run", name)
	}
	return n, nil
}

func loadWithNodes(layout Layout) (*State, error) {
	state, err := layout.load()
	if err != nil {
		return nil, err
	}
	if state == nil {
		return nil, fmt.Errorf("there is no cluster in %s", layout.Dir())
	}
	if len(state.Nodes) == 0 {
		return nil, fmt.Errorf("the cluster in %s has no nodes: start one with `up --nodes`", layout.Dir())
	}
	return state, nil
}

// LoadImage makes an image of a static binary and gives it to all nodes.
func LoadImage(layout Layout, image images.Image) error {
	state, err := loadWithNodes(layout)
	if err != nil {
		return err
	}
	return loadImage(state, state.Nodes, image)
}
