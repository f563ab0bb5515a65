package hosttest

import "math"

var (
	importExit = Import{"wasi_snapshot_preview1", "proc_exit", Signature{Params: []ValType{I32}}}

	wantDeadline = []string{"deadline", "longer than", "instructions", "budget", "fuel"}
	wantTrap     = []string{"unreachable", "panicked", "trap"}
	// Whichever is reached first.
	wantStack  = append([]string{"stack", "recursion", "depth"}, wantDeadline...)
	wantMemory = append([]string{"unreachable", "panicked", "trap"}, wantDeadline...)
)

// forever is a loop that does nothing. Code that needs a result may end with it, since nothing comes after.
var forever = Code(Loop(Br(0)), Unreachable)

func hostileStarts() []HostileGuest {
	start := func(name string, g *Guest, want ...string) HostileGuest {
		return refused(StageInstantiate, name, g.Wasm(), want...)
	}
	exits := []Import{importExit}
	selfCall := func(m *Module) { m.Func(Signature{}, nil, Call(m.NextFunc())) }
	return []HostileGuest{
		start("start_traps", &Guest{Start: Unreachable}, wantTrap...),
		start("start_never_ends", &Guest{Start: forever}, wantDeadline...),
		start("start_recurses", &Guest{Start: Call(0), Edit: selfCall}, wantStack...),
		start("start_exits_with_0", &Guest{Imports: exits, Start: Code(I32Const(0), Call(0))}, "exit"),
		start("initialize_traps", &Guest{Initialize: Unreachable}, wantTrap...),
		start("initialize_never_ends", &Guest{Initialize: forever}, wantDeadline...),
		start("initialize_recurses", &Guest{Initialize: Call(0), Edit: selfCall}, wantStack...),
		start("initialize_exits_with_0", &Guest{Imports: exits, Initialize: Code(I32Const(0), Call(0))}, "exit"),
		start("initialize_exits_with_1", &Guest{Imports: exits, Initialize: Code(I32Const(1), Call(0))}, "exit"),
		start("initialize_runs_a_query", &Guest{
			Imports:    []Import{ImportQuery},
			Initialize: Code(I32Const(0), I32Const(8), I32Const(0), I32Const(0), Call(0), Drop),
		}, "query"),
		start("data_beyond_memory", &Guest{Edit: func(m *Module) { m.Data(math.MaxUint32-7, []byte("12345678")) }},
			"data", "memory", "bounds"),
		start("elements_beyond_the_table", &Guest{Edit: func(m *Module) {
			m.Table(Limits{Min: 1})
			m.Elements(1, m.Func(Signature{}, nil))
		}}, "element", "table", "bounds"),
	}
}

func hostileLoops() []HostileGuest {
	apply := func(name string, g *Guest) HostileGuest {
		return refused(StageApply, name, g.Wasm(), wantDeadline...)
	}
	nothing := func(m *Module) { m.Func(Signature{}, nil) }
	logs := []Import{ImportLog}
	return []HostileGuest{
		apply("loop", &Guest{Apply: forever}),
		apply("loop_with_calls", &Guest{Edit: nothing, Apply: Code(Loop(Call(0), Br(0)), Unreachable)}),
		apply("loop_with_calls_of_the_host", &Guest{Imports: logs, Apply: Code(
			Loop(I32Const(0), I32Const(0), I32Const(0), Call(0), Br(0)), Unreachable)}),
		apply("loop_within_a_loop", &Guest{Apply: Code(Loop(Loop(LocalGet(1), BrIf(0)), Br(0)), Unreachable)}),
		apply("loop_by_a_table", &Guest{Apply: Code(Loop(I32Const(1), BrTable([]uint32{0}, 0)), Unreachable)}),
		apply("loop_that_grows_nothing", &Guest{Apply: Code(Loop(I32Const(0), MemoryGrow, Drop, Br(0)), Unreachable)}),
		apply("loop_of_large_fills", &Guest{Memory: Limits{Min: 200}, Apply: Code(
			Loop(I32Const(pageSize), I32Const(0), I32Const(190*pageSize), MemoryFill, Br(0)), Unreachable)}),
		apply("loop_in_reserve", &Guest{Reserve: forever}),
		// These two take six seconds or more where nobody stops them.
		apply("fills_without_a_loop", unrolled(200, 200, I32Const(pageSize), I32Const(0), I32Const(254*pageSize),
			MemoryFill)),
		apply("copies_without_a_loop", unrolled(100, 120, I32Const(pageSize), I32Const(pageSize+1),
			I32Const(253*pageSize), MemoryCopy)),
	}
}

