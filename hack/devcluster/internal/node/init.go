package node

import (
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"bulkhead.dev/devcluster/internal/fabric"
)

// stage tells the second life of the init process from its first.
const stage = "DEVCLUSTER_NODE_STAGE"

// networkFile is where the parent left the cluster's network namespace open.
const networkFile = 3

// Namespaces are what the init process is born into. Its control groups follow
// in its first life, because they are rooted where the process is at the time.
const Namespaces = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

// Init is the first process of a node. It returns only when it failed.
func Init(file string) error {
	if os.Getpid() != 1 {
		return fmt.Errorf("a node is started by `up`, not by hand")
	}
	config, err := Load(file)
	if err != nil {
		return err
	}
	if os.Getenv(stage) == "" {
		return enterGroups(config)
	}
	if err := os.Unsetenv(stage); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(config.Name)); err != nil {
		return err
	}
	for _, step := range []func(*Config) error{
		func(*Config) error { return detachMounts() }, joinNetwork, buildRoot, writeSettings,
	} {
		if err := step(config); err != nil {
			return err
		}
	}
	return supervise(config, parts(config))
}

// enterGroups ends in the same program, started anew: only so does the whole
// process, and not just one of its threads, get the new namespace.
func enterGroups(config *Config) error {
	if err := enterCgroups(config.Cgroup); err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("making a cgroup namespace: %w", err)
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(executable, os.Args, append(os.Environ(), stage+"=2"))
}

func joinNetwork(config *Config) error {
	space := netns.NsHandle(networkFile)
	defer space.Close()
	return fabric.Join(config.Node, space)
}
