package hosttest

import (
	"cmp"

	"github.com/pupwasm/pupwasm/host/abi"
)

// Describe is the description of every guest here that does not bring its own: a table with a column of every
// type, three writes, one query.
const Describe = `{"name":"hosttest","ordering":"global","version":1,"columns":["aggregate_id","event_type","payload"],
"tables":[{"name":"things","key":["id"],"columns":[{"name":"id","type":"text"},{"name":"total","type":"i64"},
{"name":"flag","type":"bool"},{"name":"ratio","type":"f64"},{"name":"amount","type":"numeric"},{"name":"raw","type":"bytes"},
{"name":"doc","type":"json"},{"name":"at","type":"timestamptz"},{"name":"ref","type":"uuid"},{"name":"tags","type":"text[]"}]}],
"writes":[{"name":"count","action":"upsert","table":"things","columns":[{"name":"total","action":"add"}]},
{"name":"put","action":"upsert","table":"things","columns":[{"name":"flag"},{"name":"ratio"},{"name":"amount"},{"name":"raw"},
{"name":"doc"},{"name":"at"},{"name":"ref"},{"name":"tags"}]},
{"name":"remove","action":"delete","table":"things"}],
"queries":[{"name":"total","table":"things","columns":["total"]}]}`

// The catalogue of [Describe].
const (
	WriteCount  = 0 // id text, total i64
	WritePut    = 1 // id text, flag, ratio, amount, raw, doc, at, ref, tags
	WriteRemove = 2 // id text
	QueryTotal  = 0 // id text[]
)

// Guest builds a guest that keeps every rule of the ABI and answers each batch with the same reply, until a
// field says otherwise. The zero value is complete.
//
// The code fields are bodies of functions, whose parameters are their first locals, and may use one i32 local
// more. They take the place of what a well-behaved guest does.
type Guest struct {
	Describe string // defaults to [Describe]
	// Reply is the whole reply to every batch, in the format of package abi. Defaults to no mutations.
	Reply []byte

	Imports []Import // their functions have the indices from 0 on

	Version     []byte // pup_abi_1() i32
	Initialize  []byte // _initialize(), which is exported only with this
	Start       []byte // the start function
	Description []byte // pup_describe() i64
	Reserve     []byte // pup_reserve(size i32) i32
	Apply       []byte // pup_apply(ptr i32, len i32) i64

	// Memory is the linear memory. Defaults to as many pages as needed, without a maximum.
	Memory Limits
	// Edit changes the module before its exports are added. It may define more functions, tables and globals.
	Edit func(m *Module)
	// Export changes what is exported under a name; an empty name exports nothing.
	Export func(e Export) Export
}

// Import is a function that a guest imports.
type Import struct {
	Module, Name string
	Signature    Signature
}

// Export is an entry of the export section.
type Export struct {
	Name  string
	Kind  Extern
	Index uint32
}

// The signatures of the ABI.
var (
	signatureNone     = Signature{}
	signatureVersion  = Signature{Results: []ValType{I32}}
	signatureDescribe = Signature{Results: []ValType{I64}}
	signatureReserve  = Signature{Params: []ValType{I32}, Results: []ValType{I32}}
	signatureApply    = Signature{Params: []ValType{I32, I32}, Results: []ValType{I64}}
	signatureLog      = Signature{Params: []ValType{I32, I32, I32}}
	signatureQuery    = Signature{Params: []ValType{I32, I32, I32, I32}, Results: []ValType{I32}}
)

// ImportLog and ImportQuery are the host's functions.
var (
	ImportLog   = Import{"pup", "log", signatureLog}
	ImportQuery = Import{"pup", "query", signatureQuery}
)

// describeAddress is the address of the description; below are scratch bytes for code. The reply follows it,
// then the heap.
const describeAddress = 1024

// ReplyAddress is the address of the reply in memory, with 8 bytes of scratch at address 0 and on.
func (g *Guest) ReplyAddress() uint32 {
	return align8(describeAddress + uint32(len(g.describe())))
}

