package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// OwnGroups is how the control groups of every cluster begin.
const OwnGroups = "bulkhead-devcluster-"

// hierarchy is one mounted tree of control groups.
type hierarchy struct {
	mountpoint string
	kind       string // cgroup or cgroup2
	options    string // controllers or name, for a v1 hierarchy
}

// hierarchies lists the cgroup mounts of the machine.
func hierarchies() ([]hierarchy, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []hierarchy
	for _, line := range strings.Split(string(data), "\n") {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 || !strings.HasPrefix(left[4], cgroupRoot) {
			continue
		}
		switch right[0] {
		case "cgroup":
			found = append(found, hierarchy{left[4], right[0], strings.TrimPrefix(strings.TrimPrefix(right[2], "rw"), ",")})
		case "cgroup2":
			found = append(found, hierarchy{left[4], right[0], ""})
		}
	}
	return found, nil
}

// CheckCgroups says what is wrong with the machine's control groups, if anything.
func CheckCgroups() error {
	found, err := hierarchies()
	if err != nil {
		return err
	}
	controllers, unified := map[string]bool{}, false
	for _, h := range found {
		unified = unified || h.kind == "cgroup2"
		if h.kind == "cgroup2" && h.mountpoint == cgroupRoot {
			return errors.New("control groups are version 2 only; so far the nodes need the hybrid layout (version 1 with version 2 at " + cgroupRoot + "/unified)")
		}
		for _, name := range strings.Split(h.options, ",") {
			controllers[name] = true
		}
	}
	if !unified {
		return errors.New("no cgroup2 is mounted below " + cgroupRoot + ": the network agent attaches its programs to one")
	}
	for _, name := range []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "pids"} {
		if !controllers[name] {
			return fmt.Errorf("the cgroup controller %s is not mounted below %s", name, cgroupRoot)
		}
	}
	return nil
}

// enterCgroups makes the node's group in every hierarchy and moves the calling
// process there.
func enterCgroups(group string) error {
	found, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range found {
		folder := filepath.Join(h.mountpoint, group)
		if err := makeGroup(h, folder); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return fmt.Errorf("entering the control group %s: %w", folder, err)
		}
	}
	return nil
}

// makeGroup also fills in the two files without which a cpuset takes nobody.
func makeGroup(h hierarchy, folder string) error {
	relative, err := filepath.Rel(h.mountpoint, folder)
	if err != nil {
		return err
	}
	current := h.mountpoint
	for _, part := range strings.Split(relative, string(filepath.Separator)) {
		parent := current
		current = filepath.Join(current, part)
		if err := os.Mkdir(current, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("making the control group %s: %w", current, err)
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(parent, file))
			if err != nil || h.kind != "cgroup" {
				continue
			}
			if err := os.WriteFile(filepath.Join(current, file), value, 0o644); err != nil {
				return fmt.Errorf("preparing the control group %s: %w", current, err)
			}
		}
	}
	return nil
}

// mountCgroups shows the node its own groups as if they were all there is. The
// caller is in a cgroup namespace of its own already.
func mountCgroups(root string, found []hierarchy) error {
	if err := mountAt(filepath.Join(root, cgroupRoot), "tmpfs", "tmpfs", "mode=755"); err != nil {
		return err
	}
	for _, h := range found {
		if err := mountAt(filepath.Join(root, h.mountpoint), "cgroup", h.kind, h.options); err != nil {
			return err
		}
		for _, name := range strings.Split(h.options, ",") {
			alias := filepath.Join(cgroupRoot, name)
			if name == "" || strings.Contains(name, "=") || alias == h.mountpoint {
				continue
			}
			if err := os.Symlink(h.mountpoint, filepath.Join(root, alias)); err != nil {
				return err
			}
		}
	}
	return nil
}

// RemoveCgroups removes a group with all below it, in every hierarchy. Whoever
// is still in it belongs to a node that nobody recorded, because `up` was killed
// just then, and ends too. The kernel may need a moment to see it.
func RemoveCgroups(group string) error {
	if !ownGroup(group) {
		return fmt.Errorf("refusing to remove the control group %q: it was not made by `up`", group)
	}
	found, err := hierarchies()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, h := range found {
		for {
			if err := killGroup(filepath.Join(h.mountpoint, group)); err != nil {
				return err
			}
			err := removeTree(filepath.Join(h.mountpoint, group))
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("removing a control group: %w", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// ownGroup tells a group of a cluster from everybody else's.
func ownGroup(group string) bool {
	return strings.HasPrefix(group, OwnGroups) && group == filepath.Clean(group)
}

// killGroup ends every process of a group and of those below it.
func killGroup(folder string) error {
	return filepath.WalkDir(folder, func(file string, entry os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || entry.Name() != "cgroup.procs" {
			return err
		}
		members, err := os.ReadFile(file)
		if err != nil {
			return nil // the group went in the meantime
		}
		for _, member := range strings.Fields(string(members)) {
			pid, err := strconv.Atoi(member)
			if err != nil || pid <= 1 {
				continue
			}
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("ending process %d of %s: %w", pid, folder, err)
			}
		}
		return nil
	})
}

// removeTree works from the leaves: the files of a group cannot be removed,
// and need not.
func removeTree(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if err := removeTree(filepath.Join(folder, entry.Name())); err != nil {
			return err
		}
	}
	if err := unix.Rmdir(folder); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%s: %w", folder, err)
	}
	return nil
}
