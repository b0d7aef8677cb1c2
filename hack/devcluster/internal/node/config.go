// Package node is what makes a process tree a node: namespaces and a root file
// system of its own, and an init process that keeps container runtime, kubelet
// and network agent running. The init process is the first of its process
// namespace: when it ends, in whatever way, the kernel ends the whole node and
// takes its mounts, its network and its BPF programs with it.
package node

import (
	"encoding/json"
	"os"
	"path/filepath"

	"bulkhead.dev/devcluster/internal/fabric"
)

// Config is all that a node is told, in a file.
type Config struct {
	fabric.Node
	// Bundle holds the programs, read-only.
	Bundle string `json:"bundle"`
	// Compiled keeps BPF programs for all clusters of this checkout.
	Compiled string `json:"compiled"`
	// Disk becomes /var, Run becomes /run, Logs takes the output of the parts.
	Disk string `json:"disk"`
	Run  string `json:"run"`
	Logs string `json:"logs"`
	// Cgroup is the node's own group in every hierarchy of the machine.
	Cgroup string `json:"cgroup"`
	// Snapshotter is how containerd stacks image layers.
	Snapshotter string `json:"snapshotter"`
	ClusterDNS  string `json:"clusterDNS"`
	// SandboxImage is the image behind every pod.
	SandboxImage string `json:"sandboxImage"`
}

// credentials are the files that the cluster puts into Run/kubernetes first.
const credentials = "kubernetes"

// Credentials is the folder for the files that the node authenticates with:
// ca.crt, kubelet.crt, kubelet.key, kubelet.kubeconfig, agent.kubeconfig.
func (c *Config) Credentials() string { return filepath.Join(c.Run, credentials) }

// Sockets as seen from the machine.
func (c *Config) HubbleSocket() string     { return filepath.Join(c.Run, "cilium/hubble.sock") }
func (c *Config) ContainerdSocket() string { return filepath.Join(c.Run, "containerd/containerd.sock") }
func (c *Config) ControlSocket() string    { return filepath.Join(c.Run, controlSocket) }

// Load reads the file that Save wrote.
func Load(file string) (*Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config := &Config{}
	return config, json.Unmarshal(data, config)
}

// Save writes the configuration for the node's init process.
func (c *Config) Save(file string) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}
