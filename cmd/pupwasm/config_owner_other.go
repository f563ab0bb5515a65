//go:build !unix

package main

import "io/fs"

// ofOthers has nothing to look at: a user's own folders are guarded by the system's access lists.
func ofOthers(fs.FileInfo) string { return "" }

// readableByAll cannot be told.
func readableByAll(string) bool { return false }
