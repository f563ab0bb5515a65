package trial

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// made is what a run is taken to have made: a database with the rows of tables by SQL, without a module.
func made(t *testing.T, projection *store.Projection, statements ...string) *Result {
	t.Helper()
	r := &Result{Projection: projection, Path: filepath.Join(t.TempDir(), "made.db")}
	db, err := sqlite.OpenSQL(r.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return r
}

func table(name string, key []string, columns ...string) store.Table {
	t := store.Table{Name: name, Key: key}
	for _, column := range columns {
		t.Columns = append(t.Columns, store.Column{Name: column})
	}
	return t
}

func projection(tables ...store.Table) *store.Projection {
	return &store.Projection{Name: "p", Version: 1, Tables: tables}
}

func TestCompare_findsRowsThatDiffer(t *testing.T) {
	t.Parallel()
	keyed := projection(table("t", []string{"k", "j"}, "v", "j", "k"))
	bare := projection(table("t", nil, "v"))
	const createKeyed, createBare = "CREATE TABLE p__t (v, j, k)", "CREATE TABLE p__t (v)"
	for _, c := range []struct {
		name          string
		projection    *store.Projection
		create        string
		before, after string // rows
		want          Difference
	}{
		{"no rows", keyed, createKeyed, "", "", Difference{}},
		{
			"the same rows", keyed, createKeyed, "(1, 1, 1), (NULL, 1, 2), (x'00', 2, 2), (1.5, 'x', 3)",
			"(1.5, 'x', 3), (x'00', 2, 2), (1, 1, 1), (NULL, 1, 2)",
			Difference{Rows: 4},
		},
		{
			"a row that is gone", keyed, createKeyed, "(1, 1, 1), (2, 2, 2)", "(1, 1, 1)",
			Difference{Rows: 2, Differ: 1, Was: "k=2 j=2 v=2"},
		},
		{
			"a row that is new", keyed, createKeyed, "(1, 1, 1)", "(1, 1, 1), (2, 2, 2)",
			Difference{Rows: 2, Differ: 1, Is: "k=2 j=2 v=2"},
		},
		{
			"rows that changed", keyed, createKeyed, "(1, 1, 1), (2, 2, 2), (3, 3, 3)", "(1, 1, 1), (2, 2, 9), ('3', 3, 3), (7, 2, 2)",
			Difference{Rows: 4, Differ: 3, Was: "k=2 j=2 v=2", Is: "k=2 j=2 v=7"},
		},
		{
			"NULL and its name", keyed, createKeyed, "(NULL, 1, 1)", "('NULL', 1, 1)",
			Difference{Rows: 1, Differ: 1, Was: `k=1 j=1 v=null`, Is: `k=1 j=1 v="NULL"`},
		},
		{
			"bytes", keyed, createKeyed, "(x'00ff', 1, x'01')", "(x'00fe', 1, x'01')",
			Difference{Rows: 1, Differ: 1, Was: `k="01" j=1 v="00ff"`, Is: `k="01" j=1 v="00fe"`},
		},
		{
			"a row twice", bare, createBare, "(1), (1), (2)", "(1), (2)",
			Difference{Rows: 3, Differ: 1, Was: "v=1", Is: "v=1"},
		},
		{
			"rows without a key", bare, createBare, "(1), (2)", "(2), (3)",
			Difference{Rows: 2, Differ: 1, Was: "v=1", Is: "v=3"},
		},
		{
			"a long row", bare, createBare, "(hex(zeroblob(400)))", "",
			Difference{Rows: 1, Differ: 1, Was: `v="` + strings.Repeat("0", rowTextMax-4) + "…"},
		},
	} {
		rows := func(values string) []string {
			statements := []string{c.create}
			if values != "" {
				statements = append(statements, "INSERT INTO p__t VALUES "+values)
			}
			return statements
		}
		c.want.Table = "t"
		got, err := Compare(t.Context(), made(t, c.projection, rows(c.before)...), made(t, c.projection, rows(c.after)...))
		if err != nil || !slices.Equal(got, []Difference{c.want}) {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

// TestCompare_ofOtherTables compares what both have.
func TestCompare_ofOtherTables(t *testing.T) {
	t.Parallel()
	before := made(t, projection(table("a", []string{"k"}, "k", "v", "old"), table("gone", nil, "x"), table("b", []string{"y"}, "y")),
		"CREATE TABLE p__a (k, v, old)", "INSERT INTO p__a VALUES (1, 2, 3), (4, 5, 6)", "CREATE TABLE p__gone (x)",
		"CREATE TABLE p__b (y)")
	other := projection(table("a", []string{"v"}, "new", "v", "k"), table("more", nil, "x"), table("b", nil, "z"))
	other.Name = "q"
	after := made(t, other,
		"CREATE TABLE q__a (new, v, k)", "INSERT INTO q__a VALUES (3, 2, 1), (6, 7, 4)", "CREATE TABLE q__more (x)",
		"CREATE TABLE q__b (z)")
	got, err := Compare(t.Context(), before, after)
	want := []Difference{{Table: "a", Rows: 2, Differ: 1, Was: "k=4 v=5", Is: "k=4 v=7"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if n, err := before.Rows(t.Context()); err != nil || n != 2 {
		t.Errorf("the first run has %d rows: %v", n, err)
	}
}

func TestCompare_ofColumnsWithTheNamesOfOurs(t *testing.T) {
	t.Parallel()
	p := projection(table("t", nil, "copies", "count", "other"))
	statements := []string{"CREATE TABLE p__t (copies, count, other)", "INSERT INTO p__t VALUES (1, 1, 1), (1, 1, 2)"}
	got, err := Compare(t.Context(), made(t, p, statements...), made(t, p, statements[0]))
	if want := (Difference{Table: "t", Rows: 2, Differ: 2, Was: "copies=1 count=1 other=1"}); err != nil || fmt.Sprint(got) != fmt.Sprint([]Difference{want}) {
		t.Errorf("%+v, %v", got, err)
	}
}
