package mysql_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

func typed(t testing.TB, name string) store.Type {
	t.Helper()
	parsed, err := store.ParseType(name)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// shop is a projection with two tables, an index, a check, a view, and a statement.
func shop(t testing.TB) *store.Projection {
	t.Helper()
	text, number := typed(t, "text"), typed(t, "i64")
	return &store.Projection{
		Name: "shop", Version: 1,
		Tables: []store.Table{
			{
				Name: "sale", Key: []string{"id"}, Indexes: [][]string{{"n"}},
				Columns: []store.Column{{Name: "id", Type: text, Partition: true}, {Name: "n", Type: number}},
				Checks:  []store.Check{{Name: "some", SQL: store.Statement{store.DialectAny: "n > 0"}}},
			},
			{Name: "day", Key: []string{"id"}, Columns: []store.Column{{Name: "id", Type: text}, {Name: "n", Type: number}}},
		},
		Views: []store.View{view("top", "SELECT id FROM {sale} WHERE n > 9")},
		Writes: []store.Write{
			{Name: "put", Action: store.Upsert, Table: "sale", Columns: []store.WriteColumn{{Name: "n"}}},
			{Name: "clean", SQL: store.Statement{store.DialectAny: "DELETE FROM {sale} WHERE id = $1"}, Params: []store.Type{text}, PartitionParam: 1},
		},
	}
}

func view(name, query string) store.View {
	return store.View{Name: name, SQL: store.Statement{store.DialectAny: query}}
}

// later is shop with another table in place of one, and another view.
func later(t testing.TB) *store.Projection {
	t.Helper()
	p := shop(t)
	p.Tables[1].Name = "month"
	p.Tables[0].Columns[1].Type = typed(t, "numeric")
	p.Views = []store.View{view("low", "SELECT id FROM {month} WHERE n < 9")}
	return p
}

// wider is shop with two columns more, and other views.
func wider(t testing.TB) *store.Projection {
	t.Helper()
	p := shop(t)
	for i := range p.Tables {
		p.Tables[i].Columns = append(p.Tables[i].Columns, store.Column{
			Name: "note", Type: typed(t, "json"), Backfill: store.BackfillNone,
		})
	}
	p.Views = []store.View{view("top", "SELECT id, note FROM {sale} WHERE n > 99"), view("notes", "SELECT note FROM {day}")}
	return p
}

func second(p *store.Projection) *store.Projection {
	p.Version = 2
	return p
}

// bad is a projection whose last view the server refuses.
func bad(p *store.Projection) *store.Projection {
	p.Views = append(p.Views, view("wrong", "SELECT no_such_column FROM {sale}"))
	return p
}

// left is what there is of the projections in a database.
type left struct {
	t    *testing.T
	s    mysql.Backend
	db   *sql.DB
	url  string
	name string
}

func newLeft(t *testing.T) left {
	t.Helper()
	at := mariadbtest.New(t)
	return left{t, open(t, at.URL, mysql.Options{}), at.Connect(t), at.URL, at.Name}
}

// databases returns those of the projections, without the store's own.
func (l left) databases() []string {
	l.t.Helper()
	var names []string
	for _, row := range queryText(l.t, l.db, "SHOW DATABASES") {
		if name, is := strings.CutPrefix(row[0], l.name+"__"); is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// want checks that there is exactly what the projection declares, in good order; nil for nothing.
func (l left) want(p *store.Projection) {
	l.t.Helper()
	if rows := queryText(l.t, l.db, "SELECT place, additions FROM pupwasm__unfinished"); len(rows) != 0 {
		l.t.Errorf("unfinished are %v", rows)
	}
	var want []string
	if p != nil {
		want = []string{"shop", "shop__v" + p.ID().VersionText()}
	}
	if got := l.databases(); !slices.Equal(got, want) {
		l.t.Errorf("the databases are %v, want %v", got, want)
	}
	rows := queryText(l.t, l.db, `SELECT p.version, p.live, s.position, COALESCE(s.failure, '')
		FROM pupwasm__projections AS p LEFT JOIN pupwasm__segments AS s ON s.projection = p.name AND s.version = p.version
		WHERE COALESCE(s.segment, 0) = 0 OR s.failure IS NOT NULL`)
	if p == nil {
		if len(rows) != 0 {
			l.t.Errorf("the projections are %v", rows)
		}
		return
	}
	if len(rows) != 1 || rows[0][0] != p.ID().VersionText() || rows[0][1] != "1" || rows[0][3] != "" {
		l.t.Errorf("the projections are %v", rows)
	}
	for i, in := range want {
		var found []string
		for _, row := range queryText(l.t, l.db, fmt.Sprintf("SELECT table_name FROM information_schema.tables "+
			"WHERE table_schema = '%s__%s' AND (table_type = 'VIEW' OR %t)", l.name, in, i > 0)) {
			found = append(found, row[0])
			queryText(l.t, l.db, fmt.Sprintf("SELECT * FROM `%s__%s`.`%s`", l.name, in, row[0]))
		}
		names := p.Shown()
		slices.Sort(names)
		slices.Sort(found)
		if !slices.Equal(found, names) {
			l.t.Errorf("in %s are %v, want %v", in, found, names)
		}
	}
	for t := range p.Tables {
		var columns []string
		for _, row := range queryText(l.t, l.db, fmt.Sprintf("SHOW COLUMNS FROM `%s__shop`.`%s`", l.name, p.Tables[t].Name)) {
			columns = append(columns, row[0])
		}
		if len(columns) != len(p.Tables[t].Columns) {
			l.t.Errorf("table %s has %v", p.Tables[t].Name, columns)
		}
	}
}

// outcome is what becomes of a database when a host installs first, ends in install, and somebody comes after it.
type outcome struct {
	name   string
	first  func(t testing.TB) *store.Projection // nil for none
	used   bool                                 // an event of first is applied
	second func(t testing.TB) *store.Projection // what the host installs that ends
	third  func(t testing.TB) *store.Projection // what the next one installs; nil for a reset
	// ends are the projections of which there may be everything afterwards.
	ends []func(t testing.TB) *store.Projection
}

func declared(of func(t testing.TB) *store.Projection, changes ...func(*store.Projection) *store.Projection) func(
	t testing.TB,
) *store.Projection {
	return func(t testing.TB) *store.Projection {
		p := of(t)
		for _, change := range changes {
			p = change(p)
		}
		return p
	}
}

func outcomes() []outcome {
	type declaration = func(t testing.TB) *store.Projection
	laterTwo, badTwo := declared(later, second), declared(later, second, bad)
	return []outcome{
		{name: "new", second: shop, third: shop, ends: []declaration{shop}},
		{name: "new, then another version", second: shop, third: laterTwo, ends: []declaration{laterTwo}},
		{name: "new, then a reset", second: shop},
		{name: "new and refused", second: declared(shop, bad), third: shop, ends: []declaration{shop}},
		{name: "new and refused, then a reset", second: declared(shop, bad)},
		{name: "again", first: shop, second: later, third: later, ends: []declaration{later}},
		{name: "again, then as before", first: shop, second: later, third: shop, ends: []declaration{shop}},
		{name: "again, then a reset", first: shop, second: later},
		{name: "again and refused", first: shop, second: declared(later, bad), third: shop, ends: []declaration{shop}},
		{name: "a later version", first: shop, second: laterTwo, third: laterTwo, ends: []declaration{laterTwo}},
		{
			name: "a later version, then as before", first: shop, second: laterTwo, third: shop,
			ends: []declaration{shop, laterTwo},
		},
		{name: "a later version, then a reset", first: shop, second: laterTwo},
		{name: "a later version and refused", first: shop, second: badTwo, third: shop, ends: []declaration{shop}},
		{name: "columns", first: shop, used: true, second: wider, third: wider, ends: []declaration{wider}},
		{name: "columns, then as before", first: shop, used: true, second: wider, third: shop, ends: []declaration{shop, narrow}},
		{name: "columns, then a reset", first: shop, used: true, second: wider},
		{name: "columns and refused", first: shop, used: true, second: declared(wider, bad), third: shop, ends: []declaration{shop}},
	}
}

// narrow is what is left of wider when shop is installed after it: its columns, and the views of shop.
func narrow(t testing.TB) *store.Projection {
	t.Helper()
	p := wider(t)
	p.Views = shop(t).Views
	return p
}

// TestInstall_whoseHostEnds ends a host at statements of an install: whoever comes next finds nothing
// in the way.
func TestInstall_whoseHostEnds(t *testing.T) {
	t.Parallel()
	for _, o := range outcomes() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			l := newLeft(t)
			for at := 1 + rand.IntN(stride()); ; at += stride() {
				if !o.run(l, at) {
					return
				}
			}
		})
	}
}

