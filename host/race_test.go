//go:build race

package host_test

// raceDetector says that it is on: programs take a second to start.
const raceDetector = true
