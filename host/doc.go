// Package host is the sandbox of projection modules: it compiles a .wasm file once, checks what it imports and exports,
// reads its description, and applies batches of events in sandboxed instances. The process that reads events and
// commits rows is package segments.
//
//	events ─► encode ─► guest (WASM) ─► decode ─► mutations
//
// A module is loaded:
//
//	registry.go      a folder of modules; registry_load.go loads them, and watch.go what changes in it
//	settings.go      what operators set for single modules
//	file.go          the bytes of a file; trust.go decides whether they are trusted
//	compile.go       metered, then compiled into the cache by a child process, or in this one
//	semaphore.go     how many are read and compiled at once
//	meter/           what is refused before the engine sees it; the pass that makes guests count their work
//	compiler/        the child process: its limits of memory and time
//	cache.go         which module's code the cache has, and whether it can be trusted
//	runtime.go       the engine, its compilation cache and the functions that guests may import
//	module.go        one compiled module: imports, exports, description
//	description.go   what a module says of itself
//
// A batch is applied:
//
//	guest.go         Guest.Apply: a batch into a guest, mutations out; one instance at a time, thrown away after a fault
//	instances.go     whether it serves several batches
//	image.go         resets an instance to its state after the start
//	ownership.go     the partition keys of the events, and whose rows a mutation or query may touch
//	encode.go        events to a batch
//	call.go          one call of what the guest exports
//	turns.go         how many guests run at once
//	limits.go        what a guest may take; limits_table.go shows it
//	fuel.go          the work that a guest may do, and how the host ends it
//	memory.go        the memory that a guest may have
//	deadline.go      the time limit of a guest
//	imports.go       "pup": log and query
//	wasi.go          the few functions of WASI that Go and TinyGo link, without clock, files or randomness
//	output.go        what a guest writes to its standard output and standard error
//	decode.go        a reply to mutations
//	warnings.go      what a guest should not do, and is no fault
//	fault.go         what a guest did wrong
//	trap.go          what is known of a trap: memory, stack, the guest's last message
//	find_event.go    which event of a batch a fault comes from
//
// A fault of a guest is data: it comes back as a [*Fault], and neither the host nor another module notices.
// The package knows the row types of package store but no database.
package host
