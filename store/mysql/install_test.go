package mysql_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// wantRefusal checks that an error refuses a declaration in one line with these words.
func wantRefusal(t *testing.T, err error, words ...string) {
	t.Helper()
	var fault *store.CatalogueError
	if !errors.As(err, &fault) {
		t.Errorf("got %v, want a catalogue error", err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q does not say %q on one line", err, word)
		}
	}
}

func TestInstall_makesTheTableAsDeclared(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	column := func(name, of string) store.Column { return store.Column{Name: name, Type: typed(t, of)} }
	p := &store.Projection{
		Name: "shapes", Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{{
			Name: "row", Key: []string{"b", "k", "y"}, Indexes: [][]string{{"n"}, {"t", "n", "k"}, {"y"}, {"b"}, {"y", "k", "t"}},
			Columns: []store.Column{
				column("b", "uuid"), column("k", "text"), column("y", "bytes"),
				{Name: "n", Type: typed(t, "numeric"), NotNull: true, Default: []byte("1.50")},
				{Name: "t", Type: typed(t, "text"), Default: []byte(`"it's \\' \"so\" \u0001é\n%"`)},
				column("at", "timestamptz"), column("tags", "text[]"), column("j", "json"), column("x", "bytes"),
				{Name: "f", Type: typed(t, "f64"), Default: []byte("15e-1")},
				{Name: "i", Type: typed(t, "i64"), Default: []byte("-9223372036854775808")},
				{Name: "ok", Type: typed(t, "bool"), Default: []byte("false")},
			},
		}},
	}
	for range 2 {
		_, err := s.Install(t.Context(), p, 1)
		must(t, err)
	}
	wantText(t, db, fmt.Sprintf(`SELECT column_name, column_type, is_nullable, COALESCE(column_default, '-'), COALESCE(collation_name, '')
		FROM information_schema.columns WHERE table_schema = '%s__shapes__v1' ORDER BY ordinal_position`, at.Name),
		"b binary(16) NO - ; k varchar(382) NO - utf8mb4_nopad_bin; y varbinary(1528) NO - ; "+
			"n decimal(65,30) NO 1.500000000000000000000000000000 ; "+
			`t longtext YES 'it\'s \\\' "so" `+"\x01"+`é\n%' utf8mb4_nopad_bin; `+
			"at datetime(6) YES NULL ; tags longtext YES NULL utf8mb4_nopad_bin; j longtext YES NULL utf8mb4_nopad_bin; "+
			"x longblob YES NULL ; f double YES 1.5 ; i bigint(20) YES -9223372036854775808 ; ok tinyint(1) YES 0 ")
	wantText(t, db, fmt.Sprintf(`SELECT GROUP_CONCAT(column_name, COALESCE(CONCAT('(', sub_part, ')'), '') ORDER BY seq_in_index)
		FROM information_schema.statistics WHERE table_schema = '%s__shapes__v1' GROUP BY index_name ORDER BY 1`, at.Name),
		"b,k,y; n; t(380),n,k(380); y; y(1024),k(256),t(256)")
	execute(t, db, fmt.Sprintf("INSERT INTO %s__shapes__v1.row (b, k, y) VALUES (x'%032d', 'a', 'b')", at.Name, 1))
	wantText(t, db, fmt.Sprintf("SELECT t, n, f, i, ok FROM %s__shapes.row", at.Name),
		"it's \\' \"so\" \x01é\n% 1.500000000000000000000000000000 1.5 -9223372036854775808 0")
	_, err := db.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO %s__shapes__v1.row (b, k, y, j) VALUES (x'%032d', 'b', 'b', '{')",
		at.Name, 1))
	if err == nil || !strings.Contains(err.Error(), "`row.j` failed") {
		t.Errorf("what is no JSON: %v", err)
	}
	wantText(t, db, "SELECT COUNT(*) FROM pupwasm__unfinished", "0")
}

