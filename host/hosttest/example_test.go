package hosttest_test

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"

	"github.com/pupwasm/pupwasm/host/hosttest"
)

// A module that adds two numbers, from its instructions.
func ExampleModule() {
	m := &hosttest.Module{}
	add := m.Func(hosttest.Signature{
		Params:  []hosttest.ValType{hosttest.I32, hosttest.I32},
		Results: []hosttest.ValType{hosttest.I32},
	}, nil,
		hosttest.LocalGet(0), hosttest.LocalGet(1), hosttest.I32Add)
	m.Export("add", hosttest.ExternFunc, add)

	ctx := context.Background()
	engine := wazero.NewRuntime(ctx)
	defer engine.Close(ctx)
	module, err := engine.Instantiate(ctx, m.Encode())
	if err != nil {
		fmt.Println(err)
		return
	}
	results, err := module.ExportedFunction("add").Call(ctx, 2, 3)
	fmt.Println(results, err)
	// Output: [5] <nil>
}

// A guest that counts two things at every batch.
func ExampleGuest() {
	g := &hosttest.Guest{Reply: hosttest.Reply(
		hosttest.Count(0, "order-1", 1),
		hosttest.Count(2, "order-2", 1),
	)}
	fmt.Println(hosttest.Check(g.Wasm()))
	// Output: <nil>
}

func ExampleCheck() {
	forgotten := &hosttest.Guest{Export: func(e hosttest.Export) hosttest.Export {
		if e.Name == "pup_reserve" {
			e.Name = ""
		}
		return e
	}}
	fmt.Println(hosttest.Check(forgotten.Wasm()))

	curious := &hosttest.Guest{Imports: []hosttest.Import{{Module: "wasi_snapshot_preview1", Name: "path_open"}}}
	fmt.Println(hosttest.Check(curious.Wasm()))

	fmt.Println(hosttest.Check([]byte("#!/bin/sh")))
	// Output:
	// it exports no pup_reserve
	// it imports wasi_snapshot_preview1.path_open, which guests may not use
	// it is not a WebAssembly module
}

func ExampleHostile() {
	for _, g := range hosttest.Hostile() {
		if g.Name == "reserve_unaligned_by_4" {
			fmt.Println(g.Stage, g.Want)
		}
	}
	// Output: apply [multiple of 8 aligned]
}
