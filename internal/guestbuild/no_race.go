//go:build !race

package guestbuild

// RaceDetector says that it is on.
const RaceDetector = false
