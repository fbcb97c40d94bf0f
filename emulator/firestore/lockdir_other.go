//go:build !unix

package firestore

import "os"

// lockDir only makes the file: without flock, running two servers on one directory is up to the user.
func lockDir(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }
