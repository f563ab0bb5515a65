package hosttest

func hostileExports() []HostileGuest {
	names := []string{"memory", "pup_abi_1", "pup_describe", "pup_reserve", "pup_apply"}
	var list []HostileGuest
	for _, name := range names {
		missing := &Guest{Export: func(e Export) Export {
			if e.Name == name {
				e.Name = ""
			}
			return e
		}}
		list = append(list, refused(StageLoad, "export_missing_"+name, missing.Wasm(), name))
		global := &Guest{
			Edit: func(m *Module) { m.Global(I32, false, I32Const(0)) },
			Export: func(e Export) Export {
				if e.Name == name {
					e.Kind, e.Index = ExternGlobal, 0
				}
				return e
			},
		}
		list = append(list, refused(StageLoad, "export_is_a_global_"+name, global.Wasm(), name))
	}
	mistyped := func(name, function string, s Signature) {
		index := uint32(0)
		g := &Guest{
			Edit: func(m *Module) { index = m.Func(s, nil, Unreachable) },
			Export: func(e Export) Export {
				if e.Name == function {
					e.Index = index
				}
				return e
			},
		}
		if function == "_initialize" {
			g.Initialize = Nop
		}
		list = append(list, refused(StageLoad, "export_mistyped_"+name, g.Wasm(), function))
	}
	mistyped("abi_returns_i64", "pup_abi_1", Signature{Results: []ValType{I64}})
	mistyped("abi_takes_a_parameter", "pup_abi_1", Signature{Params: []ValType{I32}, Results: []ValType{I32}})
	mistyped("abi_returns_nothing", "pup_abi_1", Signature{})
	mistyped("describe_returns_i32", "pup_describe", Signature{Results: []ValType{I32}})
	mistyped("describe_returns_two_numbers", "pup_describe", Signature{Results: []ValType{I32, I32}})
	mistyped("describe_takes_a_parameter", "pup_describe", Signature{Params: []ValType{I32}, Results: []ValType{I64}})
	mistyped("reserve_takes_i64", "pup_reserve", Signature{Params: []ValType{I64}, Results: []ValType{I32}})
	mistyped("reserve_returns_i64", "pup_reserve", Signature{Params: []ValType{I32}, Results: []ValType{I64}})
	mistyped("reserve_takes_nothing", "pup_reserve", Signature{Results: []ValType{I32}})
	mistyped("reserve_returns_nothing", "pup_reserve", Signature{Params: []ValType{I32}})
	mistyped("apply_takes_one_parameter", "pup_apply", Signature{Params: []ValType{I32}, Results: []ValType{I64}})
	mistyped("apply_takes_three_parameters", "pup_apply",
		Signature{Params: []ValType{I32, I32, I32}, Results: []ValType{I64}})
	mistyped("apply_takes_a_float", "pup_apply", Signature{Params: []ValType{I32, F32}, Results: []ValType{I64}})
	mistyped("apply_returns_i32", "pup_apply", Signature{Params: []ValType{I32, I32}, Results: []ValType{I32}})
	mistyped("apply_returns_nothing", "pup_apply", Signature{Params: []ValType{I32, I32}})
	mistyped("initialize_takes_a_parameter", "_initialize", Signature{Params: []ValType{I32}})
	mistyped("initialize_returns_a_number", "_initialize", Signature{Results: []ValType{I32}})
	return append(list,
		refused(StageLoad, "abi_2_only", renamed("pup_abi_1", "pup_abi_2"), "version", "pup_abi"),
		refused(StageLoad, "abi_1_returns_2", (&Guest{Version: I32Const(2)}).Wasm(), "pup_abi_1", "version"),
		refused(StageLoad, "abi_1_returns_0", (&Guest{Version: I32Const(0)}).Wasm(), "pup_abi_1", "version"),
		refused(StageLoad, "abi_1_traps", (&Guest{Version: Unreachable}).Wasm(), "pup_abi_1", "unreachable"),
		refused(StageLoad, "export_misspelt_memory", renamed("memory", "Memory"), "memory"),
	)
}

// renamed is a guest that exports something under another name.
func renamed(from, to string) []byte {
	return (&Guest{Export: func(e Export) Export {
		if e.Name == from {
			e.Name = to
		}
		return e
	}}).Wasm()
}

