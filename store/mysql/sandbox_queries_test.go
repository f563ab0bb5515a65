package mysql_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

var hostileQueries = []attack{
	{"another table", `SELECT id FROM {db}.secrets`, "denied"},
	{"another table beside", `SELECT r.id FROM {row} r, {db}.secrets s`, "denied"},
	{"another table in a join", `SELECT r.id FROM {row} r NATURAL JOIN ({db}.secrets)`, "denied"},
	{"another table in a union", `SELECT id FROM {row} UNION SELECT id FROM {db}.secrets`, "denied"},
	{"another table in an order", `SELECT id FROM {row} ORDER BY (SELECT n FROM {db}.secrets)`, "denied"},
	{"another table in a window", `SELECT id, sum(n) OVER (ORDER BY (SELECT n FROM {db}.secrets)) FROM {row}`, ""},
	{"another table in JSON_TABLE", `SELECT x.a FROM JSON_TABLE((SELECT id FROM {db}.secrets), '$' COLUMNS (a TEXT PATH '$')) x`, "denied"},
	{"a parenthesis too many", `SELECT id FROM {row}) AS q, (SELECT id FROM {db}.secrets`, "syntax"},
	{"an end of the query around it", `SELECT id FROM {row}) SELECT * FROM {db}.secrets UNION (SELECT 1`, "syntax"},
	{"two statements", `SELECT id FROM {row}; DELETE FROM {db}.secrets`, "syntax"},
	{"a change", `DELETE FROM {row}`, "changes rows"},
	{"a change that returns", `DELETE FROM {row} RETURNING id`, ""},
	{"a change in WITH", `WITH gone AS (DELETE FROM {row} RETURNING id) SELECT id FROM gone`, "syntax"},
	{"a change behind WITH", `WITH x AS (SELECT 1) DELETE FROM {row}`, "syntax"},
	{"into a file", `SELECT id FROM {row} INTO OUTFILE '/tmp/pupwasm_hostile'`, "FILE"},
	{"into a file, earlier", `SELECT id INTO DUMPFILE '/tmp/pupwasm_hostile' FROM {row}`, "FILE"},
	{"into a variable", `SELECT id INTO @x FROM {row}`, "INTO"},
	{"into a variable, later", `SELECT id FROM {row} LIMIT 1 INTO @x`, "INTO"},
	{"locks", `SELECT id FROM {row} FOR UPDATE`, byGrammarAlone},
	{"shared locks", `SELECT id FROM {row} LOCK IN SHARE MODE`, byGrammarAlone},
	{"locks without waiting", `SELECT id FROM {row} FOR UPDATE SKIP LOCKED`, byGrammarAlone},
	{"a procedure", `SELECT id FROM {row} PROCEDURE ANALYSE()`, ""},
	{"options", `SELECT SQL_CALC_FOUND_ROWS id FROM {row}`, byGrammarAlone},
	{"more options", `SELECT HIGH_PRIORITY id FROM {row}`, byGrammarAlone},
	{"a table by its name", `TABLE {row}`, "changes rows"},
	{"show", `SHOW TABLES`, "changes rows"},
	{"describe", `DESCRIBE {row}`, "changes rows"},
	{"a handler", `HANDLER {row} READ FIRST`, "changes rows"},
	{"the clock", `SELECT NOW()`, byGrammarAlone},
	{"chance in an order", `SELECT id FROM {row} ORDER BY RAND()`, byGrammarAlone},
	{"the session", `SELECT CURRENT_USER()`, byGrammarAlone},
	{"more results", `SELECT id, n FROM {row}`, "another number of columns"},
	{"all results", `SELECT * FROM {row}`, "another number of columns"},
	{"no results", `SELECT FROM {row}`, "syntax"},
	{"a name of WITH like a table", `WITH other AS (SELECT 'a' AS id) SELECT id FROM other`, byGrammarAlone},
	{"a name of WITH before it", `WITH a AS (SELECT id FROM b), b AS (SELECT 'a' AS id) SELECT id FROM a`, ""},
	{"a name of WITH outside of it", `SELECT id FROM (WITH a AS (SELECT 'a' AS id) SELECT id FROM a) x, a`, ""},
	{"a name of WITH in itself", `WITH a AS (SELECT id FROM a) SELECT id FROM a`, ""},
	{"a table of a name that is none", `SELECT id FROM (SELECT 'a' AS id) secrets, secrets`, ""},
	{"NULLS LAST", `SELECT id FROM {row} ORDER BY n NULLS LAST`, "syntax"},
	{"an arrow", `SELECT data->>'$.a' FROM {row}`, "syntax"},
	{"a regular expression", `SELECT id REGEXP '(a*)*b' FROM {row}`, byGrammarAlone},
	{"a pattern that is too long", `SELECT id FROM {row} WHERE id LIKE '%` + fmt.Sprintf("%0100d", 1) + `'`, byGrammarAlone},
	{"a collation of another set", `SELECT id COLLATE latin1_bin FROM {row}`, ""},
	{"a set of characters", `SELECT CONVERT(id USING latin1) FROM {row}`, byGrammarAlone},
}

