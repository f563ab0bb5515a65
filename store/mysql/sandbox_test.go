package mysql_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

var (
	ofText    = store.Type{Kind: store.KindText}
	ofI64     = store.Type{Kind: store.KindI64}
	ofNumeric = store.Type{Kind: store.KindNumeric}
	ofTime    = store.Type{Kind: store.KindTimestamp}
	ofJSON    = store.Type{Kind: store.KindJSON}
	ofTexts   = store.Type{Kind: store.KindText, Array: true}
)

func anySQL(text string) store.Statement { return store.Statement{store.DialectAny: text} }

// subject is a projection with a table of every usual type and room for one statement.
func subject(name string) *store.Projection {
	return &store.Projection{
		Name: name, Version: 1, Order: store.OrderGlobal,
		Tables: []store.Table{
			{Name: "row", Key: []string{"id"}, Columns: []store.Column{
				{Name: "id", Type: ofText},
				{Name: "n", Type: ofI64},
				{Name: "amount", Type: ofNumeric},
				{Name: "at", Type: ofTime},
				{Name: "data", Type: ofJSON},
				{Name: "tags", Type: ofTexts},
			}},
			{Name: "other", Columns: []store.Column{
				{Name: "id", Type: ofText},
				{Name: "n", Type: ofI64},
			}},
		},
	}
}

// neighbours puts things beside a projection that it has no business with. {at} is the database of the log.
func neighbours(t testing.TB, at mariadbtest.Database) {
	t.Helper()
	db := at.Connect(t)
	others := at.Name + "__others"
	for _, statement := range []string{
		"CREATE TABLE secrets (id VARCHAR(100) PRIMARY KEY, n BIGINT)",
		"INSERT INTO secrets VALUES ('kept', 7)",
		"CREATE VIEW look AS SELECT * FROM secrets",
		"CREATE SEQUENCE counter",
		"CREATE FUNCTION innocent(a TEXT) RETURNS TEXT DETERMINISTIC RETURN a",
		"CREATE PROCEDURE hello() DELETE FROM secrets",
		"CREATE DATABASE " + others,
		"CREATE TABLE " + others + ".row (id VARCHAR(100) PRIMARY KEY, n BIGINT)",
	} {
		execute(t, db, statement)
	}
}

// at writes the names of what is beside a projection.
func at(db mariadbtest.Database, sql string) string {
	return strings.NewReplacer("{db}", db.Name, "{others}", db.Name+"__others", "{mine}", db.Name+"__guest__v1",
		"{readers}", db.Name+"__guest").Replace(sql)
}

// byGrammarAlone replaces the words of the server where it does not see what is wrong.
const byGrammarAlone = "-"

type attack struct{ name, sql, words string }

