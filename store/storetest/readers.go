package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var readerCases = []testCase{
	{"views_show_the_rows_with_columns_in_order", readersRows},
	{"views_follow_to_the_next_version", readersFollow},
	{"views_follow_to_other_columns", readersOtherColumns},
	{"a_version_that_is_not_in_use_is_replaced", readersReplaced},
	{"a_projection_that_declares_nothing_any_more", readersBare},
	{"a_projection_of_queries_alone", readersQueries},
	{"a_name_that_is_taken", readersTaken},
	{"what_others_have_made_beside_the_views_stays", readersBeside},
	{"what_others_have_made_beside_the_tables_refuses_a_reset", readersInside},
	{"names_as_long_as_they_may_be", readersLongNames},
}

// columnsOf returns the names of the columns that readers see.
func (f *fixture) columnsOf(projection, table string) string {
	f.Helper()
	statement := `SELECT name FROM pragma_table_info('` + strings.Trim(f.Table(projection, table), `"`) + `') ORDER BY cid`
	switch f.dialect {
	case store.DialectPostgres:
		statement = `SELECT attname FROM pg_attribute WHERE attrelid = '` + f.Table(projection, table) +
			`'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`
	case store.DialectMySQL:
		statement = `SELECT column_name FROM information_schema.columns WHERE ` + named(f.Table(projection, table)) +
			` ORDER BY ordinal_position`
	}
	var names []string
	for _, row := range f.Query(f, statement) {
		names = append(names, row[0])
	}
	return strings.Join(names, " ")
}

// exists reports whether there is a table or view of that name.
func (f *fixture) exists(name string) bool {
	f.Helper()
	statement := `SELECT count(*) FROM sqlite_master WHERE name = '` + strings.Trim(name, `"`) + `'`
	switch f.dialect {
	case store.DialectPostgres:
		statement = `SELECT (to_regclass('` + name + `') IS NOT NULL)::integer`
	case store.DialectMySQL:
		statement = `SELECT count(*) FROM information_schema.tables WHERE ` + named(name)
	}
	return f.Query(f, statement)[0][0] == "1"
}

// named is the condition of MariaDB's catalogue for a table with its database.
func named(table string) string {
	database, name, _ := strings.Cut(strings.Trim(table, "`"), "`.`")
	return fmt.Sprintf("table_schema = '%s' AND table_name = '%s'", database, name)
}

// databaseOf is that of a table in MariaDB.
func databaseOf(table string) string {
	database, _, _ := strings.Cut(strings.Trim(table, "`"), "`.`")
	return database
}

// shared is totals with a view, and with columns whose order is not that of their names.
func shared(version int) *store.Projection {
	p := totals("sums")
	p.Version = version
	p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{Name: "a", Type: typed("text")})
	p.Views = []store.View{{Name: "large", SQL: anySQL("SELECT n AS size, name FROM {total} WHERE n > 1")}}
	return p
}

func readersRows(f *fixture) {
	r := f.running(shared(1))
	r.apply(put("a", 1), put("b", 2))
	for range 2 { // the second time there is nothing to do
		if got := f.view("sums", "total"); got != "a 1 NULL; b 2 NULL" {
			f.Errorf("the table's view has %q", got)
		}
		if got := f.view("sums", "large"); got != "2 b" {
			f.Errorf("the view's view has %q", got)
		}
		if table, view := f.columnsOf("sums", "total"), f.columnsOf("sums", "large"); table != "name n a" ||
			view != "size name" {
			f.Errorf("the columns are %q and %q", table, view)
		}
		_, err := f.store.Install(f.ctx, shared(1), 1)
		f.must(err)
	}
	f.Query(f, "DROP VIEW "+f.Table("sums", "total"))
	_, err := f.store.Install(f.ctx, shared(1), 1)
	f.must(err)
	if got := f.view("sums", "total"); got != "a 1 NULL; b 2 NULL" {
		f.Errorf("the view that was made again has %q", got)
	}
}

