package pup

// Type is the type of a table's column, of a statement's parameter or of a query's result.
type Type uint8

// The types. The comment names the method of [Row] that writes one.
const (
	TypeBool      Type = 1 + iota // Row.Bool
	TypeI64                       // Row.I64
	TypeF64                       // Row.F64
	TypeNumeric                   // Row.Numeric and Row.Scaled: exact decimals
	TypeText                      // Row.Text: UTF-8 without the character NUL
	TypeBytes                     // Row.Bytes
	TypeJSON                      // Row.JSON
	TypeTimestamp                 // Row.Timestamp: microseconds since 1970-01-01 UTC
	TypeUUID                      // Row.UUID
)

const (
	kindNull Type = 0
	arrayBit Type = 0x80
)

var typeNames = [...]string{"null", "bool", "i64", "f64", "numeric", "text", "bytes", "json", "timestamptz", "uuid"}

// Array returns the type of arrays of t, whose elements may be NULL. Arrays have one dimension.
func (t Type) Array() Type { return t | arrayBit }

// String returns the name that the type has in a description, such as "i64" or "text[]".
func (t Type) String() string {
	element := t &^ arrayBit
	if int(element) >= len(typeNames) {
		return "unknown"
	}
	if t != element {
		return typeNames[element] + "[]"
	}
	return typeNames[element]
}
