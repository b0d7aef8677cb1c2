package node

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Where things are inside a node.
const (
	bundleInside = "/opt/devcluster"
	logsInside   = "/var/log/devcluster"
	bpfFS        = "/sys/fs/bpf"
	agentLibrary = "/var/lib/cilium"
)

// detachMounts makes what is mounted from here on nobody else's business, and
// shows the calling process the processes of its own namespace.
func detachMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("detaching from the machine's mounts: %w", err)
	}
	return mountAt("/proc", "proc", "proc", "")
}

// buildRoot makes the root file system of the node and moves the calling
// process into it. Of the machine it shows the system's programs alone, with
// those packages added that the bundle carries; everything that is written
// lands in the cluster's own folders.
func buildRoot(config *Config) error {
	found, err := hierarchies()
	if err != nil {
		return err
	}
	root := config.Run + "-root"
	steps := []func() error{
		func() error { return mountAt(root, "tmpfs", "tmpfs", "mode=755") },
		func() error { return mountPrograms(config, root) },
		func() error { return bindAt(config.Run, filepath.Join(root, "run"), 0) },
		func() error { return bindAt(config.Disk, filepath.Join(root, "var"), 0) },
		func() error { return bindAt(config.Logs, filepath.Join(root, logsInside), 0) },
		func() error { return bindAt(config.Compiled, filepath.Join(root, "var/cache/devcluster"), 0) },
		func() error { return mountAt(filepath.Join(root, "proc"), "proc", "proc", "") },
		func() error { return mountAt(filepath.Join(root, "sys"), "sysfs", "sysfs", "") },
		func() error { return mountCgroups(root, found) },
		func() error { return mountAt(filepath.Join(root, bpfFS), "bpf", "bpf", "mode=700") },
		func() error { return mountAt(filepath.Join(root, "tmp"), "tmpfs", "tmpfs", "mode=1777") },
		func() error { return makeDevices(filepath.Join(root, "dev")) },
		func() error { return changeRoot(root) },
		shieldMachineSettings,
		// Containers may ask for mounts that both sides see.
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") },
		func() error { return os.Symlink("/run", "/var/run") },
	}
	for _, step := range steps {
		if err := step(); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}

// mountPrograms stacks the bundle's packages on the machine's /usr.
func mountPrograms(config *Config, root string) error {
	layers := filepath.Join(config.Bundle, "packages/usr") + ":/usr"
	if err := mountAt(filepath.Join(root, "usr"), "overlay", "overlay", "lowerdir="+layers); err != nil {
		return err
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64"} {
		if err := copyTopLevel("/"+name, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return bindAt(config.Bundle, filepath.Join(root, bundleInside), unix.MS_RDONLY)
}

// copyTopLevel repeats /bin and the like: links on most systems, else folders.
func copyTopLevel(from, to string) error {
	if target, err := os.Readlink(from); err == nil {
		return os.Symlink(target, to)
	}
	if _, err := os.Stat(from); err != nil {
		return nil
	}
	return bindAt(from, to, unix.MS_RDONLY)
}

func makeDevices(folder string) error {
	if err := mountAt(folder, "tmpfs", "tmpfs", "mode=755"); err != nil {
		return err
	}
	devices := []struct {
		name         string
		major, minor uint32
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"kmsg", 1, 11}, {"tty", 5, 0}}
	oldMask := unix.Umask(0)
	defer unix.Umask(oldMask)
	for _, device := range devices {
		number := int(unix.Mkdev(device.major, device.minor))
		if err := unix.Mknod(filepath.Join(folder, device.name), unix.S_IFCHR|0o666, number); err != nil {
			return fmt.Errorf("making the device %s: %w", device.name, err)
		}
	}
	if err := mountAt(filepath.Join(folder, "pts"), "devpts", "devpts", "newinstance,ptmxmode=0666,mode=0620"); err != nil {
		return err
	}
	if err := mountAt(filepath.Join(folder, "shm"), "tmpfs", "tmpfs", "mode=1777"); err != nil {
		return err
	}
	for link, target := range map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, filepath.Join(folder, link)); err != nil {
			return err
		}
	}
	return nil
}

func changeRoot(root string) error {
	old := filepath.Join(root, ".old")
	if err := os.MkdirAll(old, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, old); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.old", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the machine's files: %w", err)
	}
	return os.Remove("/.old")
}

// machineSettings are switches of the whole machine that kubelet and the agent
// set for themselves, as if it were theirs alone.
var machineSettings = []string{
	"kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	"kernel/unprivileged_bpf_disabled", "kernel/timer_migration",
	"vm/overcommit_memory", "vm/panic_on_oom", "net/core/bpf_jit_enable",
}

// shieldMachineSettings covers each with a plain file, which anybody on the node
// may write without effect elsewhere.
func shieldMachineSettings() error {
	for _, name := range machineSettings {
		setting := filepath.Join("/proc/sys", name)
		value, err := os.ReadFile(setting)
		if err != nil {
			continue
		}
		cover := filepath.Join("/tmp/.settings", name)
		if err := os.MkdirAll(filepath.Dir(cover), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(cover, value, 0o644); err != nil {
			return err
		}
		if err := unix.Mount(cover, setting, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("covering %s: %w", setting, err)
		}
	}
	return nil
}

func mountAt(target, source, kind, options string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, kind, 0, options); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", kind, target, err)
	}
	return nil
}

func bindAt(source, target string, flags uintptr) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", source, target, err)
	}
	if flags == 0 {
		return nil
	}
	if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
		return fmt.Errorf("protecting %s: %w", target, err)
	}
	return nil
}
