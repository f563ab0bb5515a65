// Package hosttest is the conformance kit of the ABI, for both of its sides: it tries any guest module
// against the specification in package abi, and any host against guests that break it. It knows packages abi
// and meter and the standard library only, no engine and no host.
//
// # A guest
//
// [Check] looks at a module's bytes. [CheckGuest] runs it, in whichever engine: give it a function that
// starts an instance.
//
//	err := hosttest.CheckGuest(ctx, hosttest.Subject{
//		Wasm:  wasm,
//		Start: func(ctx context.Context) (hosttest.Instance, error) { return start(ctx, wasm) },
//		Events: []hosttest.Event{{AggregateType: "order", EventType: "OrderPlaced", Payload: payload, …}},
//	})
//
// An [Instance] calls exports and reads and writes memory; a few lines make one of an instance of wazero,
// wasmtime or a browser. Its imports are those of the specification ([AllowedImports]). With events that the
// projection knows, the kit sees more: the same events must give the same mutations whatever a host chooses
// and whatever the instance did before.
//
// # A host
//
// [RunHost] runs all guests of [Unusual], which have to be accepted, and of [Hostile], which have to be
// refused at their stage:
//
//	load ──────► instantiate ──────► apply
//	binary       start function      pup_reserve, pup_apply
//	imports      _initialize         time, stack, memory
//	exports      data, elements      addresses of the reply
//	description                      the reply's format and values
//
// A host whose tests want more of one guest takes it from the list by name, or builds one:
//
//	g := hosttest.Guest{Reply: hosttest.Reply(hosttest.Count(0, "a", 1))}  // answers every batch like this
//	g := hosttest.Guest{Apply: hosttest.Unreachable}                       // traps
//	wasm := g.Wasm()
//
// [Module] below it encodes any module from sections and instructions, right or wrong, without a toolchain.
package hosttest
