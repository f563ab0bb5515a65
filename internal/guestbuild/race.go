//go:build race

package guestbuild

// RaceDetector says that it is on: programs of tests start slowly, and guests and compilers run much slower.
const RaceDetector = true