// unlocked does what a host would: it tries again while something is locked. The server may still be about a statement of
// a host that has ended.
func unlocked(t testing.TB, try func() error) (err error) {
	t.Helper()
	testwait.Until(t, "nothing is locked", func() bool {
		err = try()
		return !errors.Is(err, store.ErrLocked)
	})
	return err
}

// stride is how many statements there are from one that a host ends at to the next. With PUPWASM_TEST_EVERY=1 it is each.
func stride() int {
	if os.Getenv("PUPWASM_TEST_EVERY") != "" {
		return 1
	}
	return 8
}

// TestInstall_whoseHostsEnd ends hosts one after the other: the next of them in the middle of mending what is left.
func TestInstall_whoseHostsEnd(t *testing.T) {
	t.Parallel()
	for _, o := range outcomes() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			l := newLeft(t)
			for range 4 {
				o.run(l, 1+rand.IntN(80), 1+rand.IntN(30), 1+rand.IntN(30))
			}
		})
	}
}

// run has hosts end at statements, and reports whether the first of them did. Then somebody comes who does not end.
func (o *outcome) run(l left, at ...int) (died bool) {
	t := l.t
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("hosts have ended at the statements %v", at)
		}
	}()
	if o.first != nil {
		_, err := l.s.Install(t.Context(), o.first(t), 2)
		must(t, err)
		if o.used {
			execute(t, l.db, "UPDATE pupwasm__segments SET position = 1")
			execute(t, l.db, fmt.Sprintf("INSERT INTO `%s__shop__v1`.sale (id, n) VALUES ('a', 1)", l.name))
		}
	}
	var refused *store.CatalogueError
	for n, at := range at {
		ending := &mysql.Dying{At: at}
		host, err := mysql.OpenDying(l.url, mysql.Options{}, ending)
		must(t, err)
		_, err = host.Install(t.Context(), o.second(t), 2)
		host.Close()
		if !ending.Died() && err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		died = died || n == 0 && ending.Died()
	}
	if o.third != nil {
		err := unlocked(t, func() error {
			_, err := l.s.Install(t.Context(), o.third(t), 2)
			return err
		})
		if err != nil && (len(o.ends) < 2 || !errors.As(err, &refused)) {
			t.Fatal(err)
		}
		l.want(o.found(l))
	}
	var unknown *store.InputError
	err := unlocked(t, func() error { return l.s.Reset(t.Context(), "shop") })
	if err != nil && (o.third != nil || !errors.As(err, &unknown)) {
		t.Fatal(err)
	}
	l.want(nil)
	return died
}

