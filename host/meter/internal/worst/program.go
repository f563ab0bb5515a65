package worst

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Program is a module in building blocks. Its export "run" calls the first function again and again.
type Program struct {
	MemoryMiB int        `json:"memory_mib"`
	Tiny      int        `json:"tiny,omitempty"` // functions that return at once, for [Far]
	Functions []Function `json:"functions"`
	// RoundFuel is what a round takes at least. It is kept in the corpus.
	RoundFuel int64 `json:"round_fuel,omitempty"`
}

// Function is a function, which may call those behind it.
type Function struct {
	Params  int     `json:"params,omitempty"`
	Results int     `json:"results,omitempty"`
	Locals  int     `json:"locals,omitempty"`
	Body    []Block `json:"body"`
}

// Block is a building block. What Count and Size are of depends on Op.
type Block struct {
	Op    Op      `json:"op"`
	Kind  string  `json:"kind,omitempty"`
	Count int     `json:"count,omitempty"`
	Size  int     `json:"size,omitempty"`
	Body  []Block `json:"body,omitempty"`
}

// Op is what a building block does.
type Op string

// The building blocks.
const (
	Loop    Op = "loop"    // runs Body Count times
	Never   Op = "never"   // would run Body if a variable were set, which it never is
	Skip    Op = "skip"    // runs Body in a block that a branch could leave before
	Permute Op = "permute" // moves the values of Count variables in a circle
	Assign  Op = "assign"  // sets Count variables
	Use     Op = "use"     // stores Count variables into memory
	Sum     Op = "sum"     // adds Count variables up
	Carry   Op = "carry"   // leaves a block with Count results, by a branch or not
	Chase   Op = "chase"   // loads Count times what tells the next address, all over memory
	Load    Op = "load"    // loads from Count places all over memory
	Store   Op = "store"   // stores to Count places all over memory
	// does Count operations of a Kind with floating-point numbers, each with what the one before gave
	Float    Op = "float"
	Divide   Op = "divide"   // divides Count times
	Fill     Op = "fill"     // fills Size bytes
	Copy     Op = "copy"     // copies Size bytes to a place where they overlap
	Grow     Op = "grow"     // asks for Size pages
	Switch   Op = "switch"   // branches to one of Count labels
	Global   Op = "global"   // adds to a global variable Count times
	Call     Op = "call"     // calls function number Size, from here on, Count times
	Indirect Op = "indirect" // calls it through the table
	Host     Op = "host"     // calls a function of the host Count times
	Far      Op = "far"      // calls Count tiny functions that lie all over the code
)

// The building blocks that have a body, and those that have none; and the operations of Float.
var (
	nesting = []Op{Loop, Never, Skip}
	plain   = []Op{
		Permute, Assign, Use, Sum, Carry, Chase, Load, Store, Float, Divide, Fill, Copy, Grow, Switch, Global, Call,
		Indirect, Host, Far,
	}
	kinds = []string{"mul", "div", "add", "sqrt", "min", "nearest", "demote", "trunc"}
)

// What a program may have. Most of it is far within what modules may, so that compiling does not take longer
// than running.
const (
	countMax     = 4_000
	resultsMax   = 16
	localsMax    = 1_900
	functionsMax = 6
	depthMax     = 4
	memoryMiB    = 64
	tinyMax      = 20_000
	switchMax    = 1_000
)

// Clone returns a copy that shares nothing.
func (p *Program) Clone() *Program {
	var out Program
	if err := json.Unmarshal(p.Text(), &out); err != nil {
		panic(err)
	}
	return &out
}

// Validate checks that a program can be built.
func (p *Program) Validate() error {
	if p.MemoryMiB < 4 || p.MemoryMiB > memoryMiB || p.Tiny < 0 || p.Tiny > tinyMax {
		return fmt.Errorf("memory of %d MiB and %d tiny functions, must be 4 to %d and up to %d", p.MemoryMiB,
			p.Tiny, memoryMiB, tinyMax)
	}
	if len(p.Functions) == 0 || len(p.Functions) > functionsMax {
		return fmt.Errorf("%d functions, must be 1 to %d", len(p.Functions), functionsMax)
	}
	for i := range p.Functions {
		f := &p.Functions[i]
		if f.Params < 0 || f.Params > 900 || f.Results < 0 || f.Results > resultsMax || f.Locals < 0 ||
			f.Params+f.Locals > localsMax {
			return fmt.Errorf("function %d with %d parameters, %d results and %d variables", i, f.Params, f.Results,
				f.Locals)
		}
		if err := validate(f.Body, 0); err != nil {
			return fmt.Errorf("function %d: %w", i, err)
		}
	}
	return nil
}

func validate(blocks []Block, depth int) error {
	for i := range blocks {
		b := &blocks[i]
		nests := slices.Contains(nesting, b.Op)
		switch {
		case !nests && !slices.Contains(plain, b.Op):
			return fmt.Errorf("building block %q is not known", b.Op)
		case nests && depth >= depthMax, !nests && len(b.Body) > 0:
			return fmt.Errorf("building block %q is nested too deep, or has a body and must not", b.Op)
		case b.Op == Float && !slices.Contains(kinds, b.Kind):
			return fmt.Errorf("floating-point operation %q is not known", b.Kind)
		case b.Count < 0 || b.Count > countMax && b.Op != Loop || b.Size < 0:
			return fmt.Errorf("building block %q with count %d and size %d", b.Op, b.Count, b.Size)
		}
		if err := validate(b.Body, depth+1); err != nil {
			return err
		}
	}
	return nil
}