// TestInstall_aCheckOfTheNameOfAColumn has a declared check, and one that the type needs, whose names would be the same.
func TestInstall_aCheckOfTheNameOfAColumn(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	p := shop(t)
	p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{Name: "note", Type: typed(t, "json")})
	p.Tables[0].Checks = []store.Check{{Name: "note", SQL: store.Statement{store.DialectAny: "n < 9"}}}
	p.Tables[1].Checks = []store.Check{{Name: "note", SQL: store.Statement{store.DialectAny: "n < 9"}}}
	_, err := s.Install(t.Context(), p, 1)
	must(t, err)
	execute(t, db, "UPDATE pupwasm__segments SET position = 1")
	p.Tables[1].Columns = append(p.Tables[1].Columns, store.Column{
		Name: "note", Type: typed(t, "json"), Backfill: store.BackfillNone,
	})
	_, err = s.Install(t.Context(), p, 1)
	must(t, err)
	for i, table := range []string{"sale", "day"} {
		for j, values := range []string{"'a', 9, '{}'", "'a', 8, '{'", "'a', 8, '{}'"} {
			_, err := db.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO %s__shop__v1.%s (id, n, note) VALUES (%s)", at.Name, table,
				values))
			if (err == nil) != (j == 2) {
				t.Errorf("table %d, row %d: %v", i, j, err)
			}
		}
	}
}

// TestInstall_whatDoesNotFit has declarations that MariaDB cannot have.
func TestInstall_whatDoesNotFit(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	for name, c := range map[string]struct {
		change func(p *store.Projection)
		words  []string
	}{
		"a numeric default with too many digits": {func(p *store.Projection) {
			p.Tables[1].Columns[1].Type = typed(t, "numeric")
			p.Tables[1].Columns[1].Default = []byte("1" + strings.Repeat("0", 35))
		}, []string{`table "day": column "n" has a default that is out of range`}},
		"a numeric default with too many decimals": {func(p *store.Projection) {
			p.Tables[1].Columns[1].Type = typed(t, "numeric")
			p.Tables[1].Columns[1].Default = []byte("0." + strings.Repeat("0", 30) + "1")
		}, []string{`table "day": column "n" has a default that is out of range`}},
		"a default with NUL": {func(p *store.Projection) {
			p.Tables[1].Columns[1].Type = typed(t, "text")
			p.Tables[1].Columns[1].Default = []byte(`"\u0000"`)
		}, []string{`table "day": column "n" has a default with a NUL character`}},
		"a key of too many columns": {func(p *store.Projection) {
			for i := range 40 {
				name := fmt.Sprintf("c%d", i)
				p.Tables[1].Columns = append(p.Tables[1].Columns, store.Column{Name: name, Type: typed(t, "i64")})
				p.Tables[1].Key = append(p.Tables[1].Key, name)
			}
		}, []string{`table "day": `, "Too many key parts"}},
	} {
		p := shop(t)
		c.change(p)
		_, err := s.Install(t.Context(), p, 1)
		if wantRefusal(t, err, c.words...); t.Failed() {
			t.Fatal(name)
		}
		wantPlaces(t, db, at, "")
	}
}

// TestInstall_namesThatAreTooLong has a database whose name leaves no room for that of a projection.
func TestInstall_namesThatAreTooLong(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	long := at.Name + "__" + strings.Repeat("x", 40)
	execute(t, at.Connect(t), "CREATE DATABASE "+long)
	url := at.Server.URL(long)
	db, err := mysql.OpenSQL(url)
	must(t, err)
	defer db.Close()
	migrator, err := migrations.New(db, migrations.MySQL, "pupwasm")
	must(t, err)
	_, err = migrator.Up(t.Context())
	must(t, err)
	s := open(t, url, mysql.Options{})
	p := shop(t)
	p.Name = "abcdefghijklmnopqrst"
	_, err = s.Install(t.Context(), p, 1)
	wantRefusal(t, err, `projection "abcdefghijklmnopqrst": needs a database "`+long+"__", "and MariaDB takes 64")
	p.Name = "abc"
	_, err = s.Install(t.Context(), p, 1)
	must(t, err)
}

// TestInstall_aPlaceOfSomebodyElse has databases of the names that a projection needs. One with nothing in it is used.
func TestInstall_aPlaceOfSomebodyElse(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	execute(t, db, fmt.Sprintf("CREATE DATABASE %[1]s__shop__v1; CREATE DATABASE %[1]s__shop", at.Name))
	for _, place := range []string{"shop", "shop__v1"} {
		execute(t, db, fmt.Sprintf("CREATE TABLE %s__%s.precious (x INT)", at.Name, place))
		_, err := s.Install(t.Context(), shop(t), 1)
		wantRefusal(t, err, "not the projection's", at.Name+"__"+place)
		wantText(t, db, fmt.Sprintf("SELECT COUNT(*) FROM %s__%s.precious", at.Name, place), "0")
		wantText(t, db, "SELECT (SELECT COUNT(*) FROM pupwasm__projections) + (SELECT COUNT(*) FROM pupwasm__unfinished)", "0")
		execute(t, db, fmt.Sprintf("DROP TABLE %s__%s.precious", at.Name, place))
	}
	_, err := s.Install(t.Context(), shop(t), 1)
	must(t, err)
}

