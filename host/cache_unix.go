//go:build unix

package host

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// ownedByUs tells whether a file belongs to the user that the process runs as, or to root, who needs no file
// to run code.
func ownedByUs(info fs.FileInfo) bool {
	stat, known := info.Sys().(*syscall.Stat_t)
	return !known || stat.Uid == 0 || int(stat.Uid) == os.Geteuid()
}

// hasEnded tells whether there is no process of a number.
func hasEnded(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
