package cluster

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead.dev/devcluster/internal/fabric"
	"bulkhead.dev/devcluster/internal/node"
)

// The processes that are a cluster's own network.
const (
	networkName = "network"
	forwardName = "forward"
)

// networkReady is how long the bridge may take.
const networkReady = 10 * time.Second

// networkProcesses keep the namespace of the control plane, and carry what
// arrives at the machine's loopback into it.
func networkProcesses(state *State) []*Process {
	return []*Process{
		{Name: networkName, Program: "network", Args: []string{fmt.Sprintf("--nodes=%d", len(state.Nodes))}},
		{Name: forwardName, Program: "forward", Args: []string{
			strings.TrimPrefix(insidePorts.apiServerURL(), "https://"),
			strings.TrimPrefix(insidePorts.etcdURL(), "http://"),
		}},
	}
}

// everything lists processes and nodes in starting order.
func (s *State) everything() []*Process {
	all := append([]*Process{}, s.Processes...)
	for _, node := range s.Nodes {
		all = append(all, &node.Process)
	}
	return all
}

// surroundings puts each process where it belongs.
func (s *State) surroundings(p *Process) (surroundings, error) {
	if len(s.Nodes) == 0 {
		return surroundings{}, nil
	}
	if p.Name == networkName {
		return surroundings{namespaces: unix.CLONE_NEWNET}, nil
	}
	holder, err := s.process(networkName)
	if err != nil {
		return surroundings{}, err
	}
	if !holder.alive() {
		return surroundings{}, fmt.Errorf("the network of the cluster is gone: `up` starts it again")
	}
	switch {
	case p.Name == forwardName:
		files, err := s.listeners()
		return surroundings{network: holder.PID, files: files}, err
	case s.node(p.Name) != nil:
		space, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", holder.PID))
		return surroundings{namespaces: node.Namespaces, files: []*os.File{space}}, err
	default:
		return surroundings{network: holder.PID}, nil
	}
}

// listeners opens the ports on the machine's loopback, in the order of the
// forwarder's arguments.
func (s *State) listeners() ([]*os.File, error) {
	var files []*os.File
	for _, address := range []string{s.APIServerURL, s.EtcdURL} {
		_, hostPort, _ := strings.Cut(address, "://")
		listener, err := net.Listen("tcp", hostPort)
		if err != nil {
			return nil, fmt.Errorf("listening for the cluster: %w: %w", err, errPortTaken)
		}
		file, err := listener.(*net.TCPListener).File()
		listener.Close()
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// settle waits for what the next process cannot do without.
func (s *State) settle(p *Process) error {
	if p.Name != networkName {
		return nil
	}
	for deadline := time.Now().Add(networkReady); !fabric.Ready(p.PID); {
		if time.Now().After(deadline) || !p.alive() {
			return fmt.Errorf("the network of the cluster did not come up; see its log")
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// endWithoutNetwork ends everything when the holder of the network is dead: what
// still runs has lost its links, or keeps a network that nobody can join.
func (s *State) endWithoutNetwork() error {
	if len(s.Nodes) == 0 {
		return nil
	}
	holder, err := s.process(networkName)
	if err != nil || holder.alive() {
		return err
	}
	everything := s.everything()
	for i := len(everything) - 1; i >= 0; i-- {
		if err := everything[i].stop(0); err != nil {
			return err
		}
	}
	return nil
}
