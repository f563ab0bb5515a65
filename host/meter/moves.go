package meter

import "sort"

// Where branches meet, each of them moves the value of a variable to the place that the engine has for the
// variable from then on. So every variable that is assigned within a loop may cost a move at its head, and
// one that is assigned within a block at its end, whether the code that assigns it ever runs or not; and so
// do the values that a branch carries.

// quarters is fuel in quarters of a unit, which a move takes.
type quarters int64

// unit is one unit of fuel.
const unit quarters = 4

// quartersJoin is what it takes where branches meet, besides what is moved.
const quartersJoin = 1

// units is the fuel in whole units.
func (q quarters) units() int64 { return int64((q + unit - 1) / unit) }

// assignments counts the variables that are assigned within the blocks that are open.
type assignments struct {
	now    int
	last   []int // when each variable was assigned last; 0 is never
	blocks []assignedBlock
}

type assignedBlock struct {
	opened int
	count  int // variables, without those of inner blocks that are still open
}

// begin resets the counts, for a function with a number of variables.
func (a *assignments) begin(variables int) {
	if cap(a.last) < variables {
		a.last = make([]int, variables)
	}
	a.last = a.last[:variables]
	clear(a.last)
	a.now, a.blocks = 0, a.blocks[:0]
}

// open begins a block.
func (a *assignments) open() {
	a.now++
	a.blocks = append(a.blocks, assignedBlock{opened: a.now})
}

// assign notes an assignment, which is new to the blocks that were opened since the last one of the same
// variable: it counts in the innermost, which hands it on, and not any more in the one around the outermost
// of them.
func (a *assignments) assign(variable uint32) {
	before := a.last[variable]
	a.now++
	a.last[variable] = a.now
	first := sort.Search(len(a.blocks), func(i int) bool { return a.blocks[i].opened > before })
	if first == len(a.blocks) {
		return
	}
	a.blocks[len(a.blocks)-1].count++
	if first > 0 {
		a.blocks[first-1].count--
	}
}

// close ends a block, and returns how many variables were assigned within.
func (a *assignments) close() quarters {
	last := len(a.blocks) - 1
	count := a.blocks[last].count
	a.blocks = a.blocks[:last]
	if last > 0 {
		a.blocks[last-1].count += count
	}
	return quarters(count)
}
