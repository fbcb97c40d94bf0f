//go:build unix

package firestore

import (
	"fmt"
	"os"
	"syscall"
)

// lockDir takes the lock file for this process; the kernel gives it back when the process ends, however it ends.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: in use by another process: %w", path, err)
	}
	return f, nil
}
