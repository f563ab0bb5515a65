//go:build unix

package build

import (
	"os/exec"
	"syscall"
)

// ownGroup starts a compiler in a process group of its own, and has it killed with all of its group.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
