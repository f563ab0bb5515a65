package hosttest

// wasiFunctions are the functions of wasi_snapshot_preview1 that the specification allows.
var wasiFunctions = []struct {
	name      string
	signature Signature
}{
	{"args_get", wasi("ii")},
	{"args_sizes_get", wasi("ii")},
	{"clock_time_get", wasi("ili")},
	{"environ_get", wasi("ii")},
	{"environ_sizes_get", wasi("ii")},
	{"fd_close", wasi("i")},
	{"fd_fdstat_get", wasi("ii")},
	{"fd_fdstat_set_flags", wasi("ii")},
	{"fd_prestat_dir_name", wasi("iii")},
	{"fd_prestat_get", wasi("ii")},
	{"fd_read", wasi("iiii")},
	{"fd_seek", wasi("ilii")},
	{"fd_write", wasi("iiii")},
	{"poll_oneoff", wasi("iiii")},
	{"proc_exit", Signature{Params: []ValType{I32}}},
	{"random_get", wasi("ii")},
	{"sched_yield", wasi("")},
}

// wasi is a signature with an error number as its result: i is i32, l is i64.
func wasi(params string) Signature {
	s := Signature{Results: []ValType{I32}}
	for _, p := range params {
		if p == 'l' {
			s.Params = append(s.Params, I64)
		} else {
			s.Params = append(s.Params, I32)
		}
	}
	return s
}

// wasiImports are the allowed functions of WASI as imports.
func wasiImports() []Import {
	var list []Import
	for _, f := range wasiFunctions {
		list = append(list, Import{"wasi_snapshot_preview1", f.name, f.signature})
	}
	return list
}

// AllowedImports are all functions that a guest may import.
func AllowedImports() []Import { return append(wasiImports(), ImportLog, ImportQuery) }
