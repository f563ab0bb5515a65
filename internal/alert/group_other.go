//go:build !unix

package alert

import "os/exec"

// ownGroup does nothing where there are no process groups: the program alone is killed.
func ownGroup(*exec.Cmd) {}

// killGroup does nothing.
func killGroup(*exec.Cmd) {}
