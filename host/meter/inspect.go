package meter

// Contents is what a module imports and exports.
type Contents struct {
	Imports []Import
	Exports []Export
	// Start is the type of the start function, or nil if there is none.
	Start *Signature
}

// Signature is the type of a function: the value types of its parameters and results, as the binary format has them.
type Signature struct{ Params, Results []byte }

// Import is a function, table or global that a module imports.
type Import struct {
	Module, Name string
	Function     *Signature // nil for tables and globals
}

// Export is what a module exports under a name.
type Export struct {
	Name     string
	Kind     byte // function, table, memory or global, as the binary format numbers them
	Index    uint32
	Function *Signature // nil for all but functions
}

// Inspect reads a module without changing it. It refuses what [Instrument] refuses, except for branches that
// lead nowhere.
func Inspect(wasm []byte) (*Contents, error) {
	m, err := parse(wasm)
	if err != nil {
		return nil, err
	}
	if _, err := m.analyse(); err != nil {
		return nil, err
	}
	c := &Contents{Imports: m.imports, Exports: m.exports}
	for i := range c.Exports {
		if e := &c.Exports[i]; e.Kind == kindFunction {
			e.Function = m.typeOf(e.Index)
		}
	}
	if m.start >= 0 {
		c.Start = m.typeOf(uint32(m.start))
	}
	return c, nil
}

// typeOf returns the type of a function.
func (m *module) typeOf(function uint32) *Signature { return &m.types[m.functions[function]] }
