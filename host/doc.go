// Package host runs projection modules: it compiles a .wasm file once, checks what it imports and exports, reads its
// description, and applies batches of events in sandboxed instances.
//
//	events ─► encode ─► guest (WASM) ─► decode ─► mutations
//
//	runtime.go      the engine, its compilation cache and the functions that guests may import
//	imports.go      "pup": log and query
//	wasi.go         the few functions of WASI that the runtimes of Go and TinyGo link, without clock, files or randomness
//	meter/          what is refused before the engine sees it; the pass that makes guests count their work
//	compile.go      a module compiled by a child process into the cache, or in this one; semaphore.go bounds how many at once
//	cache.go        what the cache has of which module, and whether it can be trusted
//	compiler/       the child process: its limits of memory and time
//	module.go       one compiled module: imports, exports, description
//	description.go  what a module says of itself
//	guest.go        one instance at a time, thrown away after a fault
//	call.go         calls of what a guest exports
//	instances.go    whether it serves several batches
//	image.go        an instance put back to what it was when it had started
//	fuel.go         the work that a guest may do, and how the host ends it
//	memory.go       the memory that a guest may have
//	deadline.go     the time limit of a guest
//	turns.go        how many guests run at once
//	encode.go       events to a batch
//	decode.go       a reply to mutations
//	fault.go        what a guest did wrong
//	trap.go         what is known of a trap: memory, stack, the guest's last words
//	output.go       what a guest writes to its standard output and standard error
//	find_event.go   which event of a batch a fault comes from
//	warnings.go     what a guest should not do, and is no fault
//	registry.go     a folder of modules
//	watch.go        hot reload
//
// A fault of a guest is data: it comes back as a [*Fault], and neither the host nor another module notices.
// The package knows the row types of package store but no database.
package host
