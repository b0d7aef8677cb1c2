package cluster

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"bulkhead.dev/devcluster/internal/node"
)

// Down ends the processes of the cluster and removes its data, but leaves the
// logs. Without a cluster it does nothing.
func Down(layout Layout) error {
	if _, err := os.Stat(layout.Dir()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return withLock(layout, func() error { return remove(layout) })
}

// remove works last to first, so that nothing logs the loss of what it needs.
// There is no grace: everything that the processes hold is thrown away.
func remove(layout Layout) error {
	state, err := layout.load()
	if err != nil || state == nil {
		return err
	}
	everything := state.everything()
	for i := len(everything) - 1; i >= 0; i-- {
		if err := everything[i].stop(0); err != nil {
			return err
		}
	}
	if err := state.removeNodes(layout); err != nil {
		return err
	}
	if !strings.Contains(state.DataDir, node.OwnGroups) {
		return fmt.Errorf("refusing to remove %q: it was not made by `up`", state.DataDir)
	}
	if err := os.RemoveAll(state.DataDir); err != nil {
		return err
	}
	for _, file := range []string{layout.Kubeconfig(), layout.EtcdEnv(), layout.auditPolicy(), layout.path("pki"), layout.stateFile()} {
		if err := os.RemoveAll(file); err != nil {
			return err
		}
	}
	return nil
}

// shutdownGrace is enough for kube-apiserver to finish what it is answering.
const shutdownGrace = 20 * time.Second

// RestartAPIServer ends kube-apiserver alone, gracefully or by force, and
// starts it again on the same port. How long it stays away is up to the caller.
func RestartAPIServer(layout Layout, force bool, pause, wait time.Duration) error {
	keepFilesPrivate()
	if _, err := os.Stat(layout.Dir()); err != nil {
		return err
	}
	return withLock(layout, func() error {
		state, err := layout.load()
		if err != nil {
			return err
		}
		if state == nil {
			return fmt.Errorf("there is no cluster in %s", layout.Dir())
		}
		server, err := state.process(apiServerName)
		if err != nil {
			return err
		}
		grace := shutdownGrace
		if force {
			grace = 0
		}
		if err := server.stop(grace); err != nil {
			return err
		}
		if err := layout.save(state); err != nil {
			return err
		}
		time.Sleep(pause)
		return bringUpControlPlane(layout, state, time.Now().Add(wait))
	})
}