// unrolled runs code calls × times times on a memory of 255 pages, without a loop, and answers well. The
// first page is spared.
func unrolled(calls, times int, code ...[]byte) *Guest {
	g := &Guest{
		Memory: Limits{Min: 255},
		Edit:   func(m *Module) { m.Func(Signature{}, nil, Repeat(times, code...)) },
	}
	g.Apply = Code(Repeat(calls, Call(0)), g.GoodReply())
	return g
}

func hostileRecursions() []HostileGuest {
	apply := func(name string, g *Guest, want ...string) HostileGuest {
		return refused(StageApply, name, g.Wasm(), want...)
	}
	return []HostileGuest{
		apply("recursion", &Guest{
			Edit:  func(m *Module) { m.Func(Signature{}, nil, Call(m.NextFunc())) },
			Apply: Code(Call(0), Unreachable),
		}, wantStack...),
		apply("recursion_of_two", &Guest{
			Edit: func(m *Module) {
				first := m.Func(Signature{}, nil, Call(m.NextFunc()+1))
				m.Func(Signature{}, nil, Call(first))
			},
			Apply: Code(Call(0), Unreachable),
		}, wantStack...),
		apply("recursion_through_a_table", &Guest{
			Edit: func(m *Module) {
				m.Table(Limits{Min: 1})
				m.Elements(0, m.Func(Signature{}, nil, I32Const(0), CallIndirect(m.Type(Signature{}))))
			},
			Apply: Code(Call(0), Unreachable),
		}, wantStack...),
		apply("recursion_with_large_frames", largeFrames(), wantStack...),
		apply("recursion_exponential", exponential(exponentialDepth), wantStack...),
		apply("success_after_the_deadline", exponential(lateDepth), wantDeadline...),
	}
}

// The guests that call themselves twice at every level have no loop, and end by themselves: at a nanosecond a
// call, the first takes eight seconds or more, the second two. Even a fast machine has passed [Deadline] then.
const (
	exponentialDepth = 32
	lateDepth        = 30
)

// exponential calls itself twice at every level and then answers well.
func exponential(depth int32) *Guest {
	g := &Guest{Edit: func(m *Module) {
		self := m.NextFunc()
		again := Code(LocalGet(0), I32Const(1), I32Sub, Call(self))
		m.Func(Signature{Params: []ValType{I32}}, nil, LocalGet(0), If(again, again))
	}}
	g.Apply = Code(I32Const(depth), Call(0), g.GoodReply())
	return g
}

// largeFrames recurses with a thousand variables that are all in use after the call, so that every frame holds them.
func largeFrames() *Guest {
	const variables = 1000
	signature := Signature{Params: []ValType{I64}, Results: []ValType{I64}}
	return &Guest{
		Edit: func(m *Module) {
			self := m.NextFunc()
			var fill, sum []byte
			for i := range uint32(variables) {
				fill = append(fill, Code(LocalGet(i), I64Const(int64(i)), I64Add, LocalSet(i+1))...)
				sum = append(sum, Code(LocalGet(i+1), I64Add)...)
			}
			m.Func(signature, []Locals{{variables, I64}}, fill, LocalGet(variables), Call(self), sum)
		},
		Apply: Code(I64Const(0), Call(0)),
	}
}

func hostileBombs() []HostileGuest {
	failed := Code(I32Const(-1), I32Eq)
	const scratch = 2
	return []HostileGuest{
		// An allocator that asks for more until there is none, and then gives up as allocators do.
		refused(StageApply, "memory_bomb", (&Guest{Apply: Code(
			Loop(I32Const(1), MemoryGrow, failed, If(Unreachable), Br(0)), Unreachable)}).Wasm(), wantMemory...),
		refused(StageApply, "memory_bomb_at_once", (&Guest{Apply: Code(
			I32Const(65000), MemoryGrow, failed, If(Unreachable), I64Const(0))}).Wasm(), wantTrap...),
		refused(StageApply, "memory_bomb_that_writes", (&Guest{Apply: Code(
			Loop(
				I32Const(16), MemoryGrow, LocalTee(scratch), failed, If(Unreachable),
				LocalGet(scratch), I32Const(pageSize), I32Mul, I32Const(1), I32Const(16*pageSize), MemoryFill,
				Br(0),
			), Unreachable)}).Wasm(), wantMemory...),
		// The tables end at 128 MB, so that a host without a limit survives.
		early(refused(StageApply, "table_bomb", (&Guest{
			Edit: func(m *Module) { m.Table(Limits{Min: 1, Max: 16 << 20, HasMax: true}) },
			Apply: Code(
				Loop(RefNull, I32Const(1<<20), TableGrow, failed, If(Unreachable), Br(0)), Unreachable),
		}).Wasm(), "unreachable", "reference", "table", "compile")),
	}
}

