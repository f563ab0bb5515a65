package mysql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// doubles are two stores on a server whose projections have databases of the same names.
type doubles struct {
	testing.TB
	at     mariadbtest.Database
	stores [2]mysql.Backend // database a with schema s1, and database a__s1
	homes  [2]string
	owner  string // the role of the first to come
}

func newDoubles(t testing.TB) *doubles {
	t.Helper()
	n := &doubles{TB: t, at: mariadbtest.New(t)}
	n.at.Migrate(t, "s1")
	other := n.at.Name + "__s1"
	db := n.at.Connect(t)
	execute(t, db, "CREATE DATABASE "+other)
	n.stores = [2]mysql.Backend{
		open(t, n.at.URL, mysql.Options{Schema: "s1"}), open(t, migrated(t, n.at, other), mysql.Options{}),
	}
	n.homes = [2]string{"database " + n.at.Name + ", schema s1", "database " + other + ", schema pupwasm"}
	return n
}

// migrated returns the URL of a database beside another one, with tables of a store.
func migrated(t testing.TB, at mariadbtest.Database, name string) string {
	t.Helper()
	url := at.Server.URL(name)
	db, err := mysql.OpenSQL(url)
	must(t, err)
	defer db.Close()
	migrator, err := migrations.New(db, migrations.MySQL, "pupwasm")
	must(t, err)
	_, err = migrator.Up(t.Context())
	must(t, err)
	return url
}

// state is all that the first to come has: databases, views, rights and rows.
func (n *doubles) state() string {
	db := n.at.Connect(n)
	return fmt.Sprint(
		queryText(n, db, fmt.Sprintf("SELECT schema_name, schema_comment FROM information_schema.schemata WHERE schema_name LIKE '%s\\_\\_s1\\_\\_%%' ORDER BY 1", n.at.Name)),
		queryText(n, db, fmt.Sprintf("SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema LIKE '%s\\_\\_s1\\_\\_%%' ORDER BY 1, 2", n.at.Name)),
		queryText(n, db, fmt.Sprintf("SELECT routine_schema, routine_name FROM information_schema.routines WHERE routine_schema LIKE '%s\\_\\_s1\\_\\_%%' ORDER BY 1, 2", n.at.Name)),
		queryText(n, db, fmt.Sprintf("SELECT user, db FROM mysql.db WHERE user = '%s' ORDER BY 1, 2", n.owner)),
		queryText(n, db, fmt.Sprintf("SELECT n FROM %s__s1__shop.sale", n.at.Name)))
}

// TestStore_doesNotTakeThePlaceOfAnother has two stores whose databases have the same names: the first to come keeps all
// that it has, whatever the second does.
func TestStore_doesNotTakeThePlaceOfAnother(t *testing.T) {
	t.Parallel()
	for _, first := range []int{0, 1} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			t.Parallel()
			n := newDoubles(t)
			mine, other := n.stores[first], n.stores[1-first]
			n.owner = []string{mysql.OwnerName(n.at.Name, "s1", "shop"), mysql.OwnerName(n.at.Name+"__s1", "pupwasm", "shop")}[first]
			_, err := mine.Install(t.Context(), shop(t), 1)
			must(t, err)
			execute(t, n.at.Connect(t), fmt.Sprintf("INSERT INTO %s__s1__shop__v1.sale (id, n) VALUES ('a', 7)", n.at.Name))
			before := n.state()
			words := []string{`projection "shop": database ` + n.at.Name + "__s1__shop", n.homes[first], n.homes[1-first]}

			for version := 1; version <= 3; version++ {
				p := shop(t)
				p.Version = version
				_, err := other.Install(t.Context(), p, 1)
				wantRefusal(t, err, words...)
				_, err = other.InstallBeside(t.Context(), p, 1)
				wantRefusal(t, err, words...)
			}
			bare := &store.Projection{Name: "shop", Version: 1}
			_, err = other.Install(t.Context(), bare, 1)
			must(t, err)
			p := shop(t)
			p.Version = 2
			_, err = other.Install(t.Context(), p, 1)
			wantRefusal(t, err, words...)
			must(t, other.Reset(t.Context(), "shop"))
			if after := n.state(); after != before {
				t.Errorf("the other store has changed\n%s\nto\n%s", before, after)
			}

			_, err = mine.Install(t.Context(), p, 1)
			must(t, err)
			must(t, mine.Reset(t.Context(), "shop"))
			_, err = other.Install(t.Context(), p, 1) // the place is free
			must(t, err)
		})
	}
}

// TestStore_whoseDatabasesGo has a store whose databases somebody has dropped, and another store that has them now.
func TestStore_whoseDatabasesGo(t *testing.T) {
	t.Parallel()
	n := newDoubles(t)
	db := n.at.Connect(t)
	lost, mine := n.stores[0], n.stores[1]
	n.owner = mysql.OwnerName(n.at.Name+"__s1", "pupwasm", "shop")
	_, err := lost.Install(t.Context(), shop(t), 1)
	must(t, err)
	execute(t, db, "UPDATE s1__segments SET position = 1")
	two := shop(t)
	two.Version = 2
	_, err = lost.InstallBeside(t.Context(), two, 1)
	must(t, err)
	for _, place := range []string{"shop", "shop__v1", "shop__v2"} {
		execute(t, db, fmt.Sprintf("DROP DATABASE %s__s1__%s", n.at.Name, place))
	}
	_, err = mine.Install(t.Context(), shop(t), 1)
	must(t, err)
	execute(t, db, fmt.Sprintf("INSERT INTO %s__s1__shop__v1.sale (id, n) VALUES ('a', 7)", n.at.Name))
	before := n.state()
	_, err = lost.Install(t.Context(), shop(t), 1)
	wantRefusal(t, err, n.homes[0], n.homes[1])
	_, err = lost.Promote(t.Context(), two.ID())
	wantRefusal(t, err, n.homes[0], n.homes[1])
	must(t, lost.Retire(t.Context(), two.ID()))
	role := mysql.OwnerName(n.at.Name, "s1", "shop")
	wantText(t, db, "SELECT COUNT(*) FROM mysql.user WHERE user = '"+role+"'", "1")
	must(t, lost.Reset(t.Context(), "shop"))
	wantText(t, db, "SELECT COUNT(*) FROM mysql.user WHERE user = '"+role+"'", "0")
	if after := n.state(); after != before {
		t.Errorf("the other store has changed\n%s\nto\n%s", before, after)
	}
}