func TestSandbox_refusesQueriesThatReachBeyondTheProjection(t *testing.T) {
	t.Parallel()
	db := mariadbtest.New(t)
	neighbours(t, db)
	s, server := open(t, db.URL, mysql.Options{}), open(t, db.URL, mysql.Options{})
	server.GrammarOff()
	for _, c := range hostileQueries {
		p := subject("guest")
		p.Queries = []store.Query{{Name: "bad", SQL: anySQL(at(db, c.sql)), Results: []store.Type{ofText}}}
		wantRefused(t, s, c.name, p, `query "bad": `, "")
		if c.words != byGrammarAlone {
			wantRefused(t, server, c.name+", by the server alone", p, `query "bad": `, c.words)
		}
	}
	wantUntouched(t, db)
}

// reasonableWrites are what projections need.
var reasonableWrites = []string{
	`UPDATE {row} SET data = JSON_SET(COALESCE(data, '{}'), '$.id', id, '$.n', n), n = JSON_VALUE(data, '$.n') WHERE JSON_CONTAINS(data, '1', '$.a')`,
	`UPDATE {row} SET id = DATE_FORMAT(at, '%Y-%m-%d %H:%i') WHERE at > '2020-01-01' AND at < TIMESTAMP '2021-01-01 00:00:00'`,
	`UPDATE {row} SET at = LAST_DAY(at) + INTERVAL 1 DAY - INTERVAL n HOUR, n = TIMESTAMPDIFF(SECOND, '1970-01-01', at)`,
	`UPDATE {row} SET at = STR_TO_DATE(id, '%Y-%m-%d'), n = DATEDIFF(at, STR_TO_DATE(id, '%Y%m%d'))`,
	`UPDATE {row} SET n = CASE WHEN n > 5 THEN n * 2 WHEN n IS NULL THEN 0 ELSE greatest(n, 1) END, amount = round(amount / 3, 2)`,
	`UPDATE {row} SET id = lower(trim(id)) || '-' || concat_ws('/', n, amount) WHERE id LIKE 'a%' OR id LIKE '%' || id || '%' OR id IN ('c')`,
	`INSERT INTO {row} (id, n) VALUES ('a', 1) ON DUPLICATE KEY UPDATE n = IF(n < 10, {row}.n + VALUES(n), n)`,
	`INSERT INTO {other} SELECT id, (SELECT count(*) FROM {other} o WHERE o.id = r.id) FROM {row} r WHERE EXISTS (SELECT 1 FROM {other})`,
	`INSERT INTO {other} SELECT group_concat(id ORDER BY id SEPARATOR ','), sum(n) FROM {row} GROUP BY tags HAVING count(DISTINCT id) > 1`,
	`INSERT INTO {other} SELECT id, row_number() OVER (PARTITION BY n ORDER BY id) + lag(n, 1) OVER w FROM {row} WINDOW w AS (ORDER BY id)`,
	`INSERT INTO {other} WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 10) SELECT n, n FROM g`,
	`UPDATE {row} SET tags = JSON_ARRAY_APPEND(tags, '$', 'b'), n = JSON_LENGTH(tags)`,
	`INSERT INTO {other} SELECT t.tag, t.ordinal FROM {row}, JSON_TABLE(tags, '$[*]' COLUMNS (ordinal FOR ORDINALITY, tag LONGTEXT PATH '$')) AS t WHERE t.tag <> {row}.id`,
	`INSERT INTO {other} SELECT e.id, e.n FROM {row} r JOIN JSON_TABLE(r.data, '$.list[*]' COLUMNS (id VARCHAR(20) PATH '$.id', n BIGINT PATH '$.n' DEFAULT '0' ON EMPTY)) e`,
	`DELETE r FROM {row} AS r LEFT JOIN {other} AS o ON o.id = r.id WHERE o.id IS NULL`,
	`UPDATE {row} r JOIN {other} o USING (id) SET r.n = o.n`,
	`UPDATE {row} r JOIN (SELECT id, sum(n) AS n FROM {other} GROUP BY id) o ON o.id = r.id SET r.n = o.n`,
	`REPLACE INTO {row} (id, n) SELECT id, n FROM {other}`,
	`UPDATE {row} SET id = md5(id) || hex(sha2(id, 256)), n = crc32(id)`,
	`DELETE FROM {other} ORDER BY n DESC LIMIT 5;`,
	"/* first */ DELETE\nFROM {row} -- last",
	`UPDATE "{mine}"."row" SET n = 1`,
	`UPDATE {row} SET id = 'now' WHERE id = 'today'`,
	`UPDATE {row} SET n = 1 WHERE (id, n) IN (('a', 1), ('b', 2)) AND n NOT BETWEEN 9 AND 1 AND NOT n <=> NULL`,
	`INSERT INTO {row} SET id = 'a', amount = 1.5, at = '2020-01-01 00:00:00'`,
	`UPDATE {row} SET n = 0x10 + b'11' + CAST(id AS SIGNED) DIV 2 % 7 & 3 | 4 ^ 5`,
	`UPDATE {row} SET n = locate('a', id) + instr(id, id), id = replace(substring_index(id, '-', 1), id, left(id, 3))`,
}