// TestInstall_withoutRights has a user who may do nothing but in the store's own database.
func TestInstall_withoutRights(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db := at.Connect(t)
	execute(t, db, fmt.Sprintf("CREATE USER %[1]s@'%%'; GRANT ALL PRIVILEGES ON %[2]s.* TO %[1]s@'%%'", at.Name, at.Name))
	s := open(t, at.Server.URLAs(at.Name, "", at.Name), mysql.Options{})
	p := shop(t)
	p.Views, p.Writes = nil, p.Writes[:1] // for SQL of a module, see user.go
	_, err := s.Install(t.Context(), p, 1)
	wantRefusal(t, err, `projection "shop": the database refuses the rights: `, `have the SQL of GrantSQL("shop") run for this user`)
	execute(t, db, mysql.GrantSQL(at.Name, store.DefaultSchema, "shop", at.Name+"@%"))
	s = open(t, at.Server.URLAs(at.Name, "", at.Name), mysql.Options{}) // whose connections know of it
	_, err = s.Install(t.Context(), p, 1)
	must(t, err)
	execute(t, db, "DROP USER "+at.Name+"@'%'")
}

// TestInstall_aForeignKeyOfSomebodyElse refers to empty tables that are to be made again.
func TestInstall_aForeignKeyOfSomebodyElse(t *testing.T) {
	t.Parallel()
	l := newLeft(t)
	_, err := l.s.Install(t.Context(), shop(t), 1)
	must(t, err)
	execute(t, l.db, fmt.Sprintf("CREATE TABLE mine (id VARCHAR(768) COLLATE utf8mb4_nopad_bin, CONSTRAINT mine_of FOREIGN KEY (id) "+
		"REFERENCES %s__shop__v1.sale (id))", l.name))
	_, err = l.s.Install(t.Context(), later(t), 1)
	wantRefusal(t, err, `projection "shop": its empty tables are to be made again, and something was built upon them: `+
		"foreign key mine_of of table mine in database "+l.name)
	l.want(shop(t))
	execute(t, l.db, "DROP TABLE mine")
	_, err = l.s.Install(t.Context(), later(t), 1)
	must(t, err)
	l.want(later(t))
}

// TestInstall_keepsToItsLock has a host that hangs with the lock: others go on when its connection is gone.
func TestInstall_keepsToItsLock(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	s, db := open(t, at.URL, mysql.Options{}), at.Connect(t)
	_, err := s.Install(t.Context(), shop(t), 1)
	must(t, err)
	held, err := db.Conn(t.Context())
	must(t, err)
	_, err = held.ExecContext(t.Context(), "SELECT GET_LOCK(?, 0)", s.LockName("shop"))
	must(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := s.Install(t.Context(), shop(t), 1)
		ended <- err
	}()
	other := shop(t)
	other.Name = "other"
	_, err = s.Install(t.Context(), other, 1) // has another lock
	must(t, err)
	select {
	case err := <-ended:
		t.Errorf("an install while another host has the lock: %v", err)
	default:
	}
	must(t, held.Close())
	must(t, db.Close())
	must(t, <-ended)
}

// TestInstall_schemasRunTheSameProjection has a schema a tenant in one database.
func TestInstall_schemasRunTheSameProjection(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	schemas := []string{"pupwasm", "select", "shop", strings.Repeat("x", 16)}
	for _, schema := range schemas {
		if schema != "pupwasm" {
			at.Migrate(t, schema)
		}
		s := open(t, at.URL, mysql.Options{Schema: schema})
		_, err := s.Install(t.Context(), shop(t), 1)
		must(t, err)
	}
	s := open(t, at.URL, mysql.Options{Schema: "shop"})
	must(t, s.Reset(t.Context(), "shop"))
	for _, schema := range schemas {
		s := open(t, at.URL, mysql.Options{Schema: schema})
		all, err := s.Status(t.Context())
		must(t, err)
		if (len(all) == 1) != (schema != "shop") {
			t.Errorf("schema %s has %+v", schema, all)
		}
		_, err = s.Install(t.Context(), shop(t), 1)
		must(t, err)
	}
}
