// Package meter rewrites a WebAssembly module so that it counts its own work. An engine that compiles guests
// to machine code cannot interrupt them: without help a loop in a guest holds up the host's scheduler and
// garbage collector until it ends, and the engine's own help makes guests ten times as slow.
//
// # What is counted
//
// Fuel is a number that every instruction takes from, one unit or what it is worth. It depends on the code
// and its input alone, not on the machine or its load, so that what runs out of fuel does so everywhere. It
// is an upper bound of the work: a little code that may be branched over is charged with what precedes it.
// The examples take some 35 units a nanosecond, built by Go (30,000 units and 853 ns for an event of
// fine_balance) as by TinyGo (8,300 units and 248 ns); tight loops take about 10.
//
// Fuel bounds time: no unit takes more than 20 ns, whatever the program is. So what may take long is charged
// as if it always did: loads and stores as if no cache had what they are for (220 ns for a load whose address
// is what the load before gave), calls as if their code was not there either, arithmetic as if numbers were
// so small that processors take a detour. So is what the engine does besides the instructions: it moves
// values where branches meet, for every variable that is assigned within a loop or a block, whether the code
// that assigns it runs or not, and for parameters and results. Package internal/worst searches for programs
// that do better.
//
// A function keeps the fuel that it takes pending, in a variable of its own that the compiler holds in a
// register. It takes it from the slice when it is much, and at its end:
//
//	func f:                   func f:
//	                              stack -= 72, check           if it may call itself
//	                              block
//	    local.get 0                   local.get 0
//	    ...                           ...
//	    loop                          loop
//	                                      pending += 8         at the head of a loop,
//	                                      if pending > 25000   where it is taken when it is much; 2000 where
//	                                                           functions are called that do not check
//	                                          fuel -= pending, check; pending = 0
//	        ...                           ...
//	        br_if 0                       br_if 0
//	    end                           end
//	    ...                           pending += 20            where branches meet or part
//	    return                        br 0
//	    ...                       end
//	                              stack += 72
//	                              fuel -= pending + 30, check  30 for what always runs
//
// Small functions without loops are left as they are, and charged where they are called. Functions that
// return after little work do not check what is left: their callers do, in loops, at their end, and at
// safepoints in code that is very long. Instructions that move whole blocks take fuel by the length before
// they run, and memory.grow by the pages that there are more. The host charges for what its own functions do.
//
// The stack is counted in functions that may call themselves, through others or through the table, by their
// parameters and variables.
//
// # How
//
// Four globals are added behind the module's own: fuel that is left in this slice, fuel that is left besides,
// stack that is left, and the size of slices, which the host chooses and which does not change the fuel that
// is taken. A check that finds one below zero calls a function that is added behind the module's own. It
// takes the next slice from the rest, and asks for [ExitPages] of memory, more than it can get: that leaves
// the compiled code for the host's memory allocator, where scheduler and collector get their turn, and where
// the host can end the call. Without fuel or stack it traps; the globals, which are exported, tell the host
// why. So the engine must give the memory all its addresses, and the host's allocator keeps the limit.
//
// Nothing is imported and nothing moves: indices of the module keep their meaning. The start function becomes
// an export, so that the host gives it fuel before it runs, and so do globals that may change, so that the
// host can put an instance back to where it began.
//
//	scanner.go      the binary format
//	module.go       what a module has
//	limits.go       what is refused before an engine sees it
//	inspect.go      what a module imports and exports, for others than the pass
//	instruction.go  the instructions and what they take
//	analyse.go      functions: which are small, which may call themselves
//	moves.go        what is moved where branches meet
//	regions.go      the code of a function, divided into regions that are each charged in one place
//	rewrite.go      the code of a function, with what it is charged
//	instrument.go   the module, with what is added
//	code.go         writing instructions
//
// # Why the original need not be validated
//
// The engine validates the result. What is inserted takes nothing from the operand stack and leaves nothing,
// and is between instructions. So code is valid after the pass if it was before, except for what the pass
// adds to the module: an index of a function, a type, a global or a variable that the original does not have
// could be one of the pass's own afterwards, and an assignment to it would be fuel without end. So every
// index is checked here, and instructions that are not known are refused.
//
// It knows the standard library only, no engine and no host.
package meter
