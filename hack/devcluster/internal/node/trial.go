package node

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TrialCommand is the sub-command that Trial is.
const TrialCommand = "node-trial"

// Trial does, in namespaces of its own that end with it, what a node will do,
// and returns the first thing that does not work here. It finds out which
// snapshotter works for images below the folder.
func Trial(bundle, folder string) (snapshotter string, err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("mounts cannot be made private: %w", err)
	}
	scratch, err := os.MkdirTemp(folder, ".trial-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	for _, step := range []func() error{
		func() error { return tryMount(scratch, "bpf", "mode=700") },
		func() error { return tryMount(scratch, "proc", "") },
		func() error { return tryMount(scratch, "sysfs", "") },
		func() error {
			return tryMount(scratch, "overlay", "lowerdir="+filepath.Join(bundle, "packages/usr")+":/usr")
		},
		tryNetwork,
		tryBPF,
		tryCgroupNamespace,
	} {
		if err := step(); err != nil {
			return "", err
		}
	}
	if tryOverlay(scratch) != nil {
		return "native", nil
	}
	return "overlayfs", nil
}

func tryMount(scratch, kind, options string) error {
	target := filepath.Join(scratch, kind)
	if err := mountAt(target, kind, kind, options); err != nil {
		return err
	}
	return unix.Unmount(target, unix.MNT_DETACH)
}

func tryNetwork() error {
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "trial"}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("the kernel makes no bridge: %w", err)
	}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "here"}, PeerName: "there"}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("the kernel makes no veth pair: %w", err)
	}
	entry := netlink.QdiscAttrs{LinkIndex: pair.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}
	if err := netlink.QdiscAdd(&netlink.GenericQdisc{QdiscAttrs: entry, QdiscType: "clsact"}); err != nil {
		return fmt.Errorf("the kernel has no clsact hook for BPF programs: %w", err)
	}
	return nil
}

// tryBPF makes one small map.
func tryBPF() error {
	attributes := struct{ kind, keySize, valueSize, entries, flags uint32 }{2, 4, 4, 1, 0} // BPF_MAP_TYPE_ARRAY
	descriptor, _, problem := unix.Syscall(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes))
	if problem != 0 {
		return fmt.Errorf("the kernel makes no BPF map: %w", problem)
	}
	return unix.Close(int(descriptor))
}

func tryCgroupNamespace() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("the kernel makes no cgroup namespace: %w", err)
	}
	return nil
}

// tryOverlay stacks two folders where images will lie.
func tryOverlay(scratch string) error {
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(scratch, name), 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", scratch)
	merged := filepath.Join(scratch, "merged")
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		return err
	}
	defer func() { _ = unix.Unmount(merged, unix.MNT_DETACH) }()
	return os.WriteFile(filepath.Join(merged, "file"), nil, 0o644)
}
