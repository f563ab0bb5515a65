package pup

// unregistered is the index of a handle that belongs to no registered projection.
const unregistered = -1

// change is what a mutation names: an entry of the catalogue of writes, or of that of messages, which are counted on
// from it.
type change struct {
	origin
	table  *Table // that has to be listed; nil when list has to have the entry itself
	list   string // the field of Projection
	params []Type
	index  int
}

// unlistedFault says of a handle that belongs to no registered projection what has to be listed.
//
//go:noinline
func unlistedFault(table *Table, list string) string {
	if table != nil {
		return "its table " + table.name + " is not among the Tables of the registered projection: list it there"
	}
	return "it is not among the " + list + " of the registered projection: list it there"
}

// Write is the handle of one entry of the catalogue of writes. It is made by a [Table]'s methods or by
// [NewStatement].
type Write struct {
	change
	action  string
	columns []writeColumn
	sql     SQL
	promise
}

type writeColumn struct{ name, action string }

// Assignment says what an upsert does with some columns of a row that exists. It is made by Set, Add, Min, Max
// and IfNull.
type Assignment struct {
	action  string
	columns []string
}

// Set replaces the columns by the given values, also by NULL.
func Set(columns ...string) Assignment { return Assignment{"set", columns} }

// Add adds the given values to the columns, which are i64 or numeric. Adding NULL changes nothing.
func Add(columns ...string) Assignment { return Assignment{"add", columns} }

// Min keeps the lesser value of columns that are i64, numeric or timestamptz. NULL counts as absent.
func Min(columns ...string) Assignment { return Assignment{"min", columns} }

// Max keeps the greater value of columns that are i64, numeric or timestamptz. NULL counts as absent.
func Max(columns ...string) Assignment { return Assignment{"max", columns} }

// IfNull sets columns that are NULL, and leaves others alone.
func IfNull(columns ...string) Assignment { return Assignment{"if-null", columns} }

// SQL is the text of a statement. In it {name} is a table of the projection, and $1, $2, … are the parameters.
type SQL struct {
	Any      string // for every database without a text of its own
	Postgres string // for PostgreSQL
	SQLite   string // for SQLite
	MySQL    string // for MariaDB
}

func (s SQL) isZero() bool { return s == SQL{} }

// NewStatement declares a write by a SQL statement with parameters of the given types. It is listed in
// [Projection].Statements. Statements run in the order of their rows and cannot be folded: prefer a [Table]'s writes.
func NewStatement(name string, sql SQL, params ...Type) *Write {
	entry := change{origin: origin{"write", name}, list: "Statements", params: params, index: unregistered}
	return &Write{change: entry, sql: sql}
}

// promise is what the author of a statement or query says of the rows that it touches.
type promise struct {
	partitionParam int
	unordered      bool
}

// PartitionParam says which parameter of the statement, counted from 1, holds the partition key, and promises
// that the statement touches rows of that key only. The host checks the parameter of every row, and that all
// tables of the statement have a key column that is marked by [Column.Partition]. It returns the write.
func (w *Write) PartitionParam(n int) *Write {
	w.partitionParam = n
	return w
}

// Unordered promises that the statement gives the same rows in any order of the events and with any number of
// segments. Nothing checks that, and statements of several workers may wait for each other. It returns the
// write.
func (w *Write) Unordered() *Write {
	w.unordered = true
	return w
}

// Row begins a row of the write, caused by e, and returns it for the values to be given in order:
//
//	bump.Row(out, e).Text(e.AggregateID()).I64(1)
//
// The row belongs to out and is complete when its last value is given. A wrong type or a missing value fails
// the batch once Handle has returned, with a message that names the write.
func (w *Write) Row(out *Mutations, e Event) *Row {
	return out.begin(&w.change, e.index)
}

func (w *Write) addColumn(t *Table, name, action string) {
	column := t.column(name)
	if column.key {
		misuse("write " + w.name + ": column " + name + " is part of the key, which comes first by itself")
	}
	w.columns = append(w.columns, writeColumn{name, action})
	w.params = append(w.params, column.typ)
}