// readersFollow has a reader keep a statement prepared over the reset of a version and the install of the next.
func readersFollow(f *fixture) {
	r := f.running(shared(1))
	r.apply(put("a", 1))
	read := f.Prepare(f, "SELECT * FROM "+f.Table("sums", "total"))
	want := func(row ...string) {
		f.Helper()
		if got := read(); len(got) != 1 || !slices.Equal(got[0], row) {
			f.Errorf("the reader gets %v, want %v", got, row)
		}
	}
	want("a", "1", "NULL")
	r.apply(put("a", 1))
	want("a", "2", "NULL")
	for version := 2; version < 4; version++ {
		f.must(f.store.Leave(f.ctx, store.Worker{Name: worker}))
		f.must(f.store.Reset(f.ctx, "sums"))
		if f.exists(f.storedAs("sums", version-1, "total")) || f.exists(f.Table("sums", "total")) {
			f.Errorf("version %d is still there", version-1)
		}
		r = f.running(shared(version))
		r.apply(put("b", int64(version)))
		want("b", string(rune('0'+version)), "NULL")
	}
}

func readersOtherColumns(f *fixture) {
	f.running(shared(1)).apply(put("a", 1))
	f.must(f.store.Leave(f.ctx, store.Worker{Name: worker}))
	f.must(f.store.Reset(f.ctx, "sums"))
	next := shared(2)
	next.Tables[0].Columns = slices.Delete(next.Tables[0].Columns, 2, 3)
	next.Tables[0].Columns[1].Type = typed("numeric")
	next.Views = nil
	f.running(next).apply(mutate(totalsPut, store.Text("b"), store.BytesOf(store.KindNumeric, []byte("2.5"))))
	if got := f.view("sums", "total"); got != "b 2.5" {
		f.Errorf("the view has %q", got)
	}
	if f.exists(f.Table("sums", "large")) {
		f.Error("a view is there that is no longer declared")
	}
}

func readersReplaced(f *fixture) {
	f.claimed(f.store, shared(1), worker)
	read := f.Prepare(f, "SELECT count(*) FROM "+f.Table("sums", "total"))
	read()
	next := shared(3)
	next.Views = nil
	r := f.running(next)
	r.apply(put("a", 1))
	if got := read(); got[0][0] != "1" {
		f.Errorf("the reader counts %s rows", got[0][0])
	}
	if f.exists(f.stored("sums", "total")) || f.exists(f.stored("sums", "large")) || f.exists(f.Table("sums", "large")) {
		f.Error("something of the version that was replaced is there")
	}
	if got := f.status("sums"); got.Version != 3 {
		f.Errorf("status is %+v", got)
	}
}

// readersQueries installs, installs again and resets a projection that has a place and no tables in it.
func readersQueries(f *fixture) {
	p := &store.Projection{Name: "sums", Version: 1, Order: store.OrderGlobal, Queries: []store.Query{{
		Name: "one", SQL: anySQL("SELECT 1"), Results: types("i64"), Unordered: true,
	}}}
	if f.dialect == store.DialectPostgres {
		p.Queries[0].SQL = anySQL("SELECT 1::bigint")
	}
	for range 2 {
		for range 2 {
			_, err := f.store.Install(f.ctx, p, 1)
			f.must(err)
		}
		f.must(f.store.Reset(f.ctx, "sums"))
	}
	f.running(totals("sums")) // nothing is left in the way
}

