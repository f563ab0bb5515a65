package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/mysql/internal/grammar"
)

var parameterNames = regexp.MustCompile("`\\$[0-9]+`")

// canary is a superuser's connection, in a transaction, and what is beside a projection.
type canary struct {
	conn   *sql.Conn
	db     mariadbtest.Database
	place  string
	before string
}

func newCanary(t testing.TB) *canary {
	t.Helper()
	db := mariadbtest.New(t)
	neighbours(t, db)
	s := open(t, db.URL, mysql.Options{})
	_, err := s.Install(t.Context(), subject("guest"), 1)
	must(t, err)
	handle, err := mysql.OpenSQL(db.URL)
	must(t, err)
	t.Cleanup(func() { _ = handle.Close() })
	c := &canary{db: db, place: db.Name + "__guest__v1"}
	c.conn, err = handle.Conn(t.Context())
	must(t, err)
	must(t, c.execute("SET @pupwasm_canary = 7; START TRANSACTION"))
	c.before = c.look(t)
	return c
}

func (c *canary) execute(text string) error {
	_, err := c.conn.ExecContext(context.Background(), text)
	return err
}

// texts are those that the other tests have.
func (c *canary) texts() (all []string) {
	expand := strings.NewReplacer("{row}", "`"+c.place+"`.`row`", "{other}", "`"+c.place+"`.`other`")
	for _, list := range [][]attack{hostileWrites, hostileQueries} {
		for _, a := range list {
			all = append(all, expand.Replace(at(c.db, a.sql)))
		}
	}
	for _, text := range reasonableWrites {
		all = append(all, expand.Replace(at(c.db, text)))
	}
	for _, q := range reasonableQueries {
		all = append(all, expand.Replace(q.sql))
	}
	return all
}

func (c *canary) look(t testing.TB) (said string) {
	t.Helper()
	must(t, c.conn.QueryRowContext(context.Background(), fmt.Sprintf(`SELECT CONCAT_WS(' ', @@in_transaction, @@sql_mode, @@autocommit,
		(SELECT GROUP_CONCAT(id, n) FROM %[1]s.secrets), (SELECT COUNT(*) FROM %[1]s__others.row), (SELECT MAX(global_position) FROM %[1]s.pupwasm__events),
		(SELECT next_not_cached_value FROM %[1]s.counter), (SELECT COUNT(*) FROM mysql.proc WHERE db LIKE '%[1]s%%'), @pupwasm_canary, CURRENT_ROLE(),
		(SELECT GROUP_CONCAT(table_schema, '.', table_name ORDER BY 1) FROM information_schema.tables WHERE table_schema LIKE '%[1]s%%'))`,
		c.db.Name)).Scan(&said))
	return said
}

// run runs a text if the grammar lets it through, and reports whether it does.
func (c *canary) run(t testing.TB, text string) (passed bool, ran error) {
	t.Helper()
	read, err := grammar.Check(text, grammar.Tables{Database: c.place, Names: []string{"row", "other"}})
	if err != nil {
		return false, nil
	}
	ran = c.execute(fmt.Sprintf("SET STATEMENT max_statement_time = 1 FOR EXECUTE IMMEDIATE x'%x'",
		parameterNames.ReplaceAllString(read.SQL, "'1'")))
	if now := c.look(t); now != c.before {
		t.Fatalf("%q, written %q, touched what is not the projection's (%v): %s, before %s", text, read.SQL, ran, now, c.before)
	}
	must(t, c.execute("ROLLBACK; START TRANSACTION"))
	return true, ran
}

// TestSandbox_splices puts parts of statements together, word by word.
func TestSandbox_splices(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	var pieces [][]string
	for _, text := range c.texts() {
		if words := word.FindAllString(text, -1); len(words) > 0 && len(text) < 1000 {
			pieces = append(pieces, words)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	some := func() []string {
		words := pieces[random.IntN(len(pieces))]
		from := random.IntN(len(words))
		return words[from : from+1+random.IntN(min(len(words)-from, 12))]
	}
	passed, ran := 0, 0
	for range 20_000 {
		words := slices.Clone(pieces[random.IntN(len(pieces))])
		for range 1 + random.IntN(2) {
			from := random.IntN(len(words))
			to := from + random.IntN(min(len(words)-from, 6)+1)
			words = slices.Replace(words, from, to, some()...)
		}
		if through, err := c.run(t, strings.Join(words, " ")); through {
			passed++
			if err == nil {
				ran++
			}
		}
	}
	t.Logf("the grammar let %d through, of which %d ran", passed, ran)
	if ran < 50 {
		t.Errorf("only %d ran", ran)
	}
}

var word = regexp.MustCompile("`[^`]*`|'[^']*'|\"[^\"]*\"|[A-Za-z0-9_$@]+|<=>|/\\*!?|\\*/|--|\\S")

// FuzzSandbox runs what the grammar lets through by itself, as a superuser: it must touch nothing beside the projection's
// tables. What is there beside them is the canary.
func FuzzSandbox(f *testing.F) {
	c := newCanary(f)
	for _, text := range c.texts() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { _, _ = c.run(t, text) })
}
