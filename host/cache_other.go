//go:build !unix

package host

import "io/fs"

// ownedByUs has nothing to look at: a user's own folders are guarded by the system's access lists.
func ownedByUs(fs.FileInfo) bool { return true }

// hasEnded cannot be told: what is left stays.
func hasEnded(int) bool { return false }
