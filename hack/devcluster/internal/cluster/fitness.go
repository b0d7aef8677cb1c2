package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"bulkhead.dev/devcluster/internal/node"
)

// UnfitError says why this machine cannot have nodes. It is not a fault of the
// cluster, and tests turn it into a skip.
type UnfitError struct{ Reason string }

func (e *UnfitError) Error() string { return "unfit: " + e.Reason }

// checkFitness tries everything that a node will need, in namespaces that end
// with the trial, and reports how images can be stacked here.
func checkFitness(layout Layout, bundle string) (snapshotter string, err error) {
	if bundle == "" {
		return "", errors.New("nodes need the programs that hack/devcluster/up builds: use that script")
	}
	if os.Geteuid() != 0 {
		return "", &UnfitError{"only root can make namespaces, control groups and BPF programs"}
	}
	if missing := missingCapabilities(); len(missing) > 0 {
		return "", &UnfitError{"root lacks " + strings.Join(missing, ", ")}
	}
	if err := node.CheckCgroups(); err != nil {
		return "", &UnfitError{err.Error()}
	}
	executable, err := os.Executable()
	if err != nil {
		return "", err
	}
	var out, complaint bytes.Buffer
	trial := exec.Command(executable, node.TrialCommand, bundle, layout.Dir())
	trial.Stdout, trial.Stderr = &out, &complaint
	trial.SysProcAttr = &syscall.SysProcAttr{Cloneflags: node.Namespaces}
	if err := trial.Run(); err != nil {
		return "", &UnfitError{strings.TrimSpace(complaint.String() + " (" + err.Error() + ")")}
	}
	return strings.TrimSpace(out.String()), nil
}

// needed maps bits of capabilities(7) to what nodes use them for.
var needed = []struct {
	bit  uint
	name string
}{
	{0, "CAP_CHOWN"}, {1, "CAP_DAC_OVERRIDE"}, {3, "CAP_FOWNER"}, {5, "CAP_KILL"}, {6, "CAP_SETGID"}, {7, "CAP_SETUID"},
	{8, "CAP_SETPCAP"}, {10, "CAP_NET_BIND_SERVICE"}, {12, "CAP_NET_ADMIN"}, {13, "CAP_NET_RAW"}, {18, "CAP_SYS_CHROOT"},
	{19, "CAP_SYS_PTRACE"}, {21, "CAP_SYS_ADMIN"}, {27, "CAP_MKNOD"},
}

func missingCapabilities() []string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return []string{"a readable /proc/self/status"}
	}
	var effective uint64
	for _, line := range strings.Split(string(status), "\n") {
		if value, found := strings.CutPrefix(line, "CapEff:"); found {
			_, _ = fmt.Sscanf(strings.TrimSpace(value), "%x", &effective)
		}
	}
	var missing []string
	for _, capability := range needed {
		if effective&(1<<capability.bit) == 0 {
			missing = append(missing, capability.name)
		}
	}
	return missing
}

// runtimesProblem is nil once every container runtime listens.
func runtimesProblem(nodes []*Node) error {
	for _, n := range nodes {
		connection, err := net.DialTimeout("unix", n.ContainerdSocket, time.Second)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		connection.Close()
	}
	return nil
}
