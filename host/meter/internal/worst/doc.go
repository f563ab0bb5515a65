// Package worst searches for the programs whose fuel costs the most time. It makes valid modules from
// building blocks, meters and runs them in the real engine, and keeps those that take the most nanoseconds
// for a unit of fuel.
//
//	program.go  a program: functions of building blocks, as text (JSON)
//	build.go    the module of a program
//	blocks.go   the code of each building block
//	run.go      running a program, metered
//	mutate.go   programs at random, and changes to them
//	corpus.go   the programs that are kept, a file each
//	search/     the tool ('make worst')
//
// What the search finds is a test: corpus/ has the worst programs with the fuel that a round of each must
// take at least, so that a change of the pass does not let one of them run for less. How long they take is
// measured by a benchmark, since a machine may be busy.
package worst