func hostileTraps() []HostileGuest {
	apply := func(name string, code []byte, want ...string) HostileGuest {
		return refused(StageApply, name, (&Guest{Apply: code}).Wasm(), want...)
	}
	table := func(name string, code []byte) HostileGuest {
		g := &Guest{
			Edit: func(m *Module) {
				m.Table(Limits{Min: 2})
				m.Elements(0, m.Func(Signature{Params: []ValType{I32}}, nil))
				m.Type(Signature{})
			},
			Apply: code,
		}
		return refused(StageApply, name, g.Wasm(), "table", "indirect", "trap")
	}
	exit := func(name string, code int32) HostileGuest {
		g := &Guest{Imports: []Import{importExit}}
		g.Apply = Code(I32Const(code), Call(0), g.GoodReply())
		return refused(StageApply, name, g.Wasm(), "exit")
	}
	exitInReserve := &Guest{Imports: []Import{importExit}, Reserve: Code(I32Const(0), Call(0), I32Const(8))}
	// typeNone is the index of the empty signature, behind that of the function in the table.
	const typeNone = 1
	return []HostileGuest{
		apply("trap", Unreachable, wantTrap...),
		apply("trap_division_by_zero", Code(I32Const(1), I32Const(0), I32DivS, Unreachable), "divi"),
		apply("trap_division_overflow", Code(I32Const(math.MinInt32), I32Const(-1), I32DivS, Unreachable), "overflow"),
		apply("trap_conversion_of_nan", Code(F32Const(0x7FC00000), I32TruncF32S, Unreachable), "conversion"),
		apply("trap_load_outside_memory", Code(I32Const(-1), I32Load(0), Unreachable), "memory"),
		apply("trap_load_offset_overflow", Code(I32Const(-1), I32Load(math.MaxUint32), Unreachable), "memory"),
		apply("trap_store_outside_memory", Code(I32Const(-4), I32Const(1), I32Store(0), Unreachable), "memory"),
		apply("trap_fill_of_4_gib", Code(I32Const(0), I32Const(1), I32Const(-1), MemoryFill, Unreachable), "memory",
			"fuel"),
		table("trap_call_beyond_the_table", Code(I32Const(2), CallIndirect(typeNone), Unreachable)),
		table("trap_call_of_nothing", Code(I32Const(1), CallIndirect(typeNone), Unreachable)),
		table("trap_call_of_another_type", Code(I32Const(0), CallIndirect(typeNone), Unreachable)),
		refused(StageApply, "trap_in_reserve", (&Guest{Reserve: Unreachable}).Wasm(), wantTrap...),
		exit("exit_with_0", 0),
		exit("exit_with_1", 1),
		refused(StageApply, "exit_in_reserve", exitInReserve.Wasm(), "exit"),
		refused(StageApply, "state_kept_after_a_trap", remembers(Unreachable).Wasm(), wantTrap...),
		refused(StageApply, "state_kept_after_the_deadline", remembers(forever).Wasm(), wantDeadline...),
		refused(StageApply, "state_kept_after_a_bad_reply", remembers(Result(0, 24), Return).Wasm(), "reply", "ABI"),
	}
}

// remembers runs wrong code once for each instance, and answers well afterwards: a host that goes on with an
// instance after a fault has its reply.
func remembers(wrong ...[]byte) *Guest {
	g := &Guest{Edit: func(m *Module) { m.Global(I32, true, I32Const(0)) }}
	g.Apply = Code(
		GlobalGet(0), I32Eqz,
		If(I32Const(1), GlobalSet(0), Code(wrong...)),
		g.GoodReply(),
	)
	return g
}
