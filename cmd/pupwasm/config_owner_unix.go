//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// ofOthers says how somebody else decides what a file has, or nothing: it belongs to another user than this one and
// root, or every user may change it.
func ofOthers(info fs.FileInfo) string {
	stat, known := info.Sys().(*syscall.Stat_t)
	switch {
	case known && stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return "belongs to another user"
	case info.Mode()&0o002 != 0 && info.Mode()&fs.ModeSymlink == 0: // the mode of a link means nothing
		return "can be changed by every user"
	}
	return ""
}

// readableByAll reports that every user of the machine can read a file.
func readableByAll(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o004 != 0
}
