package hosttest

// SlowToCompile is a guest of some 50 KiB that takes the engine's compiler minutes: many variables that live
// through many loops, one within the other.
func SlowToCompile() *Guest {
	const variables, loops = 1_900, 400
	var begin, within, end []byte
	for v := range uint32(variables) {
		begin = append(begin, Code(I64Const(int64(v)), LocalSet(v))...)
		within = append(within, Code(LocalGet(v), I64Const(1), I64Add, LocalSet(v))...)
		end = append(end, Code(LocalGet(v), Drop)...)
	}
	return withCode(Signature{}, []Locals{{variables, I64}}, begin, Repeat(loops, []byte{opLoop, voidBlock}), within,
		Repeat(loops, I32Const(0), BrIf(0), []byte{opEnd}), end)
}

// LargeToCompile is a guest with a function of about a megabyte, which takes the engine's compiler some
// hundred times as much memory.
func LargeToCompile() *Guest {
	const loads = 75_000
	return withCode(Signature{}, nil, Repeat(loads, I32Const(0), I32Load(0), I32Const(4), I32Add, I32Load(0), Drop))
}
