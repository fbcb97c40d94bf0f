package google

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel end the process when its parent ends.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
