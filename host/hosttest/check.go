package hosttest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pupwasm/pupwasm/host/meter"
)

// Check says what of the specification a module breaks that can be seen without running it: its structure,
// with counts that fit their sections; what code declares; imports, exports and memory. It does not replace
// an engine's validation, and is safe with any bytes.
func Check(wasm []byte) error {
	contents, err := meter.Inspect(wasm)
	if err != nil {
		return fmt.Errorf("it %w", err)
	}
	if contents.Start != nil && !hasSignature(contents.Start, signatureNone) {
		return errors.New("its start function has parameters or results")
	}
	if err := checkImports(contents.Imports); err != nil {
		return err
	}
	return checkExports(contents.Exports)
}

// hasSignature tells whether a function, which may be nil, has a type.
func hasSignature(function *meter.Signature, want Signature) bool {
	same := func(types []byte, want []ValType) bool {
		return slices.EqualFunc(types, want, func(a byte, b ValType) bool { return a == byte(b) })
	}
	return function != nil && same(function.Params, want.Params) && same(function.Results, want.Results)
}

func checkImports(imports []meter.Import) error {
	allowed := AllowedImports()
	for _, i := range imports {
		at := slices.IndexFunc(allowed, func(a Import) bool { return a.Module == i.Module && a.Name == i.Name })
		switch {
		case i.Function == nil:
			return fmt.Errorf("it imports %s.%s, which is not a function (a table or global)", i.Module, i.Name)
		case at < 0:
			return fmt.Errorf("it imports %s.%s, which guests may not use", i.Module, i.Name)
		case !hasSignature(i.Function, allowed[at].Signature):
			return fmt.Errorf("it imports %s.%s with another signature than the host's", i.Module, i.Name)
		}
	}
	return nil
}

func checkExports(exports []meter.Export) error {
	required := []struct {
		name      string
		signature Signature
		optional  bool
	}{
		{"pup_abi_1", signatureVersion, false},
		{"pup_describe", signatureDescribe, false},
		{"pup_reserve", signatureReserve, false},
		{"pup_apply", signatureApply, false},
		{"_initialize", signatureNone, true},
	}
	for _, want := range required {
		at := slices.IndexFunc(exports, func(e meter.Export) bool { return e.Name == want.name })
		switch {
		case at < 0 && want.optional:
		case at < 0:
			return fmt.Errorf("it exports no %s", want.name)
		case !hasSignature(exports[at].Function, want.signature):
			return fmt.Errorf("it exports %s with another signature than the ABI's", want.name)
		}
	}
	if !slices.Contains(exports, meter.Export{Name: "memory", Kind: byte(ExternMemory)}) {
		return errors.New(`it exports no memory called "memory"`)
	}
	return nil
}
