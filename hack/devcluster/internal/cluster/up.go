package cluster

import (
	"errors"
	"fmt"
	"os"
	"time"

	"bulkhead.dev/devcluster/internal/node"
)

// Options say how a new cluster is made.
type Options struct {
	// Wait limits the time until /readyz is ok.
	Wait time.Duration
	// Audit turns on a metadata-level audit log.
	Audit bool
	// DataRoot is where the folder for the etcd data is made; memory-backed by default.
	DataRoot string
	// Nodes is how many real nodes there are, 0 for pods that exist on paper.
	Nodes int
	// Bundle holds the programs that nodes need.
	Bundle string

	// snapshotter is the best one that works on the disk of the cluster.
	snapshotter string
}

// portAttempts bounds how often ports are drawn again after losing a race.
const portAttempts = 5

// Up starts the cluster, or what is missing of it, and waits until it is ready.
// It reports whether everything was running already.
func Up(layout Layout, options Options) (already bool, err error) {
	if err := os.MkdirAll(layout.path("logs"), 0o700); err != nil {
		return false, err
	}
	keepFilesPrivate()
	err = withLock(layout, func() error {
		state, err := layout.load()
		if err != nil {
			return err
		}
		if state != nil {
			already, err = resume(layout, state, options)
			return err
		}
		return create(layout, options)
	})
	return already, err
}

// resume starts what has died since, with its old arguments and data.
func resume(layout Layout, state *State, options Options) (bool, error) {
	if state.Audit != options.Audit {
		return false, fmt.Errorf("the cluster in %s runs with audit=%t: end it first", layout.Dir(), state.Audit)
	}
	if len(state.Nodes) != options.Nodes {
		return false, fmt.Errorf("the cluster in %s runs with --nodes %d: end it first", layout.Dir(), len(state.Nodes))
	}
	if _, err := os.Stat(state.DataDir); err != nil {
		return false, fmt.Errorf("the data of the cluster in %s is gone, end it with `down` first: %w", layout.Dir(), err)
	}
	already := allAlive(layout, state.everything()) == nil
	if err := state.endWithoutNetwork(); err != nil {
		return false, err
	}
	return already, bringUp(layout, state, options.Wait)
}

func create(layout Layout, options Options) (err error) {
	if options.Nodes > 0 {
		if options.snapshotter, err = checkFitness(layout, options.Bundle); err != nil {
			return err
		}
	}
	for range portAttempts {
		err = tryCreate(layout, options)
		if err == nil {
			return nil
		}
		// A cluster that never became ready is of no use to anybody; its logs stay.
		if cleanup := remove(layout); cleanup != nil {
			return errors.Join(err, cleanup)
		}
		if !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

func tryCreate(layout Layout, options Options) error {
	state, err := prepare(layout, options)
	if err != nil {
		return err
	}
	return bringUp(layout, state, options.Wait)
}

// bringUp starts what does not run.
func bringUp(layout Layout, state *State, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	if err := bringUpControlPlane(layout, state, deadline); err != nil {
		return err
	}
	if len(state.Nodes) == 0 {
		return nil
	}
	return bringUpNodes(layout, state, deadline)
}

// bringUpControlPlane leaves nodes alone. The clients of kube-apiserver give up
// when it is not there soon, so they come after it.
func bringUpControlPlane(layout Layout, state *State, deadline time.Time) error {
	servers, clients := state.split()
	if err := startAll(layout, state, servers); err != nil {
		return err
	}
	if err := waitFor(layout, state, servers, "/readyz", deadline); err != nil {
		return err
	}
	if err := startAll(layout, state, clients); err != nil {
		return err
	}
	// Pods cannot be created in a namespace before its default account exists.
	return waitFor(layout, state, state.Processes, "/api/v1/namespaces/default/serviceaccounts/default", deadline)
}

// prepare writes every file that the processes read.
func prepare(layout Layout, options Options) (*State, error) {
	for _, folder := range []string{"logs", "pki"} {
		if err := os.RemoveAll(layout.path(folder)); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(layout.path(folder), 0o700); err != nil {
			return nil, err
		}
	}
	ports, err := drawPorts()
	if err != nil {
		return nil, err
	}
	dataDir, err := os.MkdirTemp(options.DataRoot, node.OwnGroups)
	if err != nil {
		return nil, fmt.Errorf("making the data folder (choose another place with --data-root): %w", err)
	}
	state := &State{
		EtcdURL:      ports.etcdURL(),
		APIServerURL: ports.apiServerURL(),
		DataDir:      dataDir,
		Audit:        options.Audit,
		Bundle:       options.Bundle,
		Nodes:        planNodes(layout, dataDir, options),
	}
	inside := ports
	if len(state.Nodes) > 0 {
		inside = insidePorts
	}
	state.Processes = controlPlane(layout, state, inside)
	if err := layout.save(state); err != nil {
		return nil, err
	}
	if err := writeCredentials(layout, state); err != nil {
		return nil, err
	}
	environment := fmt.Sprintf("ETCD_ENDPOINT=%s\nETCD_PREFIX=/registry\n", state.EtcdURL)
	if err := os.WriteFile(layout.EtcdEnv(), []byte(environment), 0o600); err != nil {
		return nil, err
	}
	return state, os.WriteFile(layout.auditPolicy(), []byte(auditPolicy), 0o600)
}

// startAll starts those that do not run. Each id is recorded at once, so that a
// crash in between leaves nothing that `down` would not find.
func startAll(layout Layout, state *State, processes []*Process) error {
	for _, p := range processes {
		if p.alive() {
			continue
		}
		if err := launch(layout, state, p); err != nil {
			return err
		}
	}
	return nil
}

func launch(layout Layout, state *State, p *Process) error {
	around, err := state.surroundings(p)
	if err != nil {
		return err
	}
	err = p.start(layout, around)
	for _, file := range around.files {
		file.Close()
	}
	if err != nil {
		return err
	}
	if err := layout.save(state); err != nil {
		return err
	}
	return state.settle(p)
}
