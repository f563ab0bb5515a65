package pup

// Table declares a table of the projection and makes the handles that write to it and load from it.
type Table struct {
	name    string
	columns []Column
	key     []int // indexes into columns
	indexes [][]string
	checks  []check
	writes  []*Write
	queries []*Query
}

// check is a condition that every row of a table meets.
type check struct {
	name string
	sql  SQL
}

// NewTable declares a table. Tables are declared once, in package-level variables, and listed in [Projection].Tables.
func NewTable(name string, columns ...Column) *Table {
	t := &Table{name: name, columns: columns}
	for i := range columns {
		if columns[i].key {
			t.key = append(t.key, i)
		}
	}
	noteTable(t)
	return t
}

// Index adds an index over some columns and returns the table.
func (t *Table) Index(columns ...string) *Table {
	for _, name := range columns {
		t.column(name)
	}
	t.indexes = append(t.indexes, columns)
	return t
}

// Check adds a condition that every row of the table meets, as an expression over the columns of one row, and
// returns the table:
//
//	accounts.Check("covered", pup.SQL{Any: "paid_cents <= due_cents"})
//
// A batch with a row that does not meet it fails, as a whole. The database looks at each row as the write
// brings it, before it is added to what is stored, and at what comes of it: an amount that is added must meet
// the condition by itself too. The name is one like that of a column.
func (t *Table) Check(name string, sql SQL) *Table {
	t.checks = append(t.checks, check{name, sql})
	return t
}

// Upsert declares a write that inserts a row, or changes the row of that key by an action per column:
//
//	accounts.Upsert("pay", pup.Add("paid_cents", "payments"), pup.Set("paid_at"))
//
// Its rows are the key columns, then the listed columns in order. Without a list, all columns that are not part
// of the key nor generated are set. Rows of one batch and key are folded by the host, so that a batch costs one
// statement.
//
// It panics when the table has no such column.
func (t *Table) Upsert(name string, columns ...Assignment) *Write {
	if len(columns) == 0 {
		columns = []Assignment{Set(t.valueColumns()...)}
	}
	w := t.newWrite(name, "upsert")
	for _, assignment := range columns {
		for _, column := range assignment.columns {
			w.addColumn(t, column, assignment.action)
		}
	}
	return w
}

// Insert declares a write that inserts a row and fails when the key exists. Its rows are the key columns, then
// the listed columns; without a list, all columns that are not generated. A table without a key only knows this
// write.
func (t *Table) Insert(name string, columns ...string) *Write {
	return t.newInsert(name, "insert", columns)
}

// InsertIgnore declares a write that inserts a row and does nothing when the key exists. Its rows are like
// those of Insert.
func (t *Table) InsertIgnore(name string, columns ...string) *Write {
	return t.newInsert(name, "insert-ignore", columns)
}

// InsertKey declares a write that inserts a row of the key alone, with the defaults of the other columns, and
// does nothing when the key exists. Its rows are the key columns.
func (t *Table) InsertKey(name string) *Write { return t.newWrite(name, "insert-ignore") }

// Delete declares a write that deletes the row of a key, if there is one. Its rows are the key columns.
func (t *Table) Delete(name string) *Write { return t.newWrite(name, "delete") }

// Load declares a query that loads rows by key. It takes one array per key column and returns a row for every
// key that it finds: the index of the key in the arrays (i64), then the listed columns; without a list, all
// that are not part of the key nor generated.
//
// [NewFold] does this with less work in most cases.
func (t *Table) Load(name string, columns ...string) *Query {
	if len(columns) == 0 {
		columns = t.valueColumns()
	}
	q := &Query{origin: origin{"query", name}, table: t, columns: columns, results: []Type{TypeI64}, index: unregistered}
	for _, k := range t.key {
		q.params = append(q.params, t.columns[k].typ.Array())
	}
	for _, column := range columns {
		q.results = append(q.results, t.column(column).typ)
	}
	t.queries = append(t.queries, q)
	return q
}

func (t *Table) newInsert(name, action string, columns []string) *Write {
	if len(columns) == 0 {
		columns = t.valueColumns()
	}
	w := t.newWrite(name, action)
	for _, column := range columns {
		w.addColumn(t, column, "")
	}
	return w
}

func (t *Table) newWrite(name, action string) *Write {
	w := &Write{change: change{origin: origin{"write", name}, table: t, index: unregistered}, action: action}
	for _, k := range t.key {
		w.params = append(w.params, t.columns[k].typ)
	}
	t.writes = append(t.writes, w)
	return w
}

func (t *Table) column(name string) *Column {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	misuse("table " + t.name + " has no column " + name)
	return nil
}

// valueColumns returns the names of the columns that are not part of the key, and which writes give.
func (t *Table) valueColumns() []string {
	names := make([]string, 0, len(t.columns))
	for i := range t.columns {
		if !t.columns[i].key && t.columns[i].generated.isZero() {
			names = append(names, t.columns[i].name)
		}
	}
	return names
}
