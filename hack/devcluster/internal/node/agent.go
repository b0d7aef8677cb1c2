package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// AgentCommand is the sub-command that Agent is.
const AgentCommand = "node-agent"

// RunAgent becomes the network agent. It insists on the list of loaded kernel
// modules, which a kernel without module support does not have. There, the
// agent sees a /proc of links to the real one, and an empty list.
func RunAgent(args []string) error {
	if len(args) == 0 {
		return errors.New("the path of the agent is missing")
	}
	if _, err := os.Stat("/proc/modules"); errors.Is(err, os.ErrNotExist) {
		runtime.LockOSThread()
		if err := addModulesFile(); err != nil {
			return fmt.Errorf("preparing /proc for the agent: %w", err)
		}
	}
	return unix.Exec(args[0], args, os.Environ())
}

func addModulesFile() error {
	const real = "/run/.proc"
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	// What is mounted on the node later is seen here too, but not the reverse.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	if err := bindAt("/proc", real, 0); err != nil {
		return err
	}
	if err := mountAt("/proc", "tmpfs", "tmpfs", "mode=755"); err != nil {
		return err
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return err
	}
	own := strconv.Itoa(os.Getpid())
	for _, entry := range entries {
		name := entry.Name()
		if _, err := strconv.Atoi(name); err == nil && name != own && name != "1" {
			continue
		}
		if err := os.Symlink(filepath.Join(real, name), filepath.Join("/proc", name)); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/modules", nil, 0o444)
}
