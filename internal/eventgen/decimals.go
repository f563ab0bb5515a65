package eventgen

import (
	"go/types"
	"slices"
)

// decimalsFile is the file of a version's package that says how its decimals stand in JSON.
const decimalsFile = "decimals_gen.go"

// decimalsOf returns the methods of the decimals of a version, or nil where it has none.
func (s *source) decimalsOf(v *version) ([]byte, error) {
	scope := v.pkg.Types.Scope()
	names := slices.DeleteFunc(scope.Names(), func(name string) bool {
		object, is := scope.Lookup(name).(*types.TypeName)
		return !is || s.markOf(object).decimals < 0
	})
	if len(names) == 0 {
		return nil, nil
	}
	c := newCode("d", "text")
	typed := c.use(guestSDK+"/typed", "typed")
	for _, name := range names {
		decimals := s.markOf(scope.Lookup(name).(*types.TypeName)).decimals
		c.printf("// MarshalJSON writes the value as a number with %d decimals.\n", decimals)
		c.printf("func (d %s) MarshalJSON() ([]byte, error) {\nreturn %s.AppendDecimal(nil, int64(d), %d), nil\n}\n\n", name, typed,
			decimals)
		c.printf("// UnmarshalJSON reads a number of up to %d decimals, exactly.\n", decimals)
		c.printf("func (d *%s) UnmarshalJSON(text []byte) error {\nreturn %s.ParseDecimal(text, %d, (*int64)(d))\n}\n\n", name,
			typed, decimals)
	}
	return c.file("", v.pkg.Name)
}