func hostileImports() []HostileGuest {
	i32s := func(n int) []ValType {
		types := make([]ValType, n)
		for i := range types {
			types[i] = I32
		}
		return types
	}
	result := []ValType{I32}
	pathOpen := append(i32s(5), I64, I64, I32, I32)
	imports := []struct {
		name, module, function string
		signature              Signature
	}{
		{"of_env_foo", "env", "foo", Signature{}},
		{"of_go_js", "gojs", "runtime.wasmExit", Signature{Params: i32s(1)}},
		{"of_an_unnamed_module", "", "", Signature{}},
		{"of_pup_unknown", "pup", "unknown", Signature{}},
		{"of_pup_in_capitals", "PUP", "log", signatureLog},
		{"of_pup_log_without_level", "pup", "log", Signature{Params: i32s(2)}},
		{"of_pup_log_with_a_result", "pup", "log", Signature{Params: i32s(3), Results: result}},
		{"of_pup_query_with_three_parameters", "pup", "query", Signature{Params: i32s(3), Results: result}},
		{"of_pup_query_without_a_result", "pup", "query", Signature{Params: i32s(4)}},
		{"of_wasi_path_open", "wasi_snapshot_preview1", "path_open", Signature{Params: pathOpen, Results: result}},
		{"of_wasi_path_unlink_file", "wasi_snapshot_preview1", "path_unlink_file", Signature{Params: i32s(3), Results: result}},
		{"of_wasi_sock_send", "wasi_snapshot_preview1", "sock_send", Signature{Params: i32s(5), Results: result}},
		{"of_wasi_proc_raise", "wasi_snapshot_preview1", "proc_raise", Signature{Params: i32s(1), Results: result}},
		{"of_wasi_fd_write_with_two_parameters", "wasi_snapshot_preview1", "fd_write", Signature{Params: i32s(2), Results: result}},
		{"of_wasi_proc_exit_with_a_result", "wasi_snapshot_preview1", "proc_exit", Signature{Params: i32s(1), Results: result}},
		{"of_wasi_unstable", "wasi_unstable", "fd_write", Signature{Params: i32s(4), Results: result}},
	}
	var list []HostileGuest
	for _, i := range imports {
		g := &Guest{Imports: []Import{{i.module, i.function, i.signature}}}
		list = append(list, refused(StageLoad, "import_"+i.name, g.Wasm(), "import", i.module+"."+i.function))
	}
	other := func(name string, kind Extern, description []byte) HostileGuest {
		g := &Guest{Edit: func(m *Module) { m.Import("pup", "thing", kind, description) }}
		return refused(StageLoad, name, g.Wasm(), "import", "memor", "table", "thing")
	}
	return append(list,
		other("import_of_a_global", ExternGlobal, GlobalType(I32, false)),
		other("import_of_a_mutable_global", ExternGlobal, GlobalType(I64, true)),
		other("import_of_a_table", ExternTable, TableType(Limits{Min: 1})),
		other("import_of_a_memory_beside_its_own", ExternMemory, MemoryType(Limits{Min: 1})),
	)
}

func hostileMemories() []HostileGuest {
	want := []string{"memor", "page", "section"}
	memory := func(name string, l Limits) HostileGuest {
		return refused(StageLoad, name, (&Guest{Memory: l}).Wasm(), want...)
	}
	with := func(edit func(m *Module)) []byte { return (&Guest{Edit: edit}).Wasm() }
	// The guest's own memory is replaced by the import.
	imported := (&Guest{Edit: func(m *Module) {
		m.Import("env", "memory", ExternMemory, MemoryType(Limits{Min: 1}))
	}}).Module()
	imported.Raw(SectionMemory, []byte{0})
	none := (&Guest{Export: func(e Export) Export {
		if e.Kind == ExternMemory {
			e.Name = ""
		}
		return e
	}}).Module()
	none.Raw(SectionMemory, []byte{0})
	const pages = MemoryMiB * 16
	return []HostileGuest{
		refused(StageLoad, "memory_imported", imported.Encode(), want...),
		refused(StageLoad, "memory_missing", none.Encode(), want...),
		refused(StageLoad, "memory_twice", with(func(m *Module) { m.Memory(Limits{Min: 1}) }), want...),
		memory("memory_shared", Limits{Min: 1, Max: 2, HasMax: true, Flags: 2}),
		memory("memory_of_64_bits", Limits{Min: 1, Flags: 4}),
		memory("memory_minimum_4_gib", Limits{Min: 65536}),
		memory("memory_minimum_beyond_4_gib", Limits{Min: 65537}),
		memory("memory_minimum_above_the_limit", Limits{Min: pages + 1}),
		memory("memory_maximum_below_minimum", Limits{Min: 2, Max: 1, HasMax: true}),
		refused(StageLoad, "table_minimum_80_mb", with(func(m *Module) { m.Table(Limits{Min: 10_000_000}) }), "table"),
		refused(StageLoad, "table_minimum_32_gib", with(func(m *Module) { m.Table(Limits{Min: 0xFFFFFFFF}) }), "table"),
		refused(StageLoad, "tables_that_are_large_together", with(func(m *Module) {
			for range 2000 {
				m.Table(Limits{Min: 90_000})
			}
		}), "table"),
	}
}
