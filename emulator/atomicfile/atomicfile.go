// Package atomicfile replaces small files at once: who reads one, also after
// the process was killed meanwhile, finds the old content or the new.
package atomicfile

import (
	"errors"
	"os"
)

// Write replaces the file. What a kill left beside it is removed first, because
// its mode would stay.
func Write(path string, data []byte, perm os.FileMode) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}