// TestStore_namesThatBeginAlike has databases and schemas of which one begins with the other, and no place in common.
func TestStore_namesThatBeginAlike(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db := at.Connect(t)
	long := at.Name + "__x"
	execute(t, db, "CREATE DATABASE "+long)
	at.Migrate(t, "s")
	stores := []mysql.Backend{
		open(t, at.URL, mysql.Options{}), open(t, migrated(t, at, long), mysql.Options{}), open(t, at.URL, mysql.Options{Schema: "s"}),
	}
	for _, s := range stores {
		for _, name := range []string{"shop", "shop_v1"} {
			p := shop(t)
			p.Name = name
			_, err := s.Install(t.Context(), p, 1)
			must(t, err)
		}
	}
	must(t, stores[0].Reset(t.Context(), "shop"))
	wantText(t, db, fmt.Sprintf("SELECT COUNT(*) FROM %[1]s__x__shop.sale, %[1]s__s__shop.sale, %[1]s__shop_v1.sale", at.Name), "0")
}

// TestStore_aDatabaseMadeForIt has empty databases that an administrator has made, and a comment of his.
func TestStore_aDatabaseMadeForIt(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	execute(t, db, fmt.Sprintf("CREATE DATABASE %[1]s__shop; CREATE DATABASE %[1]s__shop__v1 COMMENT 'it''s mine'", at.Name))
	comments := "SELECT schema_comment FROM information_schema.schemata WHERE schema_name LIKE '" + at.Name + "\\_\\_%' ORDER BY schema_name"
	_, err := s.Install(t.Context(), shop(t), 1)
	must(t, err)
	wantText(t, db, comments, "used by pupwasm for database "+at.Name+", schema pupwasm; it's mine")
	must(t, s.Reset(t.Context(), "shop"))
	wantText(t, db, comments, "")
	wantPlaces(t, db, at, "shop")
}

// wantOthers checks that an error names what others have made.
func wantOthers(t *testing.T, err error, what string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "has tables or views that others have built upon: "+what+": drop that first") {
		t.Errorf("with %s: %v", what, err)
	}
}

// TestStore_whatOthersMadeBesideTables has routines, events and triggers that no host has made, in databases of versions.
func TestStore_whatOthersMadeBesideTables(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	place := at.Name + "__shop__v1"
	for what, how := range map[string][2]string{
		"a function f":  {"CREATE FUNCTION %s.f() RETURNS INT RETURN 1", "DROP FUNCTION %s.f"},
		"a procedure p": {"CREATE PROCEDURE %s.p() SELECT 1", "DROP PROCEDURE %s.p"},
		"an event e":    {"CREATE EVENT %s.e ON SCHEDULE EVERY 1 DAY DO DO 1", "DROP EVENT %s.e"},
	} {
		execute(t, db, "CREATE DATABASE "+place)
		execute(t, db, fmt.Sprintf(how[0], place))
		_, err := s.Install(t.Context(), shop(t), 1)
		wantRefusal(t, err, "has "+what+" in database "+place+" that is not the projection's")
		execute(t, db, "DROP DATABASE "+place)

		_, err = s.Install(t.Context(), shop(t), 1)
		must(t, err)
		execute(t, db, fmt.Sprintf(how[0], place))
		wantOthers(t, s.Reset(t.Context(), "shop"), what)
		execute(t, db, fmt.Sprintf(how[1], place))
		must(t, s.Reset(t.Context(), "shop"))
	}
	_, err := s.Install(t.Context(), shop(t), 1)
	must(t, err)
	execute(t, db, fmt.Sprintf("CREATE TRIGGER %[1]s.t BEFORE INSERT ON %[1]s.sale FOR EACH ROW SET @a = 1", place))
	_, err = s.Install(t.Context(), later(t), 1)
	wantRefusal(t, err, "its empty tables are to be made again, and something was built upon them: trigger t")
	next := shop(t)
	next.Version = 2
	_, err = s.Install(t.Context(), next, 1)
	wantOthers(t, err, "a trigger t")
	wantOthers(t, s.Reset(t.Context(), "shop"), "a trigger t")
	execute(t, db, "UPDATE pupwasm__segments SET position = 1")
	_, err = s.InstallBeside(t.Context(), next, 1)
	must(t, err)
	execute(t, db, fmt.Sprintf("CREATE FUNCTION %s__shop__v2.g() RETURNS INT RETURN 1", at.Name))
	wantOthers(t, s.Retire(t.Context(), next.ID()), "a function g")
}

// TestStore_howDeepJSONNests has JSON at the limit that package mysql says MariaDB has.
func TestStore_howDeepJSONNests(t *testing.T) {
	t.Parallel()
	wantText(t, mariadbtest.New(t).Connect(t), fmt.Sprintf("SELECT JSON_VALID(CONCAT(REPEAT('[', %[1]d), REPEAT(']', %[1]d))), "+
		"JSON_VALID(CONCAT(REPEAT('[', %[1]d + 1), REPEAT(']', %[1]d + 1)))", mysql.JSONDepthMax), "1 0")
}
