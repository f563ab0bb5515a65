package host

import (
	"encoding/binary"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// WASI's error numbers that are needed here.
const (
	errnoSuccess = 0
	errnoBadf    = 8
	errnoFault   = 21
	errnoInval   = 28
	errnoNotsup  = 58
	errnoSpipe   = 70
)

// wasiModule is the part of wasi_snapshot_preview1 that the runtimes of Go and TinyGo link. Nothing of it
// reaches outside: a guest must give the same mutations for the same events everywhere, so the wall clock
// does not move, the monotonic clock moves by waiting only, and random bytes are the same for every instance.
func wasiModule() *hostModule {
	params := func(types string) (list []api.ValueType) {
		for _, t := range types {
			if t == 'l' {
				list = append(list, i64)
			} else {
				list = append(list, i32)
			}
		}
		return list
	}
	errno := []api.ValueType{i32}
	m := &hostModule{name: "wasi_snapshot_preview1"}
	add := func(name, types string, call func(g *Guest, memory api.Memory, args []uint64) uint32) {
		m.functions = append(m.functions, hostFunction{
			name: name, params: params(types), results: errno,
			call: func(g *Guest, memory api.Memory, stack []uint64) { stack[0] = uint64(call(g, memory, stack)) },
		})
	}
	add("args_get", "ii", succeed)
	add("args_sizes_get", "ii", noStrings)
	add("environ_get", "ii", succeed)
	add("environ_sizes_get", "ii", noStrings)
	add("clock_time_get", "ili", clockTime)
	add("random_get", "ii", randomBytes)
	add("sched_yield", "", succeed)
	add("poll_oneoff", "iiii", pollOneoff)
	add("fd_write", "iiii", fdWrite)
	add("fd_read", "iiii", func(*Guest, api.Memory, []uint64) uint32 { return errnoBadf })
	add("fd_close", "i", func(*Guest, api.Memory, []uint64) uint32 { return errnoBadf })
	add("fd_seek", "ilii", func(*Guest, api.Memory, []uint64) uint32 { return errnoSpipe })
	add("fd_fdstat_get", "ii", fdStat)
	add("fd_fdstat_set_flags", "ii", succeed)
	add("fd_prestat_get", "ii", func(*Guest, api.Memory, []uint64) uint32 { return errnoBadf })
	add("fd_prestat_dir_name", "iii", func(*Guest, api.Memory, []uint64) uint32 { return errnoBadf })
	m.functions = append(m.functions, hostFunction{name: "proc_exit", params: params("i"), call: procExit})
	return m
}

func succeed(*Guest, api.Memory, []uint64) uint32 { return errnoSuccess }

// noStrings says that there are no arguments and no environment: none, in 0 bytes.
func noStrings(_ *Guest, memory api.Memory, args []uint64) uint32 {
	if !memory.WriteUint32Le(uint32(args[0]), 0) || !memory.WriteUint32Le(uint32(args[1]), 0) {
		return errnoFault
	}
	return errnoSuccess
}

// clockTime is clock_time_get(id, precision, result): clock 0 is the wall clock, the rest count from the
// instance's start.
func clockTime(g *Guest, memory api.Memory, args []uint64) uint32 {
	now := uint64(g.module.runtime.options.Environment.Wall)
	if uint32(args[0]) != 0 {
		now = g.env.monotonic
	} else if g.applying {
		g.clockReads++
	}
	if !memory.WriteUint64Le(uint32(args[2]), now) {
		return errnoFault
	}
	return errnoSuccess
}

// randomBytes is random_get(ptr, len): a fixed sequence (xorshift), which Go's runtime seeds its maps with.
func randomBytes(g *Guest, memory api.Memory, args []uint64) uint32 {
	target, ok := memory.Read(uint32(args[0]), uint32(args[1]))
	if !ok {
		return errnoFault
	}
	g.charge(int64(len(target)) * unitsRandomByte)
	if g.applying {
		g.noteRandom()
	}
	for i := range target {
		g.env.random ^= g.env.random << 13
		g.env.random ^= g.env.random >> 7
		g.env.random ^= g.env.random << 17
		target[i] = byte(g.env.random)
	}
	return errnoSuccess
}

// pollOneoff is poll_oneoff(subscriptions, events, count, result): waiting for a clock moves the clock, at
// once; there is nothing else to wait for.
func pollOneoff(g *Guest, memory api.Memory, args []uint64) uint32 {
	const subscriptionSize, eventSize = 48, 32
	count := uint32(args[2])
	if count == 0 || count > 64 {
		return errnoInval
	}
	subscriptions, ok := memory.Read(uint32(args[0]), count*subscriptionSize)
	if !ok {
		return errnoFault
	}
	g.charge(int64(len(subscriptions)) * unitsByte)
	events := make([]byte, 0, count*eventSize)
	for ; len(subscriptions) > 0; subscriptions = subscriptions[subscriptionSize:] {
		event := make([]byte, eventSize)
		copy(event, subscriptions[:8]) // the guest's own mark
		event[10] = subscriptions[8]   // the kind of event
		if subscriptions[8] == 0 {
			timeout := binary.LittleEndian.Uint64(subscriptions[24:])
			if absolute := subscriptions[40]&1 != 0; absolute {
				g.env.monotonic = max(g.env.monotonic, timeout)
			} else {
				g.env.monotonic += timeout
			}
		} else {
			binary.LittleEndian.PutUint16(event[8:], errnoNotsup)
		}
		events = append(events, event...)
	}
	if !memory.Write(uint32(args[1]), events) || !memory.WriteUint32Le(uint32(args[3]), count) {
		return errnoFault
	}
	return errnoSuccess
}

// outputBytesMax bounds what one call of fd_write has the host look at; a guest can name its whole memory a
// thousand times.
const outputBytesMax = 64 << 10

// fdWrite is fd_write(fd, iovs, count, result): standard output and standard error become log lines.
func fdWrite(g *Guest, memory api.Memory, args []uint64) uint32 {
	fd, count := uint32(args[0]), uint32(args[2])
	if fd != 1 && fd != 2 {
		return errnoBadf
	}
	if count > 1024 {
		return errnoInval
	}
	iovs, ok := memory.Read(uint32(args[1]), count*8)
	if !ok {
		return errnoFault
	}
	written, room := uint32(0), outputBytesMax
	for ; len(iovs) > 0; iovs = iovs[8:] {
		text, ok := memory.Read(binary.LittleEndian.Uint32(iovs), binary.LittleEndian.Uint32(iovs[4:]))
		if !ok {
			return errnoFault
		}
		written += uint32(len(text))
		seen := min(len(text), room)
		g.charge(int64(seen+8) * unitsByte)
		g.output[fd-1].write(g, text[:seen])
		room -= seen
	}
	if !memory.WriteUint32Le(uint32(args[3]), written) {
		return errnoFault
	}
	return errnoSuccess
}

// fdStat is fd_fdstat_get(fd, result): the standard descriptors are terminals without rights.
func fdStat(_ *Guest, memory api.Memory, args []uint64) uint32 {
	if uint32(args[0]) > 2 {
		return errnoBadf
	}
	const size, characterDevice = 24, 2
	stat := make([]byte, size)
	stat[0] = characterDevice
	if !memory.Write(uint32(args[1]), stat) {
		return errnoFault
	}
	return errnoSuccess
}

// procExit is proc_exit(code). It ends the call; the instance is thrown away as after every fault.
func procExit(_ *Guest, _ api.Memory, stack []uint64) {
	panic(sys.NewExitError(uint32(stack[0])))
}
