package mysql_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// withSQL is a projection with SQL of a module of each kind.
func withSQL(name string) *store.Projection {
	p := subject(name)
	p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{Name: "twice", Type: ofI64, Generated: anySQL("n * 2")})
	p.Tables[0].Checks = []store.Check{{Name: "small", SQL: anySQL("n < 100")}}
	p.Views = []store.View{{Name: "few", SQL: anySQL("SELECT id, twice FROM {row} WHERE n < 10")}}
	p.Writes = []store.Write{{
		Name: "add", SQL: anySQL("INSERT INTO {row} (id, n) VALUES ($1, $2) ON DUPLICATE KEY UPDATE n = n + VALUES(n)"),
		Params: []store.Type{ofText, ofI64},
	}}
	p.Queries = []store.Query{{
		Name: "of", SQL: anySQL("SELECT n, id FROM {row} WHERE id = $1"), Params: []store.Type{ofText},
		Results: []store.Type{ofI64, ofText},
	}}
	return p
}

// addBySQL has a host install a projection withSQL, and write and read by its statements.
func addBySQL(t testing.TB, s mysql.Backend, p *store.Projection, want int64) {
	t.Helper()
	catalogue, err := s.Install(t.Context(), p, 1)
	must(t, err)
	must(t, s.Heartbeat(t.Context(), store.Worker{Name: "w"}, time.Hour))
	_, err = s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
		Stream: store.Stream{BoundedContext: "a", AggregateType: "b", AggregateID: "c"},
		Events: []store.Event{{Type: "happened"}},
	})
	must(t, err)
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: p.ID(), Worker: "w", Limit: 1})
	must(t, err)
	horizon, err := s.Horizon(t.Context())
	must(t, err)
	tx := catalogue.Begin(claims[0])
	defer tx.Rollback()
	must(t, tx.Commit(t.Context(), store.Commit{
		Through: horizon.Position, Log: claims[0].Applied.Log,
		Steps: []store.Step{{Width: 2, Count: 1, Values: []store.Value{store.Text("a"), store.I64(1)}}},
	}))
	var rows store.Rows
	must(t, tx.Query(t.Context(), 0, []store.Value{store.Text("a")}, &rows))
	if len(rows.Values) != 2 || rows.Values[0].Int() != want {
		t.Errorf("the query gives %v, want %d", rows.Values, want)
	}
	must(t, s.Leave(t.Context(), store.Worker{Name: "w"}))
}

// account makes an account with grants, in which {db} is the database of the log, and {more} the others.
func account(t testing.TB, at mariadbtest.Database, grants ...string) (name string, db *sql.DB) {
	t.Helper()
	db = at.Connect(t)
	name = "host_of_" + at.Name
	execute(t, db, "CREATE USER "+name)
	t.Cleanup(func() { _, _ = db.Exec("DROP USER " + name) })
	escaped := strings.ReplaceAll(at.Name, "_", `\_`)
	for _, grant := range grants {
		execute(t, db, strings.NewReplacer("{db}", "`"+escaped+"`", "{more}", "`"+escaped+`\_\_%`+"`").Replace(grant)+" TO "+name)
	}
	return name, db
}

// TestUser_ofAHostThatMayDoNothing has an administrator run what 'pupwasm grant' prints, for a host that has no rights.
func TestUser_ofAHostThatMayDoNothing(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	name, db := account(t, at, "GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON {db}.*")
	s := open(t, at.Server.URLAs(name, "", at.Name), mysql.Options{})
	wantRefused(t, s, "without rights", withSQL("fines"), `projection "fines"`, "")
	for range 2 {
		execute(t, db, mysql.GrantSQL(at.Name, store.DefaultSchema, "fines", name+"@%"))
	}
	for range 2 {
		addBySQL(t, s, withSQL("fines"), 1)
		addBySQL(t, s, withSQL("fines"), 2)
		later := withSQL("fines")
		later.Version, later.Tables[1].Name = 2, "others"
		addBySQL(t, s, later, 1)
		_, err := s.Promote(t.Context(), later.ID())
		must(t, err)
		if got := queryText(t, db, "SELECT * FROM `"+at.Name+"__fines`.few"); fmt.Sprint(got) != "[[a 2]]" {
			t.Errorf("the view has %v", got)
		}
		must(t, s.Retire(t.Context(), withSQL("fines").ID()))
		must(t, s.Reset(t.Context(), "fines"))
	}
	wantRefused(t, s, "another projection", withSQL("fine"), `projection "fine"`, "")
	wantRefused(t, s, "a longer name", withSQL("fines_more"), `projection "fines_more"`, "")
	left := queryText(t, db, "SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE '"+at.Name+"\\_\\_%'")
	if left[0][0] != "0" {
		t.Errorf("%s databases are left", left[0][0])
	}
}

