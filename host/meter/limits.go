package meter

// What a module may have. The engine allocates for what is announced before it checks whether it is there,
// and its compiler's time grows with the square of what is nested: some 30 bytes can ask for hundreds of
// gigabytes. The limits are far above what the compilers emit.
const (
	tableElementsMax = 100_000    // whose memory the engine's limit does not cover; one a function is usual
	parametersMax    = 1_000      // of a function
	resultsMax       = 16         // of a function or a block; Go and TinyGo have one at most
	variablesMax     = 2_000      // of a function, its parameters included
	nestingMax       = 5_000      // blocks within blocks; Go nests one for every point where a function can resume
	loopNestingMax   = 500        // loops within loops, which cost the compiler most
	targetsMax       = 100_000    // of one br_table
	mutableMax       = 10_000     // globals that may change
	bodyBytesMax     = 1 << 20    // of a function's code; the largest of Go's have some 50 KiB
	parametersAll    = 100_000    // of all types, each of which the host compiles ways in for
	localsAll        = 10_000_000 // of all functions, for each of which the engine keeps a byte
)

// entriesMax bounds what a section has. The host keeps something for each entry, and the engine makes code
// for each type. Go's linker stops at 100,000 segments of data; its largest programs have some 10,000
// functions.
var entriesMax = map[byte]struct {
	max  uint32
	what string
}{
	sectionType: {10_000, "types"}, sectionImport: {1_000, "imports"}, sectionFunction: {100_000, "functions"},
	sectionTable: {1, "tables"}, sectionGlobal: {20_000, "globals"}, sectionExport: {10_000, "exports"},
	sectionElement: {10_000, "segments of table elements"},
	sectionData:    {110_000, "segments of data"},
}

// Limit is the most that a module may have of something.
type Limit struct {
	What string
	Max  int64
}

// Limits are what a module is refused for before an engine sees it.
func Limits() []Limit {
	var all []Limit
	for id := range sectionOrder {
		if limit, is := entriesMax[byte(id)]; is {
			all = append(all, Limit{limit.what, int64(limit.max)})
		}
	}
	return append(all,
		Limit{"elements of its table", tableElementsMax}, Limit{"globals that may change", mutableMax},
		Limit{"parameters and results of all types together", parametersAll},
		Limit{"parameters of a function", parametersMax},
		Limit{"results of a function or a block", resultsMax},
		Limit{"variables of a function, its parameters included", variablesMax},
		Limit{"local variables of all functions together", localsAll},
		Limit{"bytes of a function", bodyBytesMax}, Limit{"blocks within blocks", nestingMax},
		Limit{"loops within loops", loopNestingMax},
		Limit{"targets of a branch", targetsMax},
	)
}
