package main

import "slices"

// bar is a ratio of two contenders that is asked for.
type bar struct {
	workload, ours, theirs string
	want                   float64
}

var bars = []bar{
	{"W1", "pupwasm TinyGo n=1000", "native n=1000", 0.95},
	{"W1", "pupwasm TinyGo n=1000", "one SQL statement n=1000", 1.25},
	{"W1", "pupwasm TinyGo n=1000", "handler, tuned", 10},
	{"W1", "pupwasm TinyGo n=1000", "handler, defaults", 200},
	{"W1", "pupwasm TinyGo, window", "native n=1000", 2}, // commits that grow while a projection is far behind
	{"W1", "pupwasm TinyGo, window", "bare read", 0.5},
	{"W2", "pupwasm TinyGo n=1000", "native n=1000", 0.95},
	{"W3", "pupwasm TinyGo n=1000", "native n=1000", 0.95},
	{"W1", "pupwasm Go n=1000", "pupwasm TinyGo n=1000", 0.85},
	{"W1", "pupwasm TinyGo n=1000, 4 segments", "native n=1000, 4 segments", 0.85},
}

// judged tells whether a bar is about the contender. The short form runs the others once.
func judged(workload, contender string) bool {
	return slices.ContainsFunc(bars, func(b bar) bool {
		return b.workload == workload && (b.ours == contender || b.theirs == contender)
	})
}
