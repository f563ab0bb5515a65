package hosttest

import (
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/host/abi"
)

// UnusualGuest is a guest that looks suspicious and keeps every rule: a host has to accept it.
type UnusualGuest struct {
	Name      string
	Wasm      []byte
	Mutations int // that it returns for every batch, messages included
}

// Unusual builds the unusual guests. The first is a plain one.
func Unusual() []UnusualGuest {
	return slices.Concat(unusualReplies(), unusualMessages(), unusualMemories(), unusualModules(), unusualCalls())
}

func accepted(name string, mutations int, g *Guest) UnusualGuest {
	return UnusualGuest{Name: name, Wasm: g.Wasm(), Mutations: mutations}
}

func unusualReplies() []UnusualGuest {
	all := abi.AppendMutation(nil, WritePut, 9, 0)
	all = abi.AppendBytes(all, abi.KindText, "")
	all = abi.AppendBool(all, true)
	all = abi.AppendF64(all, 0.5)
	all = abi.AppendBytes(all, abi.KindNumeric, "-"+strings.Repeat("9", 900)+".10")
	all = abi.AppendBytes(all, abi.KindBytes, "\x00\xff")
	all = abi.AppendBytes(all, abi.KindJSON, ` {"a": [1, null]} `)
	all = abi.AppendTimestamp(all, -1)
	all = abi.AppendUUID(all, [16]byte{})
	all = abi.AppendNull(abi.AppendBytes(abi.AppendArray(all, abi.KindText, 2), abi.KindText, "🐎"))
	nulls := append(abi.AppendBytes(abi.AppendMutation(nil, WritePut, 9, 2), abi.KindText, "n"), make([]byte, 8)...)
	remove := abi.AppendBytes(abi.AppendMutation(nil, WriteRemove, 1, 1), abi.KindText, "a")
	plain := Reply(Count(0, "a", 1), Count(1, "a", -1), Count(2, "b", 1))
	return []UnusualGuest{
		accepted("plain", 3, &Guest{Reply: plain}),
		accepted("reply_without_mutations", 0, &Guest{}),
		accepted("reply_with_every_type", 3, &Guest{Reply: Reply(all, nulls, remove)}),
		accepted("reply_in_another_order_of_events", 2, &Guest{Reply: Reply(Count(2, "a", 1), Count(0, "a", 1))}),
		accepted("reply_with_reserved_fields", 1, &Guest{Reply: put(Reply(Count(0, "a", 1)), 20, uint32(0xFFFFFFFF))}),
	}
}

func unusualMemories() []UnusualGuest {
	reply := Reply(Count(0, "a", 1))
	g := &Guest{Reply: reply}
	size := I32Const(len(reply))
	atEnd := Code(memoryEnd, size, I32Sub)
	moved := func(to []byte) []byte {
		return Code(to, I32Const(g.ReplyAddress()), size, MemoryCopy)
	}
	const pages = MemoryMiB * 16
	return []UnusualGuest{
		accepted("reply_at_the_end_of_memory", 1, &Guest{Reply: reply, Apply: Code(moved(atEnd), packed(atEnd, size))}),
		accepted("reply_in_place_of_the_batch", 1,
			&Guest{Reply: reply, Apply: Code(moved(LocalGet(0)), packed(LocalGet(0), size))}),
		accepted("memory_grown_during_apply", 1, &Guest{Reply: reply, Apply: Code(
			I32Const(3), MemoryGrow, Drop, moved(atEnd), packed(atEnd, size))}),
		accepted("memory_grown_during_reserve", 1, &Guest{Reply: reply, Reserve: Code(
			I32Const(2), MemoryGrow, I32Const(pageSize), I32Mul)}),
		accepted("batch_at_the_end_of_memory", 1, &Guest{Reply: reply, Memory: Limits{Min: 2}, Reserve: Code(
			memoryEnd, LocalGet(0), I32Sub, I32Const(-8), I32And)}),
		accepted("memory_of_the_limit", 1, &Guest{Reply: reply, Memory: Limits{Min: pages}}),
		accepted("memory_with_a_high_maximum", 1, &Guest{
			Reply:  reply,
			Memory: Limits{Min: 1, Max: 65536, HasMax: true},
		}),
		accepted("memory_that_does_not_grow", 1, &Guest{Reply: reply, Apply: Code(
			I32Const(65000), MemoryGrow, I32Const(-1), I32Ne, If(Unreachable), g.GoodReply())}),
	}
}