var hostileWrites = []attack{
	{"another database's table", `DELETE FROM {db}.secrets`, "denied"},
	{"another database's table, read", `INSERT INTO {other} SELECT id, n FROM {db}.secrets`, "denied"},
	{"another database's table in quotes", "DELETE FROM `{db}`.`secrets`", "denied"},
	{"a table by itself", `DELETE FROM secrets`, "secrets"},
	{"its own table by itself", `DELETE FROM other`, byGrammarAlone},
	{"a table of the same name elsewhere", `DELETE FROM {others}.row`, "denied"},
	{"a view", `INSERT INTO {other} SELECT id, n FROM {db}.look`, "denied"},
	{"its own view for readers", `INSERT INTO {other} SELECT id, n FROM {readers}.row`, "denied"},
	{"the events", `INSERT INTO {other} SELECT event_type, 1 FROM {db}.pupwasm__events`, "denied"},
	{"the checkpoints", `UPDATE {db}.pupwasm__segments SET position = 0`, "denied"},
	{"messages", `INSERT INTO {other} SELECT subject, 1 FROM {db}.pupwasm__outbox`, "denied"},
	{"messages of its own", `INSERT INTO {db}.pupwasm__outbox (projection, position, n, version) VALUES ('guest', 1, 0, 1)`, "denied"},
	{"what is to be sent", `DELETE FROM {db}.pupwasm__outbox_sent`, "denied"},
	{"who sends", `UPDATE {db}.pupwasm__outbox_relays SET owner = ''`, "denied"},
	{"passwords", `INSERT INTO {other} SELECT user, 1 FROM mysql.user`, "denied"},
	{"the schema", `INSERT INTO {other} SELECT table_name, 1 FROM information_schema.tables`, byGrammarAlone},
	{"the schema under a name of WITH", `INSERT INTO {other} WITH information_schema AS (SELECT 1) SELECT 'a', 1 FROM information_schema.tables`, byGrammarAlone},
	{"the server", `INSERT INTO {other} SELECT 'a', 1 FROM performance_schema.threads`, ""},
	{"the processes", `INSERT INTO {other} SELECT info, 1 FROM information_schema.processlist`, byGrammarAlone},
	{"within a subselect", `UPDATE {row} SET n = (SELECT max(n) FROM {db}.secrets)`, "denied"},
	{"within a condition", `DELETE FROM {row} WHERE EXISTS (SELECT 1 FROM {db}.secrets)`, "denied"},
	{"within WITH", `INSERT INTO {other} WITH x AS (SELECT id, n FROM {db}.secrets) SELECT * FROM x`, "denied"},
	{"within ON DUPLICATE KEY", `INSERT INTO {row} (id) VALUES ('a') ON DUPLICATE KEY UPDATE n = (SELECT max(n) FROM {db}.secrets)`, "denied"},
	{"several tables", `UPDATE {row} r JOIN {db}.secrets s ON r.id = s.id SET s.n = 1`, "denied"},
	{"deleting from several", `DELETE r, s FROM {row} r JOIN {db}.secrets s ON r.id = s.id`, "denied"},
	{"deleting from several by USING", `DELETE FROM {db}.secrets USING {db}.secrets JOIN {row} r`, "denied"},
	{"a sequence as a table", `INSERT INTO {other} SELECT 'a', next_not_cached_value FROM {db}.counter`, "denied"},
	{"the next of a sequence", `INSERT INTO {other} VALUES ('a', NEXT VALUE FOR {db}.counter)`, "denied"},
	{"the next of a sequence, called", `INSERT INTO {other} VALUES ('a', NEXTVAL({db}.counter))`, "denied"},
	{"a table of the past", `INSERT INTO {other} SELECT id, n FROM {row} FOR SYSTEM_TIME ALL`, ""},
	{"a partition", `DELETE FROM {row} PARTITION (p0)`, ""},
	{"an index that is named", `DELETE {row} FROM {row} USE INDEX (PRIMARY)`, byGrammarAlone},

	{"settings", `UPDATE {row} SET n = @@max_connections`, byGrammarAlone},
	{"a variable", `UPDATE {row} SET n = @pupwasm_at`, byGrammarAlone},
	{"a variable, set", `UPDATE {row} SET n = (@pupwasm_at := 7)`, byGrammarAlone},
	{"sleep", `UPDATE {row} SET n = SLEEP(1)`, byGrammarAlone},
	{"sleep in quotes", "UPDATE {row} SET n = `sleep`(1)", byGrammarAlone},
	{"benchmark", `UPDATE {row} SET n = BENCHMARK(1, MD5('a'))`, byGrammarAlone},
	{"locks by name", `UPDATE {row} SET n = GET_LOCK('a', 1)`, byGrammarAlone},
	{"all locks", `UPDATE {row} SET n = RELEASE_ALL_LOCKS()`, byGrammarAlone},
	{"now", `UPDATE {row} SET at = NOW()`, byGrammarAlone},
	{"sysdate", `UPDATE {row} SET at = SYSDATE(6)`, byGrammarAlone},
	{"current_timestamp", `UPDATE {row} SET at = CURRENT_TIMESTAMP`, byGrammarAlone},
	{"current_timestamp, called", `UPDATE {row} SET at = CURRENT_TIMESTAMP(6)`, byGrammarAlone},
	{"localtime", `UPDATE {row} SET at = LOCALTIME`, byGrammarAlone},
	{"curdate", `UPDATE {row} SET at = CURDATE()`, byGrammarAlone},
	{"utc_timestamp", `UPDATE {row} SET at = UTC_TIMESTAMP`, byGrammarAlone},
	{"seconds of the clock", `UPDATE {row} SET n = UNIX_TIMESTAMP()`, byGrammarAlone},
	{"a time without a date", `UPDATE {row} SET at = CAST('10:00:00' AS TIME)`, byGrammarAlone},
	{"a time without a date, as text", `UPDATE {row} SET at = TIME'10:00:00'`, byGrammarAlone},
	{"a time without a date, by a format", `UPDATE {row} SET at = STR_TO_DATE(id, '%H:%i')`, byGrammarAlone},
	{"a time without a date, by percent signs", `UPDATE {row} SET at = STR_TO_DATE(id, '%%Y %H')`, byGrammarAlone},
	{"a time without a date, by a column", `UPDATE {row} SET at = STR_TO_DATE('10', id)`, byGrammarAlone},
	{"a time made", `UPDATE {row} SET at = MAKETIME(10, 0, 0)`, byGrammarAlone},
	{"current_user", `UPDATE {row} SET id = CURRENT_USER`, byGrammarAlone},
	{"user", `UPDATE {row} SET id = USER()`, byGrammarAlone},
	{"database", `UPDATE {row} SET id = DATABASE()`, byGrammarAlone},
	{"version", `UPDATE {row} SET id = VERSION()`, byGrammarAlone},
	{"connection_id", `UPDATE {row} SET n = CONNECTION_ID()`, byGrammarAlone},
	{"last_insert_id", `UPDATE {row} SET n = LAST_INSERT_ID()`, byGrammarAlone},
	{"row_count", `UPDATE {row} SET n = ROW_COUNT()`, byGrammarAlone},
	{"random", `UPDATE {row} SET n = RAND() * 10`, byGrammarAlone},
	{"a random uuid", `UPDATE {row} SET id = UUID()`, byGrammarAlone},
	{"sys_guid", `UPDATE {row} SET id = SYS_GUID()`, byGrammarAlone},
	{"random bytes", `UPDATE {row} SET id = HEX(RANDOM_BYTES(4))`, byGrammarAlone},
	{"encryption", `UPDATE {row} SET id = HEX(AES_ENCRYPT(id, 'a'))`, byGrammarAlone},
	{"files", `UPDATE {row} SET id = LOAD_FILE('/etc/passwd')`, byGrammarAlone},
	{"the default collation", `UPDATE {row} SET id = COLLATION(id)`, byGrammarAlone},
	{"regular expressions", `DELETE FROM {row} WHERE id REGEXP '(a*)*b'`, byGrammarAlone},
	{"regular expressions, called", `UPDATE {row} SET id = REGEXP_REPLACE(id, 'a', 'b')`, byGrammarAlone},
	{"another database's function", `UPDATE {row} SET id = {db}.innocent(id)`, "denied"},
	{"another database's function in quotes", "UPDATE {row} SET id = `{db}`.`innocent`(id)", "denied"},
	{"a function by itself", `UPDATE {row} SET id = innocent(id)`, "innocent"},

	{"commit", `COMMIT`, "syntax"},
	{"rollback", `ROLLBACK`, "syntax"},
	{"begin", `BEGIN`, "syntax"},
	{"start", `START TRANSACTION`, "syntax"},
	{"savepoint", `SAVEPOINT a`, "syntax"},
	{"xa", `XA START 'a'`, "syntax"},
	{"set", `SET @a = 1`, "syntax"},
	{"set role", `SET ROLE NONE`, "syntax"},
	{"set statement", `SET STATEMENT max_statement_time = 0 FOR DELETE FROM {row}`, "syntax"},
	{"set global", `SET GLOBAL max_connections = 1`, "syntax"},
	{"call", `CALL {db}.hello()`, "syntax"},
	{"do", `DO SLEEP(1)`, "syntax"},
	{"prepare", `PREPARE a FROM 'SELECT 1'`, "syntax"},
	{"execute", `EXECUTE IMMEDIATE 'DROP TABLE {db}.secrets'`, "syntax"},
	{"a block", `BEGIN NOT ATOMIC DELETE FROM {row}; END`, "syntax"},
	{"a condition", `IF 1 THEN DELETE FROM {row}; END IF`, "syntax"},
	{"handler", `HANDLER {row} OPEN`, "syntax"},
	{"load data", `LOAD DATA INFILE '/etc/passwd' INTO TABLE {row}`, "syntax"},
	{"load xml", `LOAD XML INFILE '/etc/passwd' INTO TABLE {row}`, "syntax"},
	{"truncate", `TRUNCATE TABLE {row}`, "syntax"},
	{"drop", `DROP TABLE {db}.secrets`, "syntax"},
	{"alter", `ALTER TABLE {row} ADD COLUMN a INT`, "syntax"},
	{"create", `CREATE TABLE {mine}.more (a INT)`, "syntax"},
	{"a table from a query", `CREATE TABLE {mine}.more AS SELECT * FROM {db}.secrets`, "syntax"},
	{"a trigger", `CREATE TRIGGER {mine}.t BEFORE INSERT ON {row} FOR EACH ROW SET @a = 1`, "syntax"},
	{"grant", `GRANT ALL ON *.* TO CURRENT_USER`, "syntax"},
	{"lock", `LOCK TABLES {row} WRITE`, "syntax"},
	{"flush", `FLUSH TABLES`, "syntax"},
	{"kill", `KILL 1`, "syntax"},
	{"use", `USE mysql`, "syntax"},
	{"show", `SHOW DATABASES`, "syntax"},
	{"explain", `EXPLAIN DELETE FROM {row}`, "syntax"},
	{"analyze", `ANALYZE DELETE FROM {row}`, "syntax"},
	{"shutdown", `SHUTDOWN`, "syntax"},
	{"install", `INSTALL SONAME 'a'`, "syntax"},
	{"delimiter", "DELIMITER //\nDELETE FROM {row}//", "syntax"},

	{"two statements", `DELETE FROM {row}; DELETE FROM {db}.secrets`, "syntax"},
	{"two statements behind a line", "DELETE FROM {row} --\r; DELETE FROM {db}.secrets\n; DELETE FROM {db}.secrets", "syntax"},
	{"the end of the procedure", `DELETE FROM {row}; END; DROP TABLE {db}.secrets`, "syntax"},
	{"returning", `DELETE FROM {row} RETURNING id`, byGrammarAlone},
	{"returning of others", `INSERT INTO {row} (id) VALUES ('a') RETURNING (SELECT max(n) FROM {db}.secrets)`, "denied"},
	{"a comment that runs", `DELETE FROM {row} /*! WHERE id = 'a' */`, byGrammarAlone},
	{"a comment that runs by version", `DELETE FROM {row} /*!50000 WHERE id = (SELECT id FROM {db}.secrets) */`, "denied"},
	{"a comment that MariaDB runs", `DELETE FROM {row} /*M!100100 WHERE id = (SELECT id FROM {db}.secrets) */`, "denied"},
	{"a comment that MariaDB runs, in small letters", `DELETE FROM {row} /*m! WHERE id = 'a' */`, byGrammarAlone},
	{"a hint", `DELETE /*+ a */ FROM {row}`, byGrammarAlone},
	{"minus minus", "DELETE FROM {row} WHERE n = 1--1", byGrammarAlone},
	{"an unfinished comment", `DELETE FROM {row} /*`, byGrammarAlone},
	{"an unfinished text", `DELETE FROM {row} WHERE id = 'a`, ""},
	{"an unfinished name", "DELETE FROM {row} WHERE `id = 'a'", ""},
	{"a backslash before a quote", `DELETE FROM {row} WHERE id = '\' OR (SELECT 1 FROM {db}.secrets) -- '`, "denied"},
	{"a set of characters", `DELETE FROM {row} WHERE id = _gbk'a'`, byGrammarAlone},
	{"a set of characters that takes a quote", "DELETE FROM {row} WHERE id = _gbk'\u00bf' OR 1 = (SELECT 1 FROM {db}.secrets) -- '", ""},
	{"a national text", `DELETE FROM {row} WHERE id = N'a'`, byGrammarAlone},
	{"an odbc call", `UPDATE {row} SET n = {fn LENGTH(id)}`, byGrammarAlone},
	{"an odbc date", `UPDATE {row} SET at = {d '2020-01-01'}`, byGrammarAlone},
	{"full-width quotes", "DELETE FROM {row} WHERE id = ＇a＇", ""},
	{"a full-width semicolon", "DELETE FROM {row}； DELETE FROM {db}.secrets", ""},
	{"a letter like another", "DELETE FROM {db}.sеcrets", "denied"},
	{"a blank like another", "DELETE\u00a0FROM {row}", ""},
	{"a NUL", "DELETE FROM {row}\x00; DELETE FROM {db}.secrets", ""},
	{"what is not UTF-8", "DELETE FROM {row} WHERE id = '\xff'", ""},
	{"half a character before a quote", "DELETE FROM {row} WHERE id = '\xe4' OR 1 = 1 -- '", ""},
	{"nothing", ` -- nothing`, ""},
	{"nothing at all", ``, ""},
	{"a semicolon", `;`, ""},
	{"a word", `SELEC`, ""},
	{"deep parentheses", `UPDATE {row} SET n = ` + strings.Repeat("(", 500) + "1" + strings.Repeat(")", 500), byGrammarAlone},
	{"very deep parentheses", `UPDATE {row} SET n = ` + strings.Repeat("(", 8000) + "1" + strings.Repeat(")", 8000), byGrammarAlone},
	{"deep queries", `UPDATE {row} SET n = ` + strings.Repeat("(SELECT ", 200) + "1" + strings.Repeat(")", 200), ""},
	{"a megabyte", `DELETE FROM {row} WHERE id = '` + strings.Repeat("a", 1<<20) + `'`, byGrammarAlone},
	{"many values", `DELETE FROM {row} WHERE n IN (` + strings.Repeat("1,", 1<<14) + `1)`, byGrammarAlone},
	{"another parameter", `UPDATE {row} SET n = $1`, "$1"},
	{"a parameter 0", `UPDATE {row} SET n = $0`, "$0"},
	{"a question mark", `UPDATE {row} SET n = ?`, ""},
	{"a named parameter", `UPDATE {row} SET n = :n`, ""},
	{"a cast", `UPDATE {row} SET id = n::text`, ""},
	{"an unknown column", `UPDATE {row} SET nothing = 1`, "nothing"},
	{"ON CONFLICT", `INSERT INTO {row} (id) VALUES ('a') ON CONFLICT (id) DO NOTHING`, "syntax"},
	{"a cast to what MariaDB has not", `UPDATE {row} SET n = CAST(id AS uuid)`, byGrammarAlone},
	{"a query", `SELECT id FROM {row}`, ""},
}

