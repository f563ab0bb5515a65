// Package compiler is, as a test binary without the race detector, the compiler of hosts under test: a test binary with
// the race detector takes many times as long. It must be a test binary, since others know the engine's version.
package compiler