// TestInstall_whoseServerEnds kills the server in the middle of installs.
func TestInstall_whoseServerEnds(t *testing.T) {
	t.Parallel()
	server, err := mariadbserver.StartDurable()
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	for n := range 3 {
		s, err := mysql.OpenBackend(at.URL, mysql.Options{})
		must(t, err)
		declarations := []*store.Projection{shop(t), later(t)}
		installed, ended := make(chan struct{}, 100), make(chan error, 1)
		go func() {
			for n := 0; ; n++ {
				if _, err := s.Install(t.Context(), declarations[n%2], 2); err != nil {
					ended <- err
					return
				}
				installed <- struct{}{}
			}
		}()
		for range 1 + rand.IntN(4) {
			<-installed
		}
		server.Kill()
		if err := <-ended; !errors.Is(err, store.ErrTransient) {
			t.Errorf("an install whose server was killed: %v", err)
		}
		s.Close()
		must(t, server.Run())
		l := left{t, open(t, at.URL, mysql.Options{}), at.Connect(t), at.URL, at.Name}
		p := []*store.Projection{shop(t), later(t)}[n%2]
		_, err = l.s.Install(t.Context(), p, 2)
		must(t, err)
		l.want(p)
	}
}

// found is that of the ends which the database has.
func (o *outcome) found(l left) *store.Projection {
	l.t.Helper()
	if len(o.ends) > 1 {
		row := queryText(l.t, l.db, "SELECT version, declaration LIKE '%note%' FROM pupwasm__projections")[0]
		if row[0] == "2" || row[1] == "1" {
			return o.ends[1](l.t)
		}
	}
	return o.ends[0](l.t)
}