func unusualModules() []UnusualGuest {
	reply := Reply(Count(0, "a", 1))
	g := &Guest{Reply: reply}
	exports := func(m *Module) {
		trap := m.Func(Signature{}, nil, Unreachable)
		for _, name := range []string{"_start", "main", "pup_abi_2", "pup_", "malloc", ""} {
			m.Export(name, ExternFunc, trap)
		}
		m.Export("more", ExternMemory, 0)
		m.Export("number", ExternGlobal, m.Global(F64, false, []byte{0x44, 0, 0, 0, 0, 0, 0, 0, 0}))
		m.Custom("target_features", []byte("\xff\xff\xff\xff not what the tools put there"))
		m.Custom("producers", []byte{0})
	}
	// start, then _initialize, each once and before everything else: the global counts.
	order := func(before, after int) []byte {
		return Code(GlobalGet(0), I32Const(before), I32Ne, If(Unreachable), I32Const(after), GlobalSet(0))
	}
	return []UnusualGuest{
		accepted("further_exports_are_ignored", 1, &Guest{Reply: reply, Edit: exports}),
		accepted("starts_once_and_in_order", 1, &Guest{
			Reply: reply,
			Edit:  func(m *Module) { m.Global(I32, true, I32Const(0)) },
			Start: order(0, 1), Initialize: order(1, 2),
			Apply: Code(order(2, 2), g.GoodReply()),
		}),
		accepted("table_and_elements", 1, &Guest{
			Reply: reply,
			Edit: func(m *Module) {
				m.Table(Limits{Min: 1000, Max: 1000, HasMax: true})
				m.Elements(999, m.Func(Signature{}, nil))
				m.Type(Signature{})
			},
			Apply: Code(I32Const(999), CallIndirect(0), g.GoodReply()),
		}),
		// What Go's compiler makes of one very long function.
		accepted("code_nested_4500_deep", 1, &Guest{Reply: reply, Apply: Code(deepBlocks(4500), g.GoodReply())}),
		accepted("branch_of_90000_targets", 1, &Guest{Reply: reply, Apply: Code(
			Block(I32Const(1), BrTable(make([]uint32, 90_000), 0)), g.GoodReply())}),
		accepted("imports_of_wasi", 1, &Guest{Reply: reply, Imports: wasiImports()}),
		accepted("description_in_a_section", 0, &Guest{Edit: func(m *Module) {
			m.Custom(descriptionSection, append([]byte{abi.Version, 0, 0, 0}, Describe...))
		}}),
		accepted("import_twice", 1, &Guest{Reply: reply, Imports: []Import{ImportLog, ImportLog, ImportQuery}}),
	}
}

func unusualCalls() []UnusualGuest {
	logs := []Import{ImportLog}
	g := &Guest{Reply: Reply(Count(0, "a", 1))}
	log := func(level, ptr, size int) []byte {
		return Code(I32Const(level), I32Const(ptr), I32Const(size), Call(0))
	}
	const scratch = 2
	flood := Code(
		Loop(
			log(3, describeAddress, 200),
			LocalGet(scratch), I32Const(1), I32Add, LocalTee(scratch),
			I32Const(20_000), I32LtU, BrIf(0),
		),
		g.GoodReply(),
	)
	bytes := []byte("line\nline\x00\xff\x1b[31m\r")
	return []UnusualGuest{
		accepted("log_flood", 1, &Guest{Reply: g.Reply, Imports: logs, Apply: flood}),
		accepted("log_of_any_bytes", 1, &Guest{
			Reply: g.Reply, Imports: logs, Edit: func(m *Module) { m.Data(0, bytes) },
			Apply: Code(log(0, 0, len(bytes)), log(1, 0, 0), log(2, describeAddress, len(Describe)), g.GoodReply()),
		}),
		accepted("log_before_apply", 1, &Guest{
			Reply: g.Reply, Imports: logs, Start: log(1, describeAddress, 10), Initialize: log(1, describeAddress, 10),
			Description: Code(log(1, describeAddress, 10), Result(describeAddress, uint32(len(Describe)))),
		}),
		accepted("calls_its_own_functions", 1, callsItself()),
	}
}

// callsItself calls its own pup_describe and pup_reserve within pup_apply: the one kind of re-entrancy that
// there is, since no function of the host calls back.
func callsItself() *Guest {
	g := &Guest{Reply: Reply(Count(0, "a", 1))}
	const describe, reserve = 1, 2 // behind pup_abi_1
	g.Apply = Code(Call(describe), Drop, I32Const(1<<20), Call(reserve), Drop, g.GoodReply())
	return g
}

// deepBlocks nests a number of empty blocks.
func deepBlocks(depth int) []byte {
	const void = 0x40
	return Code(Repeat(depth, []byte{opBlock, void}), Repeat(depth, []byte{opEnd}))
}
