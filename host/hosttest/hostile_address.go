package hosttest

import (
	"math"

	"github.com/pupwasm/pupwasm/host/abi"
)

// memoryEnd is code that pushes the size of the memory in bytes.
var memoryEnd = Code(MemorySize, I32Const(pageSize), I32Mul)

// packed is code that packs two i32 into ptr<<32 | len.
func packed(ptr, size []byte) []byte {
	return Code(ptr, I64ExtendI32U, I64Const(32), I64Shl, size, I64ExtendI32U, I64Or)
}

func hostileAddresses() []HostileGuest {
	g := &Guest{}
	reserve := func(name string, code []byte, want ...string) HostileGuest {
		return refused(StageApply, "reserve_"+name, (&Guest{Reserve: code}).Wasm(), want...)
	}
	reply := func(name string, code []byte, want ...string) HostileGuest {
		return refused(StageApply, "reply_"+name, (&Guest{Apply: code}).Wasm(), want...)
	}
	outside := []string{"memory", "outside", "fit"}
	return []HostileGuest{
		reserve("returns_0", I32Const(0), "no memory"),
		reserve("unaligned_by_4", I32Const(g.HeapAddress()+4), "multiple of 8", "aligned"),
		reserve("unaligned_by_1", I32Const(g.HeapAddress()+1), "multiple of 8", "aligned"),
		reserve("outside_memory", Code(memoryEnd, I32Const(8*pageSize), I32Add), outside...),
		reserve("behind_the_end", memoryEnd, outside...),
		reserve("at_the_very_end", Code(memoryEnd, I32Const(8), I32Sub), outside...),
		reserve("address_and_size_overflow", I32Const(-8), outside...),
		reserve("highest_bit", I32Const(math.MinInt32), outside...),
		reply("outside_memory", packed(memoryEnd, I32Const(abi.ReplyHeaderSize)), outside...),
		reply("crosses_the_end", packed(Code(memoryEnd, I32Const(8), I32Sub), I32Const(abi.ReplyHeaderSize)),
			outside...),
		reply("address_and_length_overflow", Result(0xFFFFFFF0, 0x20), outside...),
		reply("address_and_length_overflow_to_0", Result(0xFFFFFFE8, abi.ReplyHeaderSize), outside...),
		reply("length_max", Result(0, math.MaxUint32), "memory", "limit", "large"),
		reply("length_100_mib", Result(0, 100<<20), "memory", "limit", "large"),
		reply("minus_1", I64Const(-1), "memory", "limit", "large"),
		reply("length_0", Result(g.ReplyAddress(), 0), "header", "reply"),
		reply("zero", I64Const(0), "header", "reply"),
		reply("is_the_batch", Code(packed(LocalGet(0), LocalGet(1))), "reply"),
		refused(StageApply, "reply_too_large", largeReply().Wasm(), "limit", "large"),
	}
}

// largeReply answers with one mutation of 2 MiB in the best of order.
func largeReply() *Guest {
	const size = 2 << 20
	values := abi.AppendMutation(nil, WritePut, 9, 0)
	values = abi.AppendBytes(values, abi.KindText, "large")
	values = abi.AppendNull(abi.AppendNull(abi.AppendNull(values))) // flag, ratio, amount
	// The bytes of raw, and the nulls of doc, at, ref and tags, are the zeros of fresh memory.
	raw := size - abi.ReplyHeaderSize - len(values) - 5 - 4
	values = append(values, byte(abi.KindBytes), byte(raw), byte(raw>>8), byte(raw>>16), byte(raw>>24))
	g := &Guest{
		Reply:  append(abi.AppendReply(nil, 1, size-abi.ReplyHeaderSize), values...),
		Memory: Limits{Min: size/pageSize + 1},
	}
	g.Reserve = growTo(align8(g.ReplyAddress() + size))
	g.Apply = Result(g.ReplyAddress(), size)
	return g
}

// hostileCalls are wrong uses of the functions of the host.
func hostileCalls() []HostileGuest {
	log := func(name string, ptr, size int32) HostileGuest {
		g := &Guest{Imports: []Import{ImportLog}}
		g.Apply = Code(I32Const(1), I32Const(ptr), I32Const(size), Call(0), g.GoodReply())
		return refused(StageApply, "log_"+name, g.Wasm(), "log")
	}
	// query calls the host with ptr, len, dst, cap. The request is where the reply is in other guests.
	query := func(name string, request []byte, call func(ptr, size uint32) []byte, want ...string) HostileGuest {
		g := &Guest{Imports: []Import{ImportQuery}, Reply: append(Reply(), request...)}
		ptr := g.ReplyAddress() + abi.ReplyHeaderSize
		g.Apply = Code(call(ptr, uint32(len(request))), Call(0), Drop, Result(g.ReplyAddress(), abi.ReplyHeaderSize))
		return refused(StageApply, "query_"+name, g.Wasm(), want...)
	}
	plain := func(ptr, size uint32) []byte {
		return Code(I32Const(ptr), I32Const(size), I32Const(0), I32Const(0))
	}
	wrong := func(name string, request []byte) HostileGuest {
		return query(name, request, plain, "query", "value", "argument")
	}
	keys := func(kind abi.Kind) []byte {
		return abi.AppendArray(abi.AppendQuery(nil, QueryTotal, 1), kind, 1)
	}
	return []HostileGuest{
		log("outside_memory", -16, 8),
		log("address_and_length_overflow", -16, 32),
		query("without_a_request", nil, func(uint32, uint32) []byte {
			return Code(I32Const(0), I32Const(0), I32Const(0), I32Const(1000))
		}, "query"),
		query("outside_memory", nil, func(uint32, uint32) []byte {
			return Code(I32Const(-16), I32Const(16), I32Const(0), I32Const(0))
		}, "query"),
		query("length_max", nil, func(uint32, uint32) []byte {
			return Code(I32Const(0), I32Const(-1), I32Const(0), I32Const(0))
		}, "query"),
		wrong("header_cut_off", abi.AppendQuery(nil, QueryTotal, 1)[:7]),
		wrong("not_in_the_catalogue", abi.AppendBytes(abi.AppendQuery(nil, 1, 1), abi.KindText, "a")),
		wrong("index_max", abi.AppendQuery(nil, math.MaxUint32, 0)),
		wrong("argument_missing", abi.AppendQuery(nil, QueryTotal, 0)),
		wrong("argument_too_many", abi.AppendNull(abi.AppendNull(abi.AppendQuery(nil, QueryTotal, 2)))),
		wrong("argument_cut_off", abi.AppendQuery(nil, QueryTotal, 1)),
		wrong("argument_is_no_array", abi.AppendBytes(abi.AppendQuery(nil, QueryTotal, 1), abi.KindText, "a")),
		wrong("argument_of_another_type", abi.AppendI64(keys(abi.KindI64), 1)),
		wrong("key_null", abi.AppendNull(keys(abi.KindText))),
		wrong("key_array_null", abi.AppendNull(abi.AppendQuery(nil, QueryTotal, 1))),
		wrong("key_not_utf8", abi.AppendBytes(keys(abi.KindText), abi.KindText, "\xff")),
		wrong("key_count_max", append(abi.AppendQuery(nil, QueryTotal, 1), byte(abi.KindText)|abi.ArrayBit, 255,
			255, 255, 255)),
		wrong("key_missing", append(abi.AppendQuery(nil, QueryTotal, 1), byte(abi.KindText)|abi.ArrayBit, 1, 0, 0, 0)),
	}
}
