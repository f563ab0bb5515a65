package mysql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestPublished_typesOfAView has a view of columns of every type, and of what is computed. Rows are found by their values.
func TestPublished_typesOfAView(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	p := &store.Projection{Name: "typed", Version: 1, Tables: []store.Table{{
		Name: "box", Key: []string{"id"}, Columns: []store.Column{
			{Name: "id", Type: kind(store.KindI64), Partition: true},
			{Name: "a", Type: kind(store.KindBool)},
			{Name: "b", Type: kind(store.KindF64)},
			{Name: "c", Type: kind(store.KindNumeric)},
			{Name: "d", Type: kind(store.KindText)},
			{Name: "e", Type: kind(store.KindBytes)},
			{Name: "f", Type: kind(store.KindUUID)},
			{Name: "g", Type: kind(store.KindTimestamp)},
			{Name: "h", Type: kind(store.KindJSON)},
			{Name: "i", Type: store.Type{Kind: store.KindI64, Array: true}},
		},
	}}, Views: []store.View{{Name: "seen", SQL: store.Statement{store.DialectAny: `SELECT id, a, b, c, d, e, f, g, h, i,
		id + 1 AS j, id / 2 AS k, upper(d) AS l, NULL AS m, count(*) OVER () AS n FROM {box}`}}}}
	if _, err := s.Install(t.Context(), p, 1); err != nil {
		t.Fatal(err)
	}
	execute(t, db, fmt.Sprintf("INSERT INTO %s__typed__v1.box VALUES (1, true, 0.5, 1.50, 'é', x'00ff', x'%032x', "+
		"'2024-02-29 12:00:00.5', '{}', '[1]'), (2, NULL, NULL, NULL, 'f', NULL, NULL, NULL, NULL, NULL)", at.Name, 7))
	published, err := s.Published(t.Context(), "typed")
	if err != nil {
		t.Fatal(err)
	}
	view := published.Tables[1]
	var types []string
	for _, c := range view.Columns {
		types = append(types, c.Name+" "+c.Type.String())
	}
	if got, want := strings.Join(types, ", "), "id i64, a bool, b f64, c numeric, d text, e bytes, f uuid, g timestamptz, h text, "+
		"i text, j i64, k numeric, l text, m null, n i64"; got != want {
		t.Errorf("the columns are %s, want %s", got, want)
	}
	var all, one store.Rows
	first := store.ColumnValue{Column: "id", Value: store.I64(1)}
	request := store.RowsRequest{Projection: published, Table: "seen", Where: []store.ColumnValue{first}}
	if err := s.ReadRows(t.Context(), request, &all); err != nil {
		t.Fatal(err)
	}
	for at, c := range view.Columns {
		if all.Values[at].IsNull() {
			continue
		}
		request.Where = []store.ColumnValue{{Column: c.Name, Value: all.Values[at]}, first}
		if err := s.ReadRows(t.Context(), request, &one); err != nil || len(one.Values) != len(view.Columns) {
			t.Errorf("by %s: %d values, %v", c.Name, len(one.Values), err)
		}
	}
}

// TestCompare_longValues compares rows as a whole that are the same for longer than MariaDB sorts by.
func TestCompare_longValues(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	for version := 1; version <= 2; version++ {
		p := &store.Projection{Name: "long", Version: version, Order: store.OrderGlobal, Tables: []store.Table{{
			Name: "line", Columns: []store.Column{{Name: "a", Type: kind(store.KindText)}, {Name: "b", Type: kind(store.KindBytes)}},
		}}}
		if _, err := s.InstallBeside(t.Context(), p, 1); err != nil {
			t.Fatal(err)
		}
		execute(t, db, fmt.Sprintf(`INSERT INTO %s__long__v%d.line SELECT CONCAT(REPEAT('x', 3000), seq %% 7),
			IF(seq %% 11 = 0, NULL, CONCAT(REPEAT('y', 3000), seq %% 5)) FROM seq_1_to_2000 ORDER BY RAND()`, at.Name, version))
	}
	execute(t, db, fmt.Sprintf("INSERT INTO %s__long__v2.line VALUES (REPEAT('x', 3001), NULL)", at.Name))
	comparison, err := s.Compare(t.Context(), store.ProjectionID{Name: "long", Version: 1},
		store.ProjectionID{Name: "long", Version: 2}, 5, func() {})
	if err != nil {
		t.Fatal(err)
	}
	table := comparison.Tables[0]
	if table.Rows != [2]int64{2000, 2001} || table.Only != [2]int64{0, 1} || len(table.Examples) != 1 {
		t.Errorf("of rows %v only %v, with %d examples", table.Rows, table.Only, len(table.Examples))
	}
}