// reasonableQueries are those of readers, with how many columns each has.
var reasonableQueries = []struct {
	columns int
	sql     string
}{
	{2, `SELECT DISTINCT r.id, o.n FROM {row} r NATURAL LEFT JOIN {other} o WHERE r.n IS NOT NULL GROUP BY r.id, o.n WITH ROLLUP HAVING o.n > 1`},
	{2, `SELECT sum(n) OVER (PARTITION BY id ORDER BY n ROWS BETWEEN 1 PRECEDING AND UNBOUNDED FOLLOWING), first_value(id) OVER w FROM {row} WINDOW w AS (ORDER BY n DESC)`},
	{3, `WITH RECURSIVE a (i, j) AS (SELECT 1, id FROM {row} UNION ALL SELECT i + 1, j FROM a WHERE i < 3), b AS (SELECT count(*) AS c FROM a) SELECT * FROM a JOIN b ON a.i = b.c`},
	{1, `(SELECT id FROM {row} EXCEPT SELECT id FROM {other}) INTERSECT SELECT 'a' ORDER BY 1 LIMIT 1, 2`},
	{3, `SELECT x.i, x.v, y.w FROM {row}, JSON_TABLE(data, '$.a[*]' COLUMNS (i FOR ORDINALITY, v LONGTEXT PATH '$' NULL ON EMPTY, NESTED PATH '$.b[*]' COLUMNS (w INT PATH '$' DEFAULT '1' ON ERROR))) x, (SELECT 1 AS w) y`},
	{5, `SELECT json_arrayagg(DISTINCT id ORDER BY n DESC LIMIT 2), json_objectagg(id, n), group_concat(id, n SEPARATOR '-'), variance(n), bit_xor(n) FROM {row}`},
	{4, `SELECT n IN (SELECT n FROM {other}), (n, id) = ANY (SELECT n, id FROM {other}), EXISTS (SELECT 1 FROM {other} o WHERE o.id = {row}.id), NOT n BETWEEN 1 AND 2 FROM {row}`},
	{6, `SELECT cast(amount AS decimal(10, 2)), convert(id USING utf8mb4) COLLATE utf8mb4_bin, char(65 USING utf8mb4), extract(year FROM at), at + INTERVAL n DAY, DATE '2020-01-01' FROM {row}`},
	{9, `SELECT substring(id FROM 2 FOR 3), trim(LEADING ' ' FROM id), IF(n > 1, 'a', NULL), CASE n WHEN 1 THEN 2 ELSE 3 END, json_search(data, 'one', id), - n, ~n, !n, BINARY id FROM {row}`},
}

func TestSandbox_acceptsReasonableStatements(t *testing.T) {
	t.Parallel()
	db := mariadbtest.New(t)
	s := open(t, db.URL, mysql.Options{})
	p := subject("guest")
	for i, sql := range reasonableWrites {
		p.Writes = append(p.Writes, store.Write{Name: fmt.Sprint("write ", i), SQL: anySQL(at(db, sql))})
	}
	p.Queries = []store.Query{
		{
			Name: "a", SQL: anySQL(`SELECT id, n FROM {row} WHERE id IN (SELECT v FROM JSON_TABLE($1, '$[*]' COLUMNS (v LONGTEXT PATH '$')) k) ORDER BY n DESC LIMIT $2 -- top`),
			Params: []store.Type{ofTexts, ofI64}, Results: []store.Type{ofText, ofI64},
		},
		{Name: "b", SQL: anySQL(`SELECT count(*), sum(n), json_arrayagg(id ORDER BY id), max(at), json_arrayagg(data), min(amount) FROM {row}`), Results: []store.Type{ofI64, ofNumeric, ofTexts, ofTime, ofJSON, ofNumeric}},
		{Name: "c", SQL: anySQL(`WITH n (i) AS (SELECT 1), m AS (SELECT count(*) AS c FROM n) SELECT c, i FROM m, n UNION (SELECT 1, 2 FROM DUAL) ORDER BY 1`), Results: []store.Type{ofI64, ofI64}},
		{Name: "d", SQL: anySQL(`VALUES ($1)`), Params: []store.Type{ofText}, Results: []store.Type{ofText}},
	}
	for i, q := range reasonableQueries {
		p.Queries = append(p.Queries, store.Query{
			Name: fmt.Sprint("query ", i), SQL: anySQL(q.sql), Results: slices.Repeat([]store.Type{ofText}, q.columns),
		})
	}
	if _, err := s.Install(t.Context(), p, 1); err != nil {
		t.Error(err)
	}
}
