// Package cluster starts and ends a throw-away Kubernetes control plane whose
// programs are all held by this one binary.
package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Layout names the files of one cluster, all below its directory.
type Layout struct {
	dir string
}

// NewLayout resolves the directory, so that a cluster can be reached from any
// working directory later.
func NewLayout(dir string) (Layout, error) {
	if dir == "" {
		return Layout{}, errors.New("--dir is required: the directory that holds the files of the cluster")
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return Layout{}, fmt.Errorf("resolving %s: %w", dir, err)
	}
	return Layout{dir: absolute}, nil
}

// Dir is the directory of the cluster.
func (l Layout) Dir() string { return l.dir }

// Kubeconfig is the administrator's kubeconfig.
func (l Layout) Kubeconfig() string { return l.path("kubeconfig") }

// EtcdEnv is a shell fragment that names the etcd endpoint.
func (l Layout) EtcdEnv() string { return l.path("etcd.env") }

// AuditLog is where audit events go when they are asked for.
func (l Layout) AuditLog() string { return l.path("audit.log") }

func (l Layout) auditPolicy() string { return l.path("audit-policy.yaml") }
func (l Layout) controllerManagerConfig() string {
	return l.path("pki/kube-controller-manager.kubeconfig")
}
func (l Layout) nodePKI(node string) string  { return l.path("pki/" + node) }
func (l Layout) pki(file string) string      { return l.path("pki/" + file) }
func (l Layout) log(process string) string   { return l.path("logs/" + process + ".log") }
func (l Layout) stateFile() string           { return l.path("cluster.json") }
func (l Layout) lockFile() string            { return l.path(".lock") }
func (l Layout) path(relative string) string { return filepath.Join(l.dir, relative) }

// State is what a later command must know about a running cluster.
type State struct {
	EtcdURL      string `json:"etcdURL"`
	APIServerURL string `json:"apiServerURL"`
	// DataDir holds the etcd data; it is removed with the cluster.
	DataDir string `json:"dataDir"`
	Audit   bool   `json:"audit"`
	// Bundle holds the programs of the nodes, where there are nodes.
	Bundle string `json:"bundle,omitempty"`
	// Processes are listed in the order in which they are started.
	Processes []*Process `json:"processes"`
	// Nodes are started after all processes.
	Nodes []*Node `json:"nodes,omitempty"`
}

// inside gives the ports as the processes of the cluster see them: drawn ones
// on the machine's loopback, or fixed ones in a network of the cluster's own.
func (s *State) inside() portSet {
	if len(s.Nodes) > 0 {
		return insidePorts
	}
	return portSet{etcdClient: portOf(s.EtcdURL), apiServer: portOf(s.APIServerURL)}
}

// process finds a process by name.
func (s *State) process(name string) (*Process, error) {
	for _, p := range s.Processes {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("this cluster has no process %q", name)
}

// split divides the processes into the API server with all that it stands on,
// and those that are its clients.
func (s *State) split() (servers, clients []*Process) {
	for i, p := range s.Processes {
		if p.Name == apiServerName {
			return s.Processes[:i+1], s.Processes[i+1:]
		}
	}
	return s.Processes, nil
}

// load returns nil without an error when there is no cluster.
func (l Layout) load() (*State, error) {
	data, err := os.ReadFile(l.stateFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state := &State{}
	if err := json.Unmarshal(data, state); err != nil {
		return nil, fmt.Errorf("reading %s: %w", l.stateFile(), err)
	}
	return state, nil
}

// save replaces the state file in one step: a crash leaves the old or the new one.
func (l Layout) save(state *State) error {
	data, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	temporary := l.stateFile() + ".new"
	if err := os.WriteFile(temporary, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, l.stateFile())
}
