package hosttest

import (
	"fmt"
	"strings"
)

// hostileDescriptions are found at load, when pup_describe is called once.
func hostileDescriptions() []HostileGuest {
	text := func(name, description string, want ...string) HostileGuest {
		return refused(StageLoad, "description_"+name, (&Guest{Describe: description}).Wasm(), want...)
	}
	code := func(name string, description []byte, want ...string) HostileGuest {
		return refused(StageLoad, "description_"+name, (&Guest{Description: description}).Wasm(), want...)
	}
	// change replaces a part of the good description.
	change := func(name, old, replacement string, want ...string) HostileGuest {
		if !strings.Contains(Describe, old) {
			panic("hosttest: the description has no " + old)
		}
		return text(name, strings.Replace(Describe, old, replacement, 1), want...)
	}
	long := fmt.Sprintf("n%s", strings.Repeat("a", 100_000))
	cannotRead := []string{"JSON", "read", "descri"}
	return []HostileGuest{
		text("not_json", "name: hosttest\nversion: 1\n", cannotRead...),
		text("only_spaces", "   ", cannotRead...),
		text("null", "null", "name", "descri"),
		text("array", "["+Describe+"]", cannotRead...),
		text("empty_object", "{}", "name"),
		text("cut_off", Describe[:len(Describe)-1], cannotRead...),
		text("goes_on", Describe+"{}", "after", "descri"),
		text("nul_at_the_end", Describe+"\x00", "after", "descri"),
		text("nested_100000_deep", `{"description":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+"}",
			cannotRead...),
		change("unknown_member", `"version":1`, `"version":1,"subscriptions":{}`, "subscriptions", "unknown"),
		change("unknown_member_of_a_column", `"type":"i64"`, `"type":"i64","notnull":true`, "notnull", "unknown"),
		change("name_of_100000_letters", `"hosttest"`, `"`+long+`"`, "name"),
		change("name_empty", `"hosttest"`, `""`, "name"),
		change("name_leaves_its_quotes", `"hosttest"`, `"a\"; drop schema public cascade; --"`, "name"),
		change("name_in_capitals", `"hosttest"`, `"HostTest"`, "name"),
		change("name_not_utf8", `"hosttest"`, "\"host\xfftest\"", "name"),
		change("name_is_a_number", `"hosttest"`, `7`, "name"),
		change("version_0", `"version":1`, `"version":0`, "version"),
		change("version_missing", `,"version":1`, ``, "version"),
		change("version_is_a_fraction", `"version":1`, `"version":1.5`, "version", "number"),
		change("version_of_30_digits", `"version":1`, `"version":`+strings.Repeat("9", 30), "version", "number"),
		change("ordering_unknown", `"version":1`, `"version":1,"ordering":"random"`, "ordering"),
		change("column_unknown", `"event_type"`, `"event_typ"`, "event_typ"),
		change("type_unknown", `"type":"bool"`, `"type":"varchar(80)"`, "varchar"),
		change("type_array_of_arrays", `"type":"text[]"`, `"type":"text[][]"`, "text[][]"),
		change("column_twice", `{"name":"flag","type":"bool"}`, `{"name":"total","type":"i64"}`, "total", "twice"),
		change("column_name_leaves_its_quotes", `{"name":"flag","type":"bool"}`,
			`{"name":"a\" int, b","type":"bool"}`, "name", "column"),
		change("key_unknown", `"key":["id"]`, `"key":["identity"]`, "identity", "key"),
		change("write_to_an_unknown_table", `"action":"upsert","table":"things"`,
			`"action":"upsert","table":"events"`, "events", "table"),
		change("write_to_a_table_of_another_schema", `"action":"upsert","table":"things"`,
			`"action":"upsert","table":"pupwasm.events"`, "table"),
		change("write_action_unknown", `"action":"delete"`, `"action":"truncate"`, "truncate", "action"),
		change("write_adds_to_a_text", `{"name":"doc"}`, `{"name":"doc","action":"add"}`, "add"),
		change("write_twice", `"name":"remove"`, `"name":"count"`, "count", "twice"),
		change("query_of_an_unknown_column", `"columns":["total"]`, `"columns":["totals"]`, "totals"),
		change("limits_below_0", `"version":1`, `"version":1,"limits":{"memory_mib":-1}`, "limit", "memory_mib"),
		code("of_100_mib", Result(describeAddress, 100<<20), "limit", "memory", "large"),
		code("of_4_gib", Result(0, 0xFFFFFFFF), "limit", "memory", "large"),
		code("empty", Result(describeAddress, 0), cannotRead...),
		code("outside_memory", Result(0xFFFF0000, 16), "memory", "address"),
		code("address_and_length_overflow", Result(0xFFFFFFF0, 0x20), "memory", "address"),
		code("traps", Unreachable, "unreachable", "trap"),
		code("never_ends", forever, wantDeadline...),
		ofSpaces(),
	}
}

// ofSpaces is valid JSON of 8 MiB from a small module: a host that keeps descriptions keeps this.
func ofSpaces() HostileGuest {
	const size = 8 << 20
	g := &Guest{Memory: Limits{Min: size/pageSize + 2}}
	end := describeAddress + uint32(len(Describe))
	g.Description = Code(I32Const(end), I32Const(' '), I32Const(size-uint32(len(Describe))), MemoryFill,
		Result(describeAddress, size))
	return refused(StageLoad, "description_of_8_mib", g.Wasm(), "limit", "large")
}