// HeapAddress is where the batch is put, behind everything else.
func (g *Guest) HeapAddress() uint32 {
	return align8(g.ReplyAddress() + uint32(len(g.reply())))
}

// GoodReply is code that pushes the result of pup_apply that points at the reply.
func (g *Guest) GoodReply() []byte { return Result(g.ReplyAddress(), uint32(len(g.reply()))) }

// Result is code that pushes ptr<<32 | len.
func Result(ptr, size uint32) []byte { return I64Const(int64(uint64(ptr)<<32 | uint64(size))) }

func (g *Guest) describe() string { return cmp.Or(g.Describe, Describe) }

func (g *Guest) reply() []byte {
	if g.Reply == nil {
		return abi.AppendReply(nil, 0, 0)
	}
	return g.Reply
}

// Wasm builds the module.
func (g *Guest) Wasm() []byte { return g.Module().Encode() }

// Module builds the module for further changes.
func (g *Guest) Module() *Module {
	m := &Module{}
	for _, i := range g.Imports {
		m.ImportFunc(i.Module, i.Name, i.Signature)
	}
	memory := g.Memory
	if memory == (Limits{}) {
		memory.Min = g.HeapAddress()/pageSize + 1
	}
	m.Memory(memory)
	m.Data(describeAddress, []byte(g.describe()))
	m.Data(g.ReplyAddress(), g.reply())
	if g.Edit != nil {
		g.Edit(m)
	}
	g.export(m, "memory", ExternMemory, 0)
	scratch := []Locals{{1, I32}}
	define := func(name string, s Signature, code, otherwise []byte) {
		if code == nil {
			code = otherwise
		}
		g.export(m, name, ExternFunc, m.Func(s, scratch, code))
	}
	define("pup_abi_1", signatureVersion, g.Version, I32Const(abi.Version))
	define("pup_describe", signatureDescribe, g.Description, Result(describeAddress, uint32(len(g.describe()))))
	define("pup_reserve", signatureReserve, g.Reserve, growTo(g.HeapAddress()))
	define("pup_apply", signatureApply, g.Apply, g.GoodReply())
	if g.Initialize != nil {
		define("_initialize", signatureNone, g.Initialize, nil)
	}
	if g.Start != nil {
		m.Start(m.Func(signatureNone, scratch, g.Start))
	}
	return m
}

func (g *Guest) export(m *Module, name string, kind Extern, index uint32) {
	e := Export{name, kind, index}
	if g.Export != nil {
		e = g.Export(e)
	}
	if e.Name != "" {
		m.Export(e.Name, e.Kind, e.Index)
	}
}

const pageSize = 64 << 10

// growTo is the body of a pup_reserve that hands out the memory from heap on, and grows it where needed.
func growTo(heap uint32) []byte {
	const size, pages = 0, 1
	return Code(
		// pages = the number of pages that heap+size needs beyond those there are
		LocalGet(size), I32Const(heap+pageSize-1), I32Add, I32Const(16), I32ShrU,
		MemorySize, I32Sub, LocalTee(pages),
		I32Const(0), I32GtS,
		If(
			LocalGet(pages), MemoryGrow, I32Const(-1), I32Eq,
			If(I32Const(0), Return),
		),
		I32Const(heap),
	)
}

// Count is a mutation of [WriteCount] at an event.
func Count(event uint32, id string, total int64) []byte {
	out := abi.AppendMutation(nil, WriteCount, 2, event)
	return abi.AppendI64(abi.AppendBytes(out, abi.KindText, id), total)
}

// Reply is a reply that holds the mutations.
func Reply(mutations ...[]byte) []byte {
	body := Code(mutations...)
	return append(abi.AppendReply(nil, len(mutations), len(body)), body...)
}

func align8(v uint32) uint32 { return (v + 7) &^ 7 }
