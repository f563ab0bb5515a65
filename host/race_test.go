//go:build race

package host_test

// raceDetector says that it is on: programs take a second to start, and guests run much slower.
const raceDetector = true
