//go:build !linux

package google

import "os/exec"

// endWithParent does nothing: only Linux tells a child of its parent's end.
func endWithParent(*exec.Cmd) {}