func TestSandbox_refusesWhatReachesBeyondTheProjection(t *testing.T) {
	t.Parallel()
	db := mariadbtest.New(t)
	neighbours(t, db)
	s, server := open(t, db.URL, mysql.Options{}), open(t, db.URL, mysql.Options{})
	server.GrammarOff()
	for _, c := range hostileWrites {
		p := subject("guest")
		p.Writes = []store.Write{{Name: "bad", SQL: anySQL(at(db, c.sql))}}
		wantRefused(t, s, c.name, p, `write "bad": `, "")
		if c.words != byGrammarAlone {
			wantRefused(t, server, c.name+", by the server alone", p, `write "bad": `, c.words)
		}
	}
	wantUntouched(t, db)
}

// wantUntouched checks that nothing is left of projections that were refused, and that their neighbours are as they were.
func wantUntouched(t testing.TB, db mariadbtest.Database) {
	t.Helper()
	got := queryText(t, db.Connect(t), fmt.Sprintf(`SELECT (SELECT CONCAT(id, n) FROM %[1]s.secrets),
		(SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE '%[1]s\_\_guest%%'),
		(SELECT count(*) FROM mysql.roles_mapping r JOIN mysql.db d ON r.role = d.user WHERE d.db LIKE '%[2]s\\\_\\\_guest%%'),
		(SELECT next_not_cached_value FROM %[1]s.counter), (SELECT count(*) FROM %[1]s__others.row)`,
		db.Name, strings.ReplaceAll(db.Name, "_", `\\\_`)))
	if want := "kept7 0 0 1 0"; strings.Join(got[0], " ") != want {
		t.Errorf("there is %s, want %s", got[0], want)
	}
}

func wantRefused(t testing.TB, s mysql.Backend, name string, p *store.Projection, item, words string) {
	t.Helper()
	_, err := s.Install(t.Context(), p, 1)
	var fault *store.CatalogueError
	switch {
	case !errors.As(err, &fault):
		t.Errorf("%s: %.300v, want a catalogue error", name, err)
	case !strings.HasPrefix(err.Error(), item) || !strings.Contains(err.Error(), words) ||
		strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 500:
		t.Errorf("%s: %.600q, want one line with %q and %q", name, err, item, words)
	}
}
