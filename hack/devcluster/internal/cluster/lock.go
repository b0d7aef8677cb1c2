package cluster

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// withLock runs the action while no other command works on the same cluster.
// The kernel drops the lock with the process, so a crash leaves none behind.
func withLock(layout Layout, action func() error) error {
	file, err := os.OpenFile(layout.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", layout.lockFile(), err)
	}
	return action()
}
