package pup

import (
	"strconv"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

// Column declares a column of a table. It is made by a function named after its type and refined by its methods:
//
//	pup.I64("events").NotNull().Default(0)
type Column struct {
	name         string
	typ          Type
	key, notNull bool
	mark         string // the member of the description that says what a key column holds, or ""
	defaultJSON  string
	generated    SQL
	backfill     Backfill
}

// Bool declares a column of booleans.
func Bool(name string) Column { return Column{name: name, typ: TypeBool} }

// I64 declares a column of 64-bit integers.
func I64(name string) Column { return Column{name: name, typ: TypeI64} }

// F64 declares a column of binary floating point numbers. They cannot be added by an upsert, since their sum
// would depend on where batches begin.
func F64(name string) Column { return Column{name: name, typ: TypeF64} }

// Numeric declares a column of exact decimal numbers.
func Numeric(name string) Column { return Column{name: name, typ: TypeNumeric} }

// Text declares a column of text.
func Text(name string) Column { return Column{name: name, typ: TypeText} }

// Bytes declares a column of bytes.
func Bytes(name string) Column { return Column{name: name, typ: TypeBytes} }

// JSON declares a column of JSON. MariaDB holds 31 objects and arrays within each other, other databases more; what nests
// deeper is a value that fails its event there.
func JSON(name string) Column { return Column{name: name, typ: TypeJSON} }

// Timestamp declares a column of points in time, which have microseconds and no time zone of their own.
func Timestamp(name string) Column { return Column{name: name, typ: TypeTimestamp} }

// UUID declares a column of UUIDs.
func UUID(name string) Column { return Column{name: name, typ: TypeUUID} }

// Array makes it a column of arrays.
func (c Column) Array() Column {
	c.typ = c.typ.Array()
	return c
}

// Key makes the column a part of the table's key, in the order in which key columns are declared. A key column
// is never NULL.
func (c Column) Key() Column {
	c.key = true
	return c
}

// Partition marks a key column that holds the partition key of the event that causes the row (see
// [Projection].Partition). One worker then owns the row, and every write and query of it is possible. The
// column is text, i64, numeric, bool or uuid; the text of its value is the key: decimal digits, true or false,
// a UUID in lower case with hyphens. A table has one marked column.
//
//	pup.Text("customer_id").Key().Partition()
func (c Column) Partition() Column { return c.marked("partition") }

// Position marks a key column, of type i64, that holds the position of the event that causes the row, so that
// no other event can change it. Every write is possible then.
func (c Column) Position() Column { return c.marked("position") }

// EventID marks a key column, of type uuid, that holds the id of the event that causes the row. It does what
// Position does.
func (c Column) EventID() Column { return c.marked("event_id") }

func (c Column) marked(mark string) Column {
	if c.mark != "" {
		misuse("column " + c.name + " is marked twice, it can hold one thing")
	}
	c.mark = mark
	return c
}

// NotNull makes the database refuse NULL. A column that a write of new rows leaves out needs a default then, or
// the host refuses the module.
func (c Column) NotNull() Column {
	c.notNull = true
	return c
}

// Generated makes the database compute the column from other columns of the row, by an expression, and store
// it. No write gives it then; it can be indexed, loaded and used in checks, statements and views.
//
//	pup.I64("open_cents").Generated(pup.SQL{Any: "due_cents - paid_cents"})
func (c Column) Generated(sql SQL) Column {
	c.generated = sql
	return c
}

// Backfill is what a column has in rows that were made without it.
type Backfill string

// None is that they stay NULL there.
const None Backfill = "none"

// Backfill says that rows which were made without the column may stay so. A projection whose tables are there already
// then gets the column in place, under the same version:
//
//	pup.Text("note").Backfill(pup.None)
//
// Declare it behind the columns that are there. It is nullable, has no default, and is neither part of the key nor
// generated, or the host refuses the module. In a table that is made with it, as by a higher version, every row has
// what the module gives.
func (c Column) Backfill(rows Backfill) Column {
	c.backfill = rows
	return c
}

// Default sets what the column holds in a row that is inserted by a write that leaves the column out. The value
// is an int, an int64, a bool or a string; for a column of type numeric or f64 a string is a number's text,
// such as "0.5".
//
// It panics when the value does not suit the column.
func (c Column) Default(value any) Column {
	number := c.typ == TypeI64 || c.typ == TypeF64 || c.typ == TypeNumeric
	switch v := value.(type) {
	case int:
		c.defaultJSON = strconv.Itoa(v)
		mustSuit(&c, number)
	case int64:
		c.defaultJSON = strconv.FormatInt(v, 10)
		mustSuit(&c, number)
	case bool:
		c.defaultJSON = "false"
		if v {
			c.defaultJSON = "true"
		}
		mustSuit(&c, c.typ == TypeBool)
	case string:
		if c.typ == TypeText {
			c.defaultJSON = string(json.AppendString(nil, v))
		} else {
			c.defaultJSON = v
			mustSuit(&c, c.typ == TypeF64 || c.typ == TypeNumeric)
		}
	default:
		mustSuit(&c, false)
	}
	return c
}

func mustSuit(c *Column, suits bool) {
	if !suits {
		misuse("column " + c.name + " is " + c.typ.String() + ": its default does not suit that")
	}
}
