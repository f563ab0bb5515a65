package meter_test

import (
	"slices"
	"strings"
	"testing"

	. "github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/host/meter"
)

// TestInstrument_refusesTooManyVariablesAndResults has modules at the limits and beyond.
func TestInstrument_refusesTooManyVariablesAndResults(t *testing.T) {
	t.Parallel()
	function := func(s Signature, locals uint32) func(m *Module) {
		return func(m *Module) { m.Func(s, []Locals{{Count: locals, Type: I64}}, Unreachable) }
	}
	many := func(count int) []ValType { return slices.Repeat([]ValType{I64}, count) }
	for _, test := range []struct {
		name string
		edit func(m *Module)
		want string
	}{
		{"variables", function(Signature{}, 2000), ""},
		{
			"variables_too_many", function(Signature{}, 2001),
			"has a function with 2001 variables or more, parameters included, the limit is 2000",
		},
		{"variables_and_parameters", function(Signature{Params: many(1000)}, 1000), ""},
		{"variables_and_parameters_too_many", function(Signature{Params: many(1000)}, 1001), "the limit is 2000"},
		{
			"parameters_too_many", function(Signature{Params: many(1001)}, 0),
			"has a function with 1001 parameters, the limit is 1000",
		},
		{"results", function(Signature{Results: many(16)}, 0), ""},
		{
			"results_too_many", function(Signature{Results: many(17)}, 0),
			"has a function or block with 17 results, the limit is 16",
		},
		{"results_of_a_block_too_many", func(m *Module) { m.Type(Signature{Results: many(17)}) }, "the limit is 16"},
	} {
		_, err := meter.Instrument(run(nil, I32Const(0), test.edit))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, must say %q", test.name, err, test.want)
		}
	}
}

// TestInstrument_refusesWhatOnlyThePassMakesValid has modules that are wrong in themselves, and would reach
// what the pass adds.
func TestInstrument_refusesWhatOnlyThePassMakesValid(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	refuel := func(global uint32) []byte { return Code(I64Const(1<<60), GlobalSet(global), I32Const(0)) }
	one := func(m *Module) { m.Global(I64, true, I64Const(0)) }
	for _, test := range []struct {
		name string
		wasm []byte
		want string
	}{
		{"global_behind_none", run(nil, refuel(0), nil), "global 0"},
		{"global_behind_one", run(nil, refuel(1), one), "global 1"},
		{"global_behind_two", run(nil, refuel(2), one), "global 2"},
		{"global_read", run(nil, Code(GlobalGet(0), Drop, I32Const(0)), nil), "global 0"},
		{"global_in_a_constant", run(nil, I32Const(0), func(m *Module) { m.Global(I64, true, GlobalGet(1)) }), "global 1"},
		{"global_exported", run(nil, I32Const(0), func(m *Module) { m.Export("fuel", ExternGlobal, 0) }), "global 0"},
		{"function_called", run(nil, Code(Call(1), I32Const(0)), nil), "function 1"},
		{"function_exported", run(nil, I32Const(0), func(m *Module) { m.Export("refill", ExternFunc, 1) }), "function 1"},
		{"function_in_the_table", run(nil, I32Const(0), func(m *Module) {
			m.Table(Limits{Min: 1})
			m.Elements(0, 1)
		}), "function 1"},
		{"function_at_the_start", run(nil, I32Const(0), func(m *Module) { m.Start(1) }), "function 1"},
		{"variable_behind_the_last", run(nil, Code(I64Const(-1<<60), LocalSet(1), I32Const(0)), nil), "variable 1"},
		{
			"variable_behind_that", run([]Locals{{Count: 3, Type: I64}}, Code(I32Const(0), LocalSet(5), I32Const(0)), nil),
			"variable 5",
		},
		{"variable_read", run(nil, Code(LocalGet(1), Drop, I32Const(0)), nil), "variable 1"},
		{"type_of_a_call", run(nil, Code(I32Const(0), CallIndirect(1),
			I32Const(0)), func(m *Module) { m.Table(Limits{Min: 1}) }), "type 1"},
		{"type_of_a_block", run(nil, Code([]byte{0x02, 1}, []byte{0x0B}, I32Const(0)), nil), "type 1"},
		{"branch_out_of_the_function", run(nil, Code(I32Const(0), Br(1)), nil), "branches out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if g, err := startBare(engine, test.wasm); err == nil {
				g.close()
				t.Error("the original is valid")
			}
			if _, err := meter.Instrument(test.wasm); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, must say %q", err, test.want)
			}
		})
	}
	taken := run(nil, I32Const(0), func(m *Module) { m.Export(meter.FuelLeft, ExternMemory, 0) })
	if _, err := meter.Instrument(taken); err == nil || !strings.Contains(err.Error(), "are the host's") {
		t.Errorf("error for an export with the host's name is %v", err)
	}
}

// TestInstrument_refusesElementsWithoutOffset has a valid module that the engine panics at, in all forms of
// such a segment.
func TestInstrument_refusesElementsWithoutOffset(t *testing.T) {
	t.Parallel()
	for _, segment := range [][]byte{{1, 0, 1, 0}, {3, 0, 1, 0}, {5, 0x70, 0}, {7, 0x70, 0}} {
		wasm := run(nil, I32Const(0), func(m *Module) {
			m.Table(Limits{Min: 1})
			m.Func(Signature{}, nil)
			m.Raw(SectionElement, append([]byte{1}, segment...))
		})
		if _, err := meter.Instrument(wasm); err == nil ||
			!strings.Contains(err.Error(), "table elements without an offset") {
			t.Errorf("segment % x: error is %v", segment, err)
		}
	}
}