// TestUser_ofAHostThatMayMakeRoles has one that needs no administrator.
func TestUser_ofAHostThatMayMakeRoles(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	name, db := account(t, at, "GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON {db}.*", "GRANT SELECT, INSERT, UPDATE, DELETE, "+
		"CREATE, DROP, ALTER, INDEX, EXECUTE, CREATE ROUTINE, ALTER ROUTINE, CREATE VIEW, SHOW VIEW, LOCK TABLES ON {more}.*")
	s := open(t, at.Server.URLAs(name, "", at.Name), mysql.Options{})
	role := mysql.OwnerName(at.Name, store.DefaultSchema, "fines")
	wantRefused(t, s, "without CREATE USER", withSQL("fines"), `projection "fines": cannot have a role of its own, `+role,
		`CREATE USER privilege(s) for this operation: have the SQL of GrantSQL("fines") run`)
	declarative := subject("plain")
	declarative.Writes = []store.Write{{Name: "put", Action: store.Upsert, Table: "row", Columns: []store.WriteColumn{{Name: "n"}}}}
	_, err := s.Install(t.Context(), declarative, 1) // needs none
	must(t, err)
	execute(t, db, "GRANT CREATE USER ON *.* TO "+name)
	s = open(t, at.Server.URLAs(name, "", at.Name), mysql.Options{}) // whose connections know of it
	wantRefused(t, s, "without GRANT OPTION", withSQL("fines"), `projection "fines": cannot have a role`, "GrantSQL")
	execute(t, db, "GRANT GRANT OPTION ON `"+strings.ReplaceAll(at.Name, "_", `\_`)+`\_\_%`+"`.* TO "+name)
	for range 2 {
		addBySQL(t, s, withSQL("fines"), 1)
		addBySQL(t, s, withSQL("fines"), 2)
		execute(t, db, "DROP ROLE "+role) // and it is made again
		addBySQL(t, s, withSQL("fines"), 3)
		execute(t, db, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+role)
		addBySQL(t, s, withSQL("fines"), 4)
		addBySQL(t, open(t, at.URL, mysql.Options{}), withSQL("fines"), 5) // an administrator is a host too
		must(t, s.Reset(t.Context(), "fines"))
		left := queryText(t, db, "SELECT count(*) FROM mysql.user WHERE user = '"+role+"'")
		if left[0][0] != "0" {
			t.Errorf("the role is left")
		}
	}
}

// TestUser_reachesNothingElse asks the server what the role may do.
func TestUser_reachesNothingElse(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, s := at.Connect(t), open(t, at.URL, mysql.Options{})
	addBySQL(t, s, withSQL("fines"), 1)
	role := mysql.OwnerName(at.Name, store.DefaultSchema, "fines")
	escaped := strings.ReplaceAll(at.Name, "_", `\_`)
	want := fmt.Sprintf("[[GRANT USAGE ON *.* TO `%[1]s`] [GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON `%[2]s\\_\\_fines\\_\\_v%%`.* "+
		"TO `%[1]s`]]", role, escaped)
	if got := fmt.Sprint(queryText(t, db, "SHOW GRANTS FOR "+role)); got != want {
		t.Errorf("the role has %s, want %s", got, want)
	}
	definers := queryText(t, db, "SELECT DISTINCT definer, security_type FROM information_schema.routines WHERE routine_schema = '"+
		at.Name+"__fines__v1' UNION SELECT DISTINCT definer, security_type FROM information_schema.views WHERE table_schema = '"+at.Name+"__fines__v1'")
	if fmt.Sprint(definers) != "[["+role+" DEFINER] ["+role+"@ DEFINER]]" {
		t.Errorf("definers are %v", definers)
	}
}

// TestUser_ofLongNames has names that leave no room for a \ before each _.
func TestUser_ofLongNames(t *testing.T) {
	t.Parallel()
	for database, want := range map[string]string{
		"shop":                         "`shop\\_\\_a\\_b\\_c\\_d\\_\\_v%`",
		"shop_of_many_words_in_a_name": "`shop\\_of\\_many\\_words\\_in\\_a\\_name\\_\\_a\\_b\\_c\\_d\\_\\_v%`",
		"shop_of_many_words_in_a_name_that_is_so_long": "`shop_of_many_words_in_a_name_that_is_so_long\\_\\_a\\_b\\_c\\_d\\_\\_v%`",
		"a%b": "`a\\%b\\_\\_a\\_b\\_c\\_d\\_\\_v%`",
	} {
		text := mysql.GrantSQL(database, store.DefaultSchema, "a_b_c_d", "host")
		if !strings.Contains(text, "EXECUTE ON "+want+".* TO `pup_") {
			t.Errorf("%s: %s", database, text)
		}
	}
}