// readersBare goes from a projection with tables to one that declares nothing, under the same version and a later one.
func readersBare(f *fixture) {
	for version := 1; version < 3; version++ {
		f.claimed(f.store, shared(1), worker)
		_, err := f.store.Install(f.ctx, &store.Projection{Name: "sums", Version: version, Order: store.OrderGlobal}, 1)
		f.must(err)
		if f.exists(f.stored("sums", "total")) || f.exists(f.Table("sums", "total")) || f.exists(f.Table("sums", "large")) {
			f.Errorf("something of the tables is left beside version %d", version)
		}
		places := map[store.Dialect]string{
			store.DialectPostgres: `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'sums%'`,
			store.DialectMySQL: `SELECT count(*) FROM information_schema.schemata
				WHERE schema_name LIKE '` + databaseOf(f.Table("sums", "total")) + `%'`,
		}
		if statement, has := places[f.dialect]; has {
			if left := f.Query(f, statement); left[0][0] != "0" {
				f.Errorf("%s schemas are left beside version %d", left[0][0], version)
			}
		}
		f.must(f.store.Leave(f.ctx, store.Worker{Name: worker}))
		f.must(f.store.Reset(f.ctx, "sums"))
	}
}

func readersTaken(f *fixture) {
	switch f.dialect {
	case store.DialectPostgres:
		f.Query(f, "CREATE SCHEMA sums")
	case store.DialectMySQL:
		f.Query(f, "CREATE DATABASE `"+databaseOf(f.Table("sums", "total"))+"`")
	}
	f.Query(f, "CREATE TABLE "+f.Table("sums", "total")+" (mine text)")
	f.wantCatalogueError("a table of the plain name", totals("sums"), "not the projection's")
	f.Query(f, "SELECT mine FROM "+f.Table("sums", "total"))
}

func readersBeside(f *fixture) {
	f.running(shared(1))
	f.Query(f, "CREATE TABLE "+f.Table("sums", "notes")+" (mine text)")
	for version := 2; version < 4; version++ {
		f.must(f.store.Leave(f.ctx, store.Worker{Name: worker}))
		f.must(f.store.Reset(f.ctx, "sums"))
		f.running(shared(version)).apply(put("a", 1))
		if got := f.view("sums", "total"); got != "a 1 NULL" {
			f.Errorf("the view has %q", got)
		}
	}
	f.Query(f, "SELECT mine FROM "+f.Table("sums", "notes"))
}

func readersInside(f *fixture) {
	r := f.running(shared(1))
	r.apply(put("a", 1))
	f.Query(f, "CREATE TABLE "+f.stored("sums", "notes")+" (mine text)")
	f.must(f.store.Leave(f.ctx, store.Worker{Name: worker}))
	var input *store.InputError
	if err := f.store.Reset(f.ctx, "sums"); !errors.As(err, &input) || !strings.Contains(err.Error(), "notes") ||
		strings.Contains(err.Error(), "\n") {
		f.Errorf("the reset returns %v", err)
	}
	if got := f.view("sums", "total"); got != "a 1 NULL" {
		f.Errorf("after the reset that was refused the view has %q", got)
	}
	f.Query(f, "DROP TABLE "+f.stored("sums", "notes"))
	f.must(f.store.Reset(f.ctx, "sums"))
}

func readersLongNames(f *fixture) {
	long := strings.Repeat("x", 30)
	p := totals(long)
	p.Version = 99_999_999
	p.Tables[0].Name = "t" + long[1:]
	p.Tables[0].Indexes = [][]string{{"n"}}
	for i := range p.Writes {
		if p.Writes[i].SQL == nil {
			p.Writes[i].Table = p.Tables[0].Name
		}
	}
	p.Queries = p.Queries[:1]
	p.Views = []store.View{{Name: "v" + long[1:], SQL: anySQL("SELECT n FROM {table}")}}
	f.running(p).apply(put("a", 1))
	if table, view := f.view(long, p.Tables[0].Name), f.view(long, p.Views[0].Name); table != "a 1" || view != "1" {
		f.Errorf("the views have %q and %q", table, view)
	}
	next := *p
	next.Version++
	f.wantCatalogueError("a version that is too long", &next, "version", "99999999")
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: worker}, time.Microsecond))
	f.await("the lease runs out", func() bool { return len(f.workers()) == 0 })
	f.must(f.store.Reset(f.ctx, long))
}
